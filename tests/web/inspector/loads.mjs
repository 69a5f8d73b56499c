// Loads each view by its address: when it first paints, and how much the layout shifts until it is
// stable.

/** A view is stable after this long without requests and changes. */
const REST_MS = 400;

export default async function ({ page, context, job, saw }) {
  saw.loads = {};
  for (const [name, { hash, sign }] of Object.entries(job.views)) {
    for (const [width, height] of [[1280, 900], [390, 844]]) {
      const one = await context.newPage();
      await one.setViewportSize({ width, height });
      await one.addInitScript(() => {
        globalThis.seen = { shift: 0, moved: [] };
        new PerformanceObserver((list) => {
          for (const { value, sources } of list.getEntries()) {
            seen.shift += value;
            seen.moved.push(...sources.map(({ node }) => `${node?.nodeName} ${node?.className ?? ''} ${node?.textContent?.slice(0, 40)}`));
          }
        }).observe({ type: 'layout-shift', buffered: true });
      });
      await one.goto(`${job.url}/inspect/${hash}`);
      await one.locator('main').getByText(sign).first().waitFor();
      await one.waitForLoadState('networkidle');
      await one.evaluate((ms) => new Promise((done) => {
        let last = performance.now();
        const watch = new MutationObserver(() => (last = performance.now()));
        watch.observe(document.querySelector('main'), { subtree: true, childList: true });
        const look = () => (performance.now() - last > ms ? done() : requestAnimationFrame(look));
        look();
      }), REST_MS);
      const { shift, moved, paint } = await one.evaluate(() => ({ ...seen, paint: Object.fromEntries(performance.getEntriesByType('paint').map(({ name, startTime }) => [name, Math.round(startTime)])) }));
      saw.loads[`${name} ${width}`] = { shift, moved: moved.slice(0, 6), first: paint['first-paint'], content: paint['first-contentful-paint'] };
      await one.close();
    }
  }
}
