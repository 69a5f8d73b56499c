// A pasted narinfo with a chunk index and no other list of files: the names come from the pieces.

export default async function ({ page, job, saw, go, main }) {
  await go('');
  await page.evaluate((gateway) => localStorage.setItem('inspector.gateways', JSON.stringify([gateway])), job.gateway);
  await page.getByText('Paste a narinfo').click();
  await page.getByLabel('The text of a narinfo').fill(job.narinfo);
  await page.getByRole('button', { name: 'Read it' }).click();
  await page.getByRole('link', { name: 'Files', exact: true }).click();
  await page.getByText('This list of files comes from the NAR’s pieces.').waitFor();
  saw.listed = await main();
  await page.getByRole('tree', { name: 'Files' }).getByRole('treeitem').filter({ hasText: 'zz.txt' }).click();
  const file = page.getByRole('region', { name: 'File', exact: true });
  await file.getByText('the last').waitFor();
  saw.file = await file.innerText();
}
