// Drives a real Chromium through the inspector as a user would. tests/tests/inspector writes the
// job: { scenario, url, screenshots, … }. The scenario is inspector/<scenario>.mjs. The result
// contains what the scenario saw, and the browser's errors and warnings.
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { job as read, result } from './lib.mjs';

const job = read();
const axe = readFileSync(new URL('../../www/node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu'] });
const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true, permissions: ['clipboard-read', 'clipboard-write'] });
// The machine may be slow or busy.
context.setDefaultTimeout(120_000);
const page = await context.newPage();

const saw = { complaints: [], hosts: [], violations: {} };
page.on('console', (message) => {
  if (['error', 'warning'].includes(message.type())) saw.complaints.push(message.text());
});
page.on('pageerror', (error) => saw.complaints.push(String(error)));
page.on('dialog', (dialog) => {
  saw.complaints.push(`a dialog: ${dialog.message()}`);
  dialog.dismiss();
});
context.on('request', (request) => {
  const { host, protocol } = new URL(request.url());
  if (protocol.startsWith('http') && !saw.hosts.includes(host)) saw.hosts.push(host);
});

mkdirSync(job.screenshots, { recursive: true });
const tools = {
  page, context, job, saw,
  /** Opens a view of the inspector. */
  go: (hash) => page.goto(`${job.url}/inspect/${hash}`),
  /** Takes a screenshot, and checks the page with axe-core. */
  async look(name, options = {}) {
    await page.screenshot({ path: join(job.screenshots, `inspector-${name}.png`), ...options });
    // Scripts from Chrome's protocol aren't subject to the page's Content-Security-Policy.
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run(document));
    if (violations.length > 0) saw.violations[name] = violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html }) => html).join(' | ')}`);
  },
  main: () => page.locator('main').innerText(),
};

try {
  const { default: scenario } = await import(`./inspector/${job.scenario}.mjs`);
  await scenario(tools);
} catch (error) {
  saw.failed = String(error.stack ?? error);
  await page.screenshot({ path: join(job.screenshots, `inspector-failed-${job.scenario}.png`) }).catch(() => {});
  saw.shown = await tools.main().catch(() => '');
} finally {
  await browser.close();
}
result(saw);
