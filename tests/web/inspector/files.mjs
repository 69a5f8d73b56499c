// Opens the files of an item: first from the cache's unverified list, then from the verified NAR.
// It uses the mouse and the keyboard, and some of the gateways send wrong data.

export default async function ({ page, job, saw, go, look, main }) {
  const tree = page.getByRole('tree', { name: 'Files' });
  const row = (name) => tree.getByRole('treeitem').filter({ hasText: name });
  const file = page.getByRole('region', { name: 'File', exact: true });
  await go('#/keys');
  await page.getByLabel('A Nix public key, a Guix public key or an ACL').fill(job.key);
  await page.getByRole('button', { name: 'Trust it' }).click();
  await go('#/gateways');
  for (const gateway of job.gateways) {
    await page.getByLabel('Address').fill(gateway);
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    await page.getByRole('button', { name: `Remove ${gateway}` }).waitFor();
  }
  await look('gateways');

  await go(`#/item/${job.hash}?cache=${encodeURIComponent(`${job.url}/`)}`);
  await page.getByRole('link', { name: 'Files', exact: true }).click();
  await page.getByText('This list of files comes from the cache.').waitFor();
  saw.requestsBefore = saw.hosts.length;
  await look('files-listing');
  await row('share').click();
  await row('readme.txt').last().click();
  // Fetched by its piece alone.
  await file.getByText('first line').waitFor();
  saw.piece = await file.innerText();
  await look('files-piece');
  await page.getByRole('button', { name: /^Verify all/ }).click();
  await page.getByText('Verified: this is the NAR that was signed').first().waitFor();
  await row('new').last().click();
  await row('readme.txt').last().click();
  await file.getByText('Verified with the whole NAR, by NarHash.').waitFor();
  await file.getByText('first line').waitFor();
  saw.state = await main();
  await look('files-text');

  // By the keyboard alone: selects the link, and follows it.
  await tree.focus();
  await page.keyboard.press('Home');
  saw.first = await tree.getByRole('treeitem', { selected: true }).innerText();
  await page.getByLabel('Filter').fill('SHARE/LIN');
  await row('link').waitFor();
  saw.filtered = await tree.getByRole('treeitem').count();
  await tree.focus();
  await page.keyboard.press('End');
  await page.keyboard.press('Enter');
  await file.getByText('A link to').waitFor();
  await file.getByRole('link', { name: 'readme.txt' }).click();
  await file.getByText('first line').waitFor();
  await page.goBack();
  await file.getByText('A link to').waitFor();

  const open = async (name, wait) => {
    await page.getByLabel('Filter').fill(name);
    await row(name).last().click();
    await wait.waitFor();
  };
  await open('picture.png', file.locator('iframe'));
  const picture = page.frameLocator('iframe').locator('img');
  await picture.waitFor();
  saw.picture = await picture.evaluate((image) => [image.naturalWidth, document.contentType]);
  await look('files-picture');
  await open('true', file.getByText('Interpreter'));
  saw.program = await file.innerText();
  await look('files-program');
  await open('noise.bin', file.getByText('The first 8.00 KiB of'));
  saw.hex = await file.innerText();
  const downloading = page.waitForEvent('download');
  await file.getByRole('button', { name: 'Download' }).click();
  const download = await downloading;
  saw.download = download.suggestedFilename();
  const { digest } = await import('../lib.mjs');
  saw.downloaded = await digest(await download.createReadStream());
  await open('onerror', file.getByText('alert(\'ran').first());
  saw.hostile = { file: await file.innerText(), tree: await row('onerror').innerText(), images: await page.locator('main img, main script').count() };
  await look('files-hostile');
  // Opens the same file by its address.
  await page.reload();
  await file.getByText('alert(\'ran').first().waitFor();

  saw.views = {};
  const read = async (name) => {
    // The live region may still contain the text of an earlier view.
    await page.locator('main').getByText(/^Wrong: |^Read; |^No source/).first().waitFor();
    saw.views[name] = await main();
    await look(`files-${name}`);
  };
  await go(`#/item/${job.hash}/files?narinfo=${encodeURIComponent(job.wrong)}`);
  await read('wrong-hash');
  await go(`#/item/${job.hash}/files?narinfo=${encodeURIComponent(job.nowhere)}`);
  await read('no-source');
  await go(`#/ipfs/${job.cid}?cache=${encodeURIComponent(`${job.url}/`)}`);
  await read('cid');
  await go('');
  await page.getByLabel(/^A .narinfo, .nar/).setInputFiles({ name: 'dropped.nar.zst', mimeType: 'application/zstd', buffer: Buffer.from(await (await fetch(job.nar)).arrayBuffer()) });
  await read('dropped');
  const car = Buffer.from(await (await fetch(job.car)).arrayBuffer());
  const drop = async (name, buffer) => {
    await go('');
    await page.getByLabel(/^A .narinfo, .nar/).setInputFiles({ name: `${name}.car`, mimeType: 'application/vnd.ipld.car', buffer });
  };
  await drop('whole', car);
  await read('car');
  car[car.length - 100] ^= 1;
  await drop('spoilt', car);
  saw.views.spoilt = await page.getByRole('alert').innerText();

  // After the server stopped, the inspector still opens, and reads a narinfo.
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => true));
  process.kill(job.pid);
  await page.goto('about:blank');
  await go('');
  await page.getByRole('heading', { level: 1 }).waitFor();
  await page.getByText('Paste a narinfo').click();
  await page.getByLabel('The text of a narinfo').fill(job.narinfo);
  await page.getByRole('button', { name: 'Read it' }).click();
  await page.getByText('Signed by cache.test-1, which you trust').waitFor();
  saw.offline = await main();
}
