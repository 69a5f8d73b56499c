// The closure of a real Nix item: first without the cache's key, then with it.

export default async function ({ page, job, saw, go, look, main }) {
  const at = `#/item/${job.hash}/references?cache=${encodeURIComponent(`${job.url}/`)}`;
  await go(at);
  await page.getByRole('group', { name: /^Closure of/ }).waitFor();
  saw.stranger = await main();
  await page.evaluate((key) => localStorage.setItem('inspector.keys', JSON.stringify([{ label: 'cache', text: key }])), job.key);
  await page.reload();
  await page.getByRole('group', { name: /^Closure of/ }).waitFor();
  saw.links = await page.getByRole('group', { name: /^Closure of/ }).getByRole('link').count();
  saw.rows = await page.getByRole('table').getByRole('row').allInnerTexts();
  await page.getByRole('button', { name: 'Count shared blocks once' }).click();
  await page.getByText('if each block is counted once').waitFor();
  saw.friend = await main();
  await look('references', { fullPage: true });
  // On a phone, the rows of the table are stacked.
  await page.setViewportSize({ width: 390, height: 844 });
  await look('references-phone', { fullPage: true });
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.getByRole('group', { name: /^Closure of/ }).getByRole('link').last().click();
  await page.getByRole('link', { name: 'Narinfo', exact: true }).waitFor();
  saw.followed = await page.getByRole('heading', { level: 1 }).innerText();
}
