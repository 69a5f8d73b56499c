// The kill switch: put this in the place of sw.js, and every browser that comes by removes the worker and all that it kept.
'use strict';
self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) =>
  event.waitUntil(
    (async () => {
      await self.registration.unregister();
      const names = await caches.keys();
      await Promise.all(names.filter((name) => name.startsWith('interplanar-')).map((name) => caches.delete(name)));
      for (const client of await self.clients.matchAll({ type: 'window' })) await client.navigate(client.url);
    })(),
  ),
);
