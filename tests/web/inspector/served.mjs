// From a server that can't list its items: opens an item by its hash part, up to the verified
// files.

export default async function ({ page, job, saw, go, main }) {
  await go('');
  await page.evaluate((key) => localStorage.setItem('inspector.keys', JSON.stringify([{ label: 'cache', text: key }])), job.key);
  await page.getByText('this server, /nix/store').click();
  await page.getByRole('link', { name: job.url }).click();
  await page.getByText('This cache can’t list its items.').waitFor();
  await page.getByLabel('Name, store path or hash').fill(job.hash);
  await page.getByRole('button', { name: 'Find' }).click();
  await page.getByRole('region', { name: 'Signature' }).waitFor();
  saw.narinfo = await main();
  await page.getByRole('link', { name: 'Files', exact: true }).click();
  await page.getByRole('tree', { name: 'Files' }).waitFor();
  await page.getByRole('button', { name: /^Verify all/ }).or(page.getByText('Verified: this is the NAR that was signed').first()).first().waitFor();
}
