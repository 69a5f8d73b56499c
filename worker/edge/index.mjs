// The JavaScript shell of the edge worker. The WebAssembly module handles every request.
import wasm from './interplanar_worker_bg.wasm';
import { initSync, Worker, __wbg_reset_state } from './interplanar_worker.js';

let worker;

function start(env) {
  initSync({ module: wasm });
  worker ??= Worker.edge(env, caches.default);
  return worker;
}

// After a panic, the instance is unusable. The next request gets a new one.
function restart() {
  worker = undefined;
  __wbg_reset_state();
}

export default {
  async fetch(request, env, context) {
    try {
      const answer = start(env).fetch(request, context);
      // The work continues if the client leaves.
      context.waitUntil(answer.catch(() => {}));
      return await answer;
    } catch (error) {
      console.error(`interplanar: ${error}`);
      if (error instanceof WebAssembly.RuntimeError || error.code === 'PANIC') restart();
      return new Response('internal error\n', { status: 500 });
    }
  },
};
