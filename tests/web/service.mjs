// Drives a real Chromium with the service worker. tests/tests/service.rs writes the job: { workers,
// settings, … }. The script serves the worker's folder on a loopback port. The result is what it
// saw.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { join, extname } from 'node:path';
import { chromium } from 'playwright-core';
import { job as read, result } from './lib.mjs';

const job = read();
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' };

// Replacements for files, for an update and for the kill switch.
const instead = new Map();
let down = false;
const requests = [];
const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  requests.push(pathname);
  if (down) return request.socket.destroy();
  try {
    const name = pathname === '/' ? '/index.html' : pathname;
    const body = instead.get(name) ?? (await readFile(join(job.workers, 'service', name)));
    response.writeHead(200, { 'Content-Type': TYPES[extname(name)] ?? 'text/plain', 'Cache-Control': 'no-cache' });
    response.end(body);
  } catch {
    response.writeHead(404).end('not found\n');
  }
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const origin = `http://127.0.0.1:${server.address().port}`;

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu'],
});
const context = await browser.newContext();
// The machine may be slow or busy.
context.setDefaultTimeout(180_000);
const saw = {};

// Opens a page that the worker controls.
async function tab(settings) {
  const page = await context.newPage();
  page.on('console', (message) => console.error(`page: ${message.text()}`));
  await page.goto(`${origin}/`);
  await page.evaluate(async (settings) => {
    const { register } = await import('/interplanar.js');
    globalThis.updates = [];
    globalThis.interplanar = await register({ onUpdate: (takeOver) => globalThis.updates.push(takeOver) });
    if (settings) await interplanar.configure(settings);
  }, settings);
  return page;
}

// Fetches a URL in the page. Returns the response with the hash of its body.
async function ask(page, path, headers = {}, method = 'GET') {
  return page.evaluate(
    async ({ path, headers, method }) => {
      const response = await fetch(path, { headers, method });
      let body;
      try {
        body = new Uint8Array(await response.arrayBuffer());
      } catch (error) {
        return { status: response.status, failed: String(error) };
      }
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', body));
      return {
        status: response.status,
        headers: Object.fromEntries(response.headers),
        length: body.length,
        sha256: [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join(''),
        text: body.length < 100_000 ? new TextDecoder().decode(body) : undefined,
      };
    },
    { path, headers, method },
  );
}

// Opens an address. Returns what a user sees.
async function open(path) {
  // The page stays open: if it closes at once, an update in Chromium may never end.
  const page = await context.newPage();
  const response = await page.goto(`${origin}${path}`);
  return {
    url: page.url().slice(origin.length),
    status: response.status(),
    headers: response.headers(),
    fromWorker: response.fromServiceWorker(),
    title: await page.title(),
    text: await page.evaluate(() => document.body?.innerText ?? ''),
    links: await page.evaluate(() => [...document.links].map((link) => link.getAttribute('href'))),
    // Whether the shown content could read the origin's data.
    storage: await page.evaluate(() => {
      try {
        return typeof localStorage.length;
      } catch (error) {
        return error.name;
      }
    }),
    };
}

try {
  const first = await tab(job.settings);
  saw.version = await first.evaluate(() => interplanar.version());
  for (const [name, { path, headers, method }] of Object.entries(job.ask ?? {})) saw[name] = await ask(first, path, headers, method);
  for (const [name, path] of Object.entries(job.open ?? {})) saw[name] = await open(path);

  if (job.twoTabs) {
    const second = await tab();
    // Fetches the same file twice and another one, all at once.
    [saw.firstTab, saw.secondTab] = await Promise.all([ask(first, job.twoTabs[0]), ask(second, job.twoTabs[1])]);
    saw.secondSettings = await second.evaluate(() => interplanar.settings());
    await second.close();
  }
  if (job.badSettings) {
    saw.badSettings = await first.evaluate(
      (settings) => interplanar.configure(settings).then(() => 'taken', (error) => error.message),
      job.badSettings,
    );
  }
  if (job.offline) {
    // Without the page's server and gateways, content that was seen before is still available.
    down = true;
    await first.evaluate((settings) => interplanar.configure(settings), { ...job.settings, ...job.offline.settings });
    // The worker ends, and starts again with the stored data.
    const client = await context.newCDPSession(first);
    await client.send('ServiceWorker.enable');
    await client.send('ServiceWorker.stopAllWorkers');
    for (const [name, path] of Object.entries(job.offline.ask)) saw[name] = await ask(first, path);
    for (const [name, path] of Object.entries(job.offline.open)) saw[name] = await open(path);
    down = false;
    await first.evaluate((settings) => interplanar.configure(settings), job.settings);
  }
  if (job.update) {
    const script = await readFile(join(job.workers, 'service/sw.js'), 'utf8');
    const build = script.match(/const BUILD = '([^']*)'/)[1];
    instead.set('/sw.js', script.replaceAll(build, 'next-build'));
    await first.evaluate(() => interplanar.update().then(() => true));
    await first.waitForFunction(() => globalThis.updates.length > 0);
    // The new version waits until a page activates it.
    saw.beforeUpdate = await first.evaluate(() => interplanar.version());
    await first.evaluate(async () => {
      const changed = new Promise((resolve) => navigator.serviceWorker.addEventListener('controllerchange', resolve, { once: true }));
      await globalThis.updates.pop()();
      await changed;
    });
    saw.afterUpdate = await first.evaluate(() => interplanar.version());
    saw.afterUpdateAsked = await ask(first, job.update);
    saw.programs = await first.evaluate(async () => {
      const programs = await caches.open('interplanar-programs');
      return (await programs.keys()).map((request) => new URL(request.url).search);
    });
  }
  if (job.kill) {
    instead.set('/sw.js', await readFile(join(job.workers, 'service/kill.js')));
    // A page that doesn't register the worker again.
    instead.set('/index.html', '<!DOCTYPE html><title>Gone</title>');
    await Promise.all([
      first.waitForNavigation(),
      first.evaluate(() => void interplanar.update()),
    ]);
    saw.afterKill = await first.evaluate(async () => ({
      registrations: (await navigator.serviceWorker.getRegistrations()).length,
      caches: await caches.keys(),
    }));
    saw.networkAfterKill = await ask(first, '/ipfs/bafkqaaa');
  }
  saw.requests = requests;
} finally {
  await browser.close();
}
result(saw);
