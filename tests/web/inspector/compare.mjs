// Compares two versions of an item, from one cache and from two.

export default async function ({ page, job, saw, go, look, main }) {
  const cache = encodeURIComponent(`${job.url}/`);
  await go(`#/item/${job.old}/compare?cache=${cache}`);
  await page.getByRole('link', { name: 'tools-1.1' }).click();
  await page.getByText(/^An update transfers/).waitFor();
  await page.getByText(/added, .* removed/).waitFor();
  saw.listed = await main();
  await page.getByRole('button', { name: 'Compare the contents' }).click();
  await page.getByText(/^Compared byte by byte; both/).waitFor();
  saw.compared = await main();
  await look('compare', { fullPage: true });
  await page.setViewportSize({ width: 390, height: 844 });
  await look('compare-phone', { fullPage: true });
  await page.setViewportSize({ width: 1280, height: 900 });

  // Compares with an item of another cache.
  saw.across = {};
  const other = page.getByLabel('The newer item: its store path or hash');
  const within = page.getByLabel('In the cache');
  const compared = async () => {
    await page.getByText(/^An update transfers/).waitFor();
    await page.getByText(/added, .* removed/).waitFor();
    return main();
  };
  await go(`#/item/${job.old}/compare?cache=${cache}`);
  await within.fill(job.other);
  await page.getByRole('button', { name: 'Compare', exact: true }).click();
  await page.getByRole('heading', { name: 'Items with a similar name' }).waitFor();
  await page.getByRole('link', { name: 'tools-1.1' }).click();
  saw.across.text = await compared();
  await look('compare-across', { fullPage: true });
  await page.reload();
  saw.across.reloaded = await compared();
  await go(`#/item/${job.new}/compare?cache=${cache}`);
  await within.fill(job.other);
  await other.fill(job.new);
  await page.getByRole('button', { name: 'Compare', exact: true }).click();
  saw.across.same = await compared();
  await look('compare-same');
  await other.fill('0'.repeat(32));
  await page.getByRole('button', { name: 'Compare', exact: true }).click();
  await page.getByRole('alert').waitFor();
  saw.across.none = await main();
}
