// The shell of the edge worker: everything is decided in WebAssembly.
import wasm from './interplanar_worker_bg.wasm';
import { initSync, Worker, __wbg_reset_state } from './interplanar_worker.js';

let worker;

function start(env) {
  initSync({ module: wasm });
  worker ??= Worker.edge(env, caches.default);
  return worker;
}

// After a panic the instance is not to be trusted: the next request gets a new one.
function restart() {
  worker = undefined;
  __wbg_reset_state();
}

// Tells the client the length, and makes a body that ends early an error of the connection.
function sized(response, context) {
  const length = response.headers.get('Content-Length');
  if (!response.body || length === null) return response;
  const { readable, writable } = new FixedLengthStream(Number(length));
  // What went wrong the reader sees as well.
  context.waitUntil(response.body.pipeTo(writable).catch(() => {}));
  return new Response(readable, response);
}

export default {
  async fetch(request, env, context) {
    try {
      return sized(await start(env).fetch(request), context);
    } catch (error) {
      console.error(`interplanar: ${error}`);
      if (error instanceof WebAssembly.RuntimeError) restart();
      return new Response('internal error\n', { status: 500 });
    }
  },
};
