// An item with a tree on IPFS: its files from gateways alone, with the cache's list, and with a
// cache whose list is wrong.
import { createServer } from 'node:http';

export default async function ({ page, job, saw, go, look, main }) {
  const tree = page.getByRole('tree', { name: 'Files' });
  const row = (name) => tree.getByRole('treeitem').filter({ hasText: name });
  const file = page.getByRole('region', { name: 'File', exact: true });
  const path = () => new URLSearchParams(new URL(page.url()).hash.split('?')[1]).get('path');
  saw.views = {};
  await go('');
  await page.evaluate((gateways) => localStorage.setItem('inspector.gateways', JSON.stringify(gateways)), job.gateways);
  await go(`#/item/${job.hash}/files?narinfo=${encodeURIComponent(job.narinfo)}`);
  await page.getByText('This list of files comes from the item’s tree on IPFS.').waitFor();
  saw.views.pasted = await main();
  await row('share').click();
  await row('readme.txt').last().click();
  await file.getByText('first line').waitFor();
  saw.views.file = await file.innerText();
  await look('trees-file');

  await go(`#/item/${job.hash}/files?cache=${encodeURIComponent(`${job.url}/`)}`);
  await page.getByText('This list of files comes from the item’s tree on IPFS.').waitFor();
  const map = file.getByRole('img', { name: /^Sizes in/ });
  await map.waitFor();
  await look('trees-map', { fullPage: true });
  // Opens the largest folder by the strip with its name, then the next one in it.
  const into = async (name) => {
    await map.locator('g', { hasText: name }).filter({ has: page.locator('rect.in') }).first().click({ position: { x: 20, y: 8 } });
    await page.waitForFunction((name) => location.hash.includes(`path=${encodeURIComponent(name)}`) || location.hash.endsWith(name), name);
    return path();
  };
  saw.into = [await into('share')];
  await file.getByRole('heading', { name: /share$/ }).waitFor();
  saw.views.share = await file.innerText();
  saw.into.push(await into('doc'));
  await file.getByText('2 files,').waitFor();
  saw.views.doc = await file.innerText();
  await look('trees-folder');
  await file.getByRole('heading').getByRole('link', { name: 'share' }).click();
  await file.getByRole('heading', { name: /share$/ }).waitFor();
  saw.back = path();
  // The tree keeps the keyboard focus.
  await tree.focus();
  await page.keyboard.press('End');
  await page.keyboard.press('Enter');
  await file.getByRole('heading', { name: /share \/ readme.txt$/ }).waitFor();
  await page.waitForFunction(() => document.activeElement?.getAttribute('role') === 'tree');
  saw.focused = await page.evaluate(() => document.activeElement?.getAttribute('role'));
  // On a phone, with dark colours.
  await page.setViewportSize({ width: 390, height: 844 });
  await page.emulateMedia({ colorScheme: 'dark' });
  await go(`#/item/${job.hash}/files?cache=${encodeURIComponent(`${job.url}/`)}`);
  await map.waitFor();
  await look('trees-phone-dark', { fullPage: true });
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.emulateMedia({ colorScheme: 'light' });

  // A cache that answers correctly, except for its list of files.
  const hostile = createServer(async (request, response) => {
    const answer = request.url.endsWith('.ls') ? job.listing : Buffer.from(await (await fetch(job.url + request.url)).arrayBuffer());
    response.writeHead(200, { 'access-control-allow-origin': '*' }).end(answer);
  });
  await new Promise((ready) => hostile.listen(0, '127.0.0.1', ready));
  try {
    await go(`#/item/${job.hash}/files?cache=${encodeURIComponent(`http://127.0.0.1:${hostile.address().port}/`)}`);
    await page.getByText('The cache’s list of files differs from the item’s tree on IPFS.').waitFor();
    saw.views.lie = await main();
    await look('trees-lie');
  } finally {
    hostile.close();
  }
}
