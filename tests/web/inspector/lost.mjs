// A closure with a missing item.

export default async function ({ page, job, saw, go, look, main }) {
  await go(`#/item/${job.hash}/references?cache=${encodeURIComponent(`${job.url}/`)}`);
  await page.getByRole('group', { name: /^Closure of/ }).waitFor();
  saw.main = await main();
  await look('references-missing', { fullPage: true });
}
