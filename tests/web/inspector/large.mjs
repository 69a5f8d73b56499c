// An item of 300 MB and 5,000 files. Its tree appears soon and scrolls without long tasks, and the
// page frees its memory afterwards. The times are for the bench.

export default async function ({ page, context, job, saw, go, look, main }) {
  const client = await context.newCDPSession(page);
  await client.send('Performance.enable');
  const memory = async () => {
    await client.send('HeapProfiler.collectGarbage');
    const { metrics } = await client.send('Performance.getMetrics');
    return metrics.find(({ name }) => name === 'JSHeapUsedSize').value;
  };
  // The browser's own list of the page's blobs: their number and bytes.
  const blobs = await context.newPage();
  const kept = async () => {
    await client.send('HeapProfiler.collectGarbage');
    await blobs.goto('chrome://blob-internals');
    const lengths = await blobs.locator('body').innerText();
    const sizes = [...lengths.matchAll(/Length:?\s*([\d,]+)/gi)].map(([, digits]) => Number(digits.replaceAll(',', '')));
    return { count: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0), text: lengths.slice(0, 300) };
  };
  await page.addInitScript(() => {
    globalThis.long = [];
    new PerformanceObserver((list) => globalThis.long.push(...list.getEntries().map(({ duration }) => duration))).observe({ entryTypes: ['longtask'] });
  });
  await go('');
  await page.getByRole('heading', { level: 1 }).waitFor();
  saw.before = await memory();
  saw.blobs = { before: await kept() };
  await go(`#/item/${job.hash}/files?cache=${encodeURIComponent(`${job.url}/`)}`);
  const tree = page.getByRole('tree', { name: 'Files' });
  await tree.waitFor();
  saw.opened = await page.evaluate(() => performance.getEntriesByName('tree').map(({ duration }) => duration));
  saw.counted = await main();
  await page.getByLabel('Filter').fill('file-4');
  saw.filtered = await page.evaluate(() => document.querySelectorAll('[role=treeitem]').length);
  await page.getByLabel('Filter').fill('');
  await page.evaluate(() => (globalThis.long.length = 0));
  // Scrolls to the end with the mouse wheel.
  await tree.hover();
  for (let step = 0; step < 40; step += 1) {
    await page.mouse.wheel(0, 4_000);
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  }
  saw.scrolling = await page.evaluate(() => globalThis.long);
  saw.last = await tree.getByRole('treeitem').last().innerText();
  saw.elements = await page.evaluate(() => document.querySelectorAll('[role=treeitem]').length);
  await page.getByRole('button', { name: /^Verify all/ }).click();
  await page.getByText('This is the NAR that the narinfo names, but no key that you trust signed the narinfo').first().waitFor();
  saw.verified = await main();
  await look('files-large', { fullPage: true });
  saw.held = await memory();
  saw.blobs.held = await kept();
  // Opens the folder with all files: its treemap and its table must be quick too.
  saw.folder = await page.evaluate(async () => {
    const start = performance.now();
    location.hash += '&path=many';
    await new Promise((done) => {
      const look = () => (document.querySelector('h2.trail a') && document.querySelector('svg.map') ? done() : requestAnimationFrame(look));
      look();
    });
    return performance.now() - start;
  });
  await look('files-large-folder');
  await go('#/');
  await page.getByRole('heading', { name: 'What is in this cache, and who signed it?' }).waitFor();
  saw.after = await memory();
  // The garbage collector may need several runs to free the last blobs.
  for (let turn = 0; turn < 50; turn += 1) {
    saw.blobs.after = await kept();
    if (saw.blobs.after.count <= saw.blobs.before.count) break;
    await page.evaluate(() => new Promise((done) => requestIdleCallback(done)));
  }
  // For comparison: a plain list with as many lines.
  saw.plain = await page.evaluate((count) => {
    const start = performance.now();
    const list = document.createElement('ul');
    for (let index = 0; index < count; index += 1) {
      const line = document.createElement('li');
      line.textContent = `many/file-${index} 60 KB`;
      list.append(line);
    }
    document.body.append(list);
    void list.offsetHeight;
    const took = performance.now() - start;
    list.remove();
    return took;
  }, 5_000);
}
