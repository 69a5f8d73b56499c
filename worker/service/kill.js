// The kill switch. Replace sw.js with this file, and every browser that visits the site removes the
// worker and all its data.
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
