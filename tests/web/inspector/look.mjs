// From the first page to a narinfo: a search by name, the verdict without and with the key, and a
// tampered copy.

export default async function ({ page, job, saw, go, look, main }) {
  await page.addInitScript(() => {
    globalThis.shifted = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) globalThis.shifted += entry.value;
    }).observe({ type: 'layout-shift', buffered: true });
  });
  await go('');
  await page.getByRole('heading', { level: 1 }).waitFor();
  await page.getByText('this server, /nix/store').waitFor();
  await look('open');
  saw.shifted = { open: await page.evaluate(() => globalThis.shifted) };
  saw.title = await page.title();

  await page.getByLabel('A cache’s address, a store path or hash, or an ipfs: CID').fill(job.url);
  await page.getByRole('button', { name: 'Open', exact: true }).click();
  await page.getByRole('link', { name: job.items[0] }).waitFor();
  saw.listed = await page.getByRole('row').count();
  await look('cache');
  await page.getByLabel('Name, store path or hash').fill(job.items[1].toUpperCase());
  await page.getByRole('button', { name: 'Find' }).click();
  await page.getByText('Items with this name').waitFor();
  await page.getByRole('link', { name: job.items[1] }).waitFor();
  saw.found = await page.getByRole('row').count();

  await page.getByRole('link', { name: job.items[1] }).click();
  await page.getByText('a key that you don’t trust').waitFor();
  saw.item = new URL(page.url()).hash;
  await look('narinfo-unknown-key');
  await page.getByRole('link', { name: 'Keys that you trust' }).click();
  await page.getByRole('heading', { name: 'Keys that you trust' }).waitFor();
  await page.getByLabel('A Nix public key, a Guix public key or an ACL').fill('nonsense');
  await page.getByRole('button', { name: 'Trust it' }).click();
  saw.noKey = await page.getByRole('alert').innerText();
  // The cache's own key is only put into the field, not trusted.
  await page.getByRole('button', { name: 'Fetch' }).click();
  await page.getByText('Only the cache itself says that this is its key.').waitFor();
  await look('keys');
  saw.offered = await page.getByLabel('A Nix public key, a Guix public key or an ACL').inputValue();
  await page.getByRole('button', { name: 'Trust it' }).click();
  await page.getByRole('button', { name: /^Remove cache.test-1/ }).waitFor();
  await page.goBack();
  await page.getByText('Signed by cache.test-1, which you trust').waitFor();
  await look('narinfo', { fullPage: true });
  saw.narinfo = await main();
  await page.getByRole('button', { name: 'Copy Fetch and verify it with Interplanar' }).click();
  saw.copied = await page.evaluate(() => navigator.clipboard.readText());

  saw.views = {};
  for (const [name, text] of Object.entries(job.pasted)) {
    await go('');
    await page.getByText('Paste a narinfo').click();
    await page.getByLabel('The text of a narinfo').fill(text);
    await page.getByRole('button', { name: 'Read it' }).click();
    await page.getByRole('region', { name: 'Signature' }).or(page.getByRole('alert')).first().waitFor();
    saw.views[name] = await main();
    if (name === 'tampered') await look('narinfo-tampered');
  }
  // The address alone opens the same view.
  await go(saw.item);
  await page.reload();
  await page.getByText('Signed by cache.test-1, which you trust').waitFor();
  saw.shifted.item = await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(globalThis.shifted), 0))));
  for (const [name, hash] of Object.entries(job.addresses)) {
    await go(hash);
    await page.getByRole('alert').waitFor();
    saw.views[name] = await main();
    if (name === 'hangs') await look('cache-hangs');
  }
  // On a phone, with dark colours.
  await page.setViewportSize({ width: 390, height: 844 });
  await page.emulateMedia({ colorScheme: 'dark' });
  await go(saw.item);
  await page.getByText('Signed by cache.test-1, which you trust').waitFor();
  await look('narinfo-phone-dark');
  saw.overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
}
