// Health of a cache that gets requests: numbers, plots and their tables. Then paused, and after the
// cache stopped.

export default async function ({ page, job, saw, go, look, main }) {
  await go(`#/cache?cache=${encodeURIComponent(`${job.url}/`)}`);
  await page.getByRole('link', { name: 'Health' }).click();
  await page.getByText('No bake failed.').waitFor();
  await page.getByRole('term').filter({ hasText: 'Saved by sharing' }).waitFor();
  await page.waitForFunction(() => !document.querySelector('.tiles').innerText.includes('being counted'));
  // Requests must add points to the plot.
  for (let at = 0; at < 20; at += 1) await fetch(`${job.url}/${'0'.repeat(32)}.narinfo`);
  const requests = page.getByRole('img', { name: /^Requests a second/ });
  await page.getByRole('img', { name: /^Requests a second over \d+ s: .*missed .*at most [1-9]/ }).waitFor();
  await page.getByText('Numbers of “Requests a second”').click();
  const table = page.getByRole('table', { name: 'Requests a second' });
  saw.rows = await table.getByRole('row').count();
  saw.missed = await table.locator('tbody td:last-child').allInnerTexts();
  saw.text = await main();
  saw.tiles = await page.evaluate(() => Object.fromEntries([...document.querySelectorAll('.tiles > div')].map((tile) => [tile.querySelector('dt').innerText, tile.querySelector('dd').innerText])));
  saw.plots = {};
  for (const name of ['Requests a second', 'Bytes', 'Bakes', 'Kubo']) saw.plots[name] = await page.getByRole('img', { name: new RegExp(`^${name}`) }).getAttribute('aria-label');
  await look('health', { fullPage: true });
  await page.getByRole('button', { name: 'Pause' }).click();
  saw.lines = await requests.getAttribute('aria-label');
  await page.setViewportSize({ width: 390, height: 844 });
  await page.emulateMedia({ colorScheme: 'dark' });
  await look('health-phone-dark', { fullPage: true });
  saw.paused = await requests.getAttribute('aria-label');
  await page.getByRole('button', { name: 'Resume' }).click();
  // After the server stopped, the numbers stay on the page.
  await page.route('**/metrics', (route) => route.abort());
  await page.getByRole('alert').waitFor();
  saw.gone = await page.getByRole('alert').innerText();
}
