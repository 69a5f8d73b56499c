// Guix's keys: without a key, with the key that the cache publishes, with a pasted key, and with an
// ACL.

export default async function ({ page, job, saw, go, look, main }) {
  const item = `#/item/${job.hash}?cache=${encodeURIComponent(`${job.url}/`)}`;
  const area = page.getByLabel('A Nix public key, a Guix public key or an ACL');
  const trust = page.getByRole('button', { name: 'Trust it' });
  saw.views = {};
  const see = async (view) => {
    await go(item);
    await page.getByRole('region', { name: 'Signature' }).waitFor();
    saw.views[view] = await main();
  };
  await see('stranger');
  await go('#/keys');
  await page.getByLabel('Address of the cache').fill(job.url);
  await page.getByRole('button', { name: 'Fetch' }).click();
  const warning = page.getByRole('alert').filter({ hasText: 'Only the cache itself says that this is its key.' });
  await warning.waitFor();
  saw.warned = await warning.innerText();
  saw.offered = await area.inputValue();
  await look('keys-guix-offered');
  await see('only offered');

  const paste = async (text) => {
    await go('#/keys');
    await area.fill(text);
    await trust.click();
    await page.getByRole('button', { name: /^Remove Guix/ }).waitFor();
  };
  await paste(job.key);
  saw.kept = await page.getByRole('table', { name: 'Keys' }).innerText();
  await look('keys-guix');
  await see('key');
  await look('narinfo-guix', { fullPage: true });

  await go('');
  await page.getByText('Paste a narinfo').click();
  const text = await (await fetch(`${job.url}/${job.hash}.narinfo`)).text();
  await page.getByLabel('The text of a narinfo').fill(text.replace(/^NarSize: \d+$/m, 'NarSize: 4711'));
  await page.getByRole('button', { name: 'Read it' }).click();
  await page.getByRole('region', { name: 'Signature' }).waitFor();
  saw.views.tampered = await main();

  await go('#/keys');
  await page.getByRole('button', { name: /^Remove Guix key/ }).click();
  await page.getByText('None yet.').waitFor();
  await see('removed');
  await paste(job.acl);
  saw.keptAcl = await page.getByRole('table', { name: 'Keys' }).innerText();
  await see('acl');
  await go('#/keys');
  await area.fill(job.key.replace('(public-key', '(public-kex'));
  await trust.click();
  saw.broken = await page.getByRole('alert').innerText();
}
