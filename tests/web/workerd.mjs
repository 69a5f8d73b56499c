// Runs the edge worker in Cloudflare's own runtime: node workerd.mjs FOLDER VARIABLES-AS-JSON
// [CACHE-FOLDER]. Prints its address and its process ID.
import { Miniflare } from 'miniflare';
import { readFile } from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

const [folder, variables, cache] = process.argv.slice(2);
const module = async (type, path) => ({ type, path, contents: await readFile(join(folder, path)) });
const text = async (path) => ({ ...(await module('ESModule', path)), contents: await readFile(join(folder, path), 'utf8') });

const miniflare = new Miniflare({
  host: '127.0.0.1',
  port: 0,
  modules: [
    await text('index.mjs'),
    await text('interplanar_worker.js'),
    await module('CompiledWasm', 'interplanar_worker_bg.wasm'),
  ],
  modulesRoot: '/',
  compatibilityDate: '2026-01-01',
  assets: { directory: join(folder, 'assets'), routerConfig: { has_user_worker: true } },
  cachePersist: cache,
  bindings: JSON.parse(variables),
  handleRuntimeStdio(stdout, stderr) {
    stdout.pipe(process.stderr);
    stderr.pipe(process.stderr);
  },
});
const url = await miniflare.ready;
const children = execFileSync('pgrep', ['-P', String(process.pid), 'workerd'], { encoding: 'utf8' });
console.log(JSON.stringify({ url: url.origin, pid: Number(children.split('\n')[0]) }));

process.on('SIGTERM', async () => {
  await miniflare.dispose();
  process.exit(0);
});
