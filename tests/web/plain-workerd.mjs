// Runs the edge worker in workerd itself, without the simulators around it: node plain-workerd.mjs
// FOLDER VARIABLES-AS-JSON. Prints its address and its process ID. `caches.default` stores nothing
// here.
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRequire } from 'node:module';

// The package's own entry is only a script that starts the program.
const workerd = createRequire(import.meta.url).resolve('@cloudflare/workerd-linux-64/bin/workerd');
const [folder, variables] = process.argv.slice(2);
const text = (value) => JSON.stringify(String(value));
const bindings = Object.entries(JSON.parse(variables)).map(([name, value]) => `(name = ${text(name)}, text = ${text(value)})`);
const config = `
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "internet", network = (allow = ["public", "private"], tlsOptions = (trustBrowserCas = true))),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [
    (name = "index.mjs", esModule = embed "index.mjs"),
    (name = "interplanar_worker.js", esModule = embed "interplanar_worker.js"),
    (name = "interplanar_worker_bg.wasm", wasm = embed "interplanar_worker_bg.wasm"),
  ],
  compatibilityDate = "2026-01-01",
  bindings = [${bindings.join(', ')}],
);
`;
const place = mkdtempSync(join(tmpdir(), 'workerd-'));
process.on('exit', () => rmSync(place, { recursive: true }));
cpSync(folder, place, { recursive: true });
const path = join(place, 'config.capnp');
writeFileSync(path, config);
const child = spawn(workerd, ['serve', path, '--control-fd=3'], { stdio: ['ignore', 'inherit', 'inherit', 'pipe'] });
child.on('exit', (code) => process.exit(code ?? 1));
process.on('SIGTERM', () => child.kill());
for await (const line of createInterface(child.stdio[3])) {
  const event = JSON.parse(line);
  if (event.event === 'listen') console.log(JSON.stringify({ url: `http://127.0.0.1:${event.port}`, pid: child.pid }));
}
