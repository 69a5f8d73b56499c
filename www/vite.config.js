// All URLs are relative, so that the site works in any folder, on any host and on IPFS. The service
// worker is written last: it contains the names of all files, and a hash of their content as
// version.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { defineConfig } from 'vite';

const serviceWorker = {
  name: 'interplanar-service-worker',
  generateBundle(_options, bundle) {
    const version = createHash('sha256');
    const files = Object.keys(bundle).sort();
    for (const name of files) {
      const file = bundle[name];
      version.update(name).update(file.type === 'chunk' ? file.code : file.source);
    }
    const template = readFileSync(new URL('src/sw.js', import.meta.url), 'utf8');
    const source = template
      .replace('@VERSION@', version.digest('hex').slice(0, 16))
      .replace('["@FILES@"]', JSON.stringify(['./', './icon.svg', ...files.filter((name) => name !== 'index.html').map((name) => `./${name}`)]));
    this.emitFile({ type: 'asset', fileName: 'sw.js', source });
  },
};

export default defineConfig({
  base: './',
  plugins: [serviceWorker],
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // scripts/www empties the folder, because the folder itself is in the repository.
    emptyOutDir: false,
    reportCompressedSize: false,
  },
});
