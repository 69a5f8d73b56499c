// Measures fetches in Chromium. Job: { package, gateway, cid, rounds }. Result: { plain, ours,
// theirs, start }, each a list of milliseconds. `start` is the time from the start of instantiation
// to the first verified byte of a local block, with a compiled module or without. `theirs` is
// @helia/verified-fetch with a session. Each round has a new node; creating it isn't timed.

import { build } from "esbuild";
import { job, result } from "./lib.mjs";
import { inPage } from "./page.mjs";
import { router } from "./verified-fetch.mjs";

const { package: folder, gateway, cid, rounds } = job();

/** Bundles the scripts of @helia/verified-fetch. */
async function theirs() {
  const bundle = await build({
    stdin: { contents: `export * from "./helia.mjs";`, resolveDir: import.meta.dirname },
    bundle: true,
    format: "esm",
    platform: "browser",
    write: false,
    logLevel: "error",
  });
  return bundle.outputFiles[0].contents;
}

async function measure({ gateway, router, cid, rounds }) {
  // No side may read or fill the browser's cache.
  const { fetch } = globalThis;
  globalThis.fetch = (input, init) => fetch(input, { ...init, cache: "no-store" });
  const drain = async (stream) => {
    for (const reader = stream.getReader(); ; ) {
      if ((await reader.read()).done) {
        return;
      }
    }
  };
  const timed = async (work) => {
    const start = performance.now();
    await work();
    return performance.now() - start;
  };
  const api = await import("/interplanar.js");
  const hello = { get: () => new TextEncoder().encode("hello world"), put: () => {} };
  const block = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e";
  const start = await timed(async () => {
    await api.default();
    await drain(api.fetchIpfs(`ipfs://${block}`, new api.Gateways([]), { blocks: hello }));
  });
  const { heliaWith, verifiedFetchWith } = await import("/helia.js");
  const times = { plain: [], ours: [], theirs: [], start: [start] };
  // The first rounds warm up compilers and connections.
  for (let round = -2; round < rounds; round += 1) {
    const helia = await heliaWith([gateway], router);
    const get = await verifiedFetchWith(helia);
    const ways = {
      plain: async () => drain((await globalThis.fetch(`${gateway}/ipfs/${cid}`)).body),
      ours: () => drain(api.fetchIpfs(`ipfs://${cid}`, new api.Gateways([gateway]))),
      theirs: async () => drain((await get(`ipfs://${cid}`, { session: true })).body),
    };
    for (const [name, way] of Object.entries(ways)) {
      const ms = await timed(way);
      if (round >= 0) {
        times[name].push(ms);
      }
    }
    await helia.stop();
  }
  return times;
}

const server = await router();
const address = `http://127.0.0.1:${server.address().port}`;
const scripts = { "/helia.js": await theirs() };
result(await inPage(folder, measure, { gateway, router: address, cid, rounds }, scripts));
