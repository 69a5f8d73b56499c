// The JavaScript shell of the service worker. The WebAssembly module handles every request. Serve
// it from the root of an origin of its own.
'use strict';
const BUILD = '@BUILD@';
const GLUE = `interplanar_worker.js?${BUILD}`;
const PROGRAM = `interplanar_worker_bg.wasm?${BUILD}`;
// Caches for programs (by build), for settings, and for blocks and narinfos.
const CACHES = { programs: 'interplanar-programs', settings: 'interplanar-settings', kept: 'interplanar-kept-1' };
const SETTINGS = '/interplanar/settings';
// The paths that this worker answers; the network answers all others. The letters are Nix's base
// 32.
const OURS = /^\/(ipfs(\/|$)|nar\/|nix-cache-info$|healthz$|version$|[0-9a-df-np-sv-z]{32}\.(narinfo|ls)$)/;

let starting;
let worker;

importScripts(GLUE);

// After a panic, the instance is unusable. The next request gets a new one.
function restart() {
  importScripts(GLUE);
  starting = undefined;
  worker = undefined;
}

async function readSettings() {
  const kept = await (await caches.open(CACHES.settings)).match(SETTINGS);
  return kept ? kept.json() : {};
}

async function program() {
  const programs = await caches.open(CACHES.programs);
  const kept = await programs.match(PROGRAM);
  if (kept) return kept;
  const fresh = await fetch(PROGRAM);
  if (!fresh.ok) throw new Error(`${PROGRAM}: ${fresh.status}`);
  await programs.put(PROGRAM, fresh.clone());
  return fresh;
}

async function make(settings) {
  return wasm_bindgen.Worker.service(settings, await caches.open(CACHES.kept));
}

async function start() {
  starting ??= (async () => {
    await wasm_bindgen({ module_or_path: await program() });
    worker = await make(await readSettings());
  })();
  try {
    await starting;
  } catch (error) {
    starting = undefined;
    throw error;
  }
  return worker;
}

async function answer(request) {
  try {
    return await (await start()).fetch(request);
  } catch (error) {
    console.error('interplanar:', error);
    if (error instanceof WebAssembly.RuntimeError || error.code === 'PANIC') restart();
    return new Response(`The service worker failed: ${error}\n`, {
      status: 500,
      headers: { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' },
    });
  }
}

async function kill() {
  await self.registration.unregister();
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith('interplanar-')).map((name) => caches.delete(name)));
}

// The commands that a page may send; see interplanar.js.
const commands = {
  version: async () => ({ build: BUILD, version: (await start(), wasm_bindgen.Worker.version()) }),
  settings: readSettings,
  configure: async (settings) => {
    await start();
    // Invalid settings throw here, and the old ones stay.
    const next = await make(settings);
    await (await caches.open(CACHES.settings)).put(SETTINGS, Response.json(settings));
    worker = next;
  },
  takeOver: () => self.skipWaiting(),
  kill,
};

self.addEventListener('install', (event) => event.waitUntil(program()));

self.addEventListener('activate', (event) =>
  event.waitUntil(
    (async () => {
      const programs = await caches.open(CACHES.programs);
      for (const request of await programs.keys()) {
        if (!request.url.endsWith(`?${BUILD}`)) await programs.delete(request);
      }
      await self.clients.claim();
    })(),
  ),
);

self.addEventListener('fetch', (event) => {
  const url = new URL(event.request.url);
  if (url.origin === self.location.origin && OURS.test(url.pathname)) event.respondWith(answer(event.request));
});

self.addEventListener('message', (event) => {
  const { command, argument } = event.data ?? {};
  const [port] = event.ports;
  if (!port || !Object.hasOwn(commands, command)) return;
  event.waitUntil(
    (async () => {
      try {
        port.postMessage({ result: await commands[command](argument) });
      } catch (error) {
        port.postMessage({ error: String(error?.message ?? error) });
      }
    })(),
  );
});
