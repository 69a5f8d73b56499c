// Two versions of an item side by side, and how the cache does.

export default async function ({ page, job, saw, go, look, main }) {
  await go(`#/item/${job.old}/compare?cache=${encodeURIComponent(`${job.url}/`)}`);
  await page.getByRole('link', { name: 'tools-1.1' }).click();
  await page.getByText(/^An update transfers/).waitFor();
  await page.getByText(/added, .* removed/).waitFor();
  saw.listed = await main();
  await page.getByRole('button', { name: 'Compare the contents' }).click();
  await page.getByText(/^Compared byte by byte; both/).waitFor();
  saw.compared = await main();
  await look('compare', { fullPage: true });
  await go(`#/cache?cache=${encodeURIComponent(`${job.url}/`)}`);
  await page.getByRole('link', { name: 'Health' }).click();
  await page.getByRole('img', { name: /^Bakes/ }).waitFor();
  saw.health = { text: await main(), bakes: await page.getByRole('img', { name: /^Bakes/ }).getAttribute('aria-label'), requests: await page.getByRole('img', { name: /^Requests/ }).getAttribute('aria-label') };
  await look('health');
}
