// Drops files from the user's disk. The browser itself sends the events, with a real DataTransfer.
import { createServer } from 'node:http';

export default async function ({ page, context, job, saw, go, look, main }) {
  const client = await context.newCDPSession(page);
  const drop = async (path) => {
    const data = { items: [], files: [path], dragOperationsMask: 1 };
    const [x, y] = [640, 300];
    for (const type of ['dragEnter', 'dragOver', 'drop']) {
      await client.send('Input.dispatchDragEvent', { type, x, y, data });
      if (type === 'dragOver') await page.locator('body.dropping').waitFor();
    }
  };
  await go('');
  await page.getByRole('heading', { level: 1 }).waitFor();
  await page.evaluate((key) => {
    localStorage.setItem('inspector.keys', JSON.stringify([{ label: 'cache', text: key }]));
    globalThis.stayed = true;
  }, job.key);
  saw.views = {};
  const see = async (view, sign) => {
    await drop(job.files[view]);
    await page.locator('main').getByText(sign).first().waitFor();
    saw.views[view] = await main();
    await page.getByRole('link', { name: 'Cache inspector' }).click();
    await page.getByRole('heading', { name: 'What is in this cache, and who signed it?' }).waitFor();
  };
  await see('narinfo', 'which you trust');
  for (const view of ['compressed', 'plain', 'car']) await see(view, /^Read; /);
  await drop(job.files.nonsense);
  await page.getByRole('alert').waitFor();
  saw.views.nonsense = await main();
  await look('drop-nonsense');
  saw.stayed = await page.evaluate(() => globalThis.stayed === true);

  // A cache that answers every request with the same signed narinfo.
  const hostile = createServer((request, response) => {
    const text = request.url === '/nix-cache-info' ? 'StoreDir: /nix/store\n' : job.given;
    response.writeHead(200, { 'access-control-allow-origin': '*' }).end(text);
  });
  await new Promise((ready) => hostile.listen(0, '127.0.0.1', ready));
  try {
    await go(`#/item/${job.asked}?cache=${encodeURIComponent(`http://127.0.0.1:${hostile.address().port}/`)}`);
    await page.getByRole('alert').waitFor();
    saw.views['other item'] = await main();
    await look('item-another');
  } finally {
    hostile.close();
  }
}
