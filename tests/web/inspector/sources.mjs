// Checks real gateways: a correct one, one that sends wrong data, one that never answers, and one
// that doesn't exist. Then runs a race between them.

export default async function ({ page, job, saw, go, look, main }) {
  await page.goto(`${job.url}/inspect/`);
  await page.evaluate((gateways) => localStorage.setItem('inspector.gateways', JSON.stringify(gateways)), Object.values(job.gateways));
  await go(`#/item/${job.hash}/sources?cache=${encodeURIComponent(`${job.url}/`)}`);
  await page.getByText(/^Gateways, checked just now/).waitFor();
  await page.getByText('checking…').first().waitFor({ state: 'detached' });
  await page.waitForFunction(() => !document.body.innerText.includes('checking…'));
  saw.rows = {};
  for (const [name, url] of Object.entries({ ...job.gateways, cache: job.url, named: `${job.named} named by the narinfo` })) {
    saw.rows[name] = await page.getByRole('row').filter({ has: page.getByRole('rowheader', { name: url }) }).getByRole('cell').allInnerTexts();
  }
  saw.http = await page.getByRole('row').filter({ hasText: 'nar/zstd/' }).getByRole('cell').allInnerTexts();
  await page.getByRole('button', { name: /^Start/ }).click();
  await page.getByRole('img', { name: /^Race over/ }).waitFor();
  saw.race = await page.getByRole('img', { name: /^Race over/ }).getAttribute('aria-label');
  saw.main = await main();
  await look('sources', { fullPage: true });
  // On a phone, the rows of the table are stacked.
  await page.setViewportSize({ width: 390, height: 844 });
  await look('sources-phone', { fullPage: true });
}
