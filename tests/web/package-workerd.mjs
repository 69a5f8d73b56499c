// Runs the npm package in Cloudflare's own runtime, with the package's entry for workerd. Job: {
// package, gateway, file, tree }. Result: { file, entries, error }: { bytes, sha256 } of a fetch,
// the number of entries of a tree, and the error code for an invalid URL.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Miniflare } from "miniflare";
import { digest, job, result } from "./lib.mjs";

const { package: folder, gateway, file, tree } = job();
const WORKER = `
import start, { Gateways, fetchIpfs, fetchTree } from "./workerd.js";

const answers = {
  file: ({ gateway, url }) => new Response(fetchIpfs(url, new Gateways([gateway]))),
  async tree({ gateway, url }) {
    let entries = 0;
    for await (const value of fetchTree(url, new Gateways([gateway]))) {
      entries += value instanceof Uint8Array ? 0 : 1;
    }
    return Response.json(entries);
  },
};

export default {
  async fetch(request) {
    await start();
    const asked = await request.json();
    try {
      return await answers[asked.what](asked);
    } catch (error) {
      return Response.json(error.code);
    }
  },
};
`;
const module = (type, path) => ({ type, path, contents: readFileSync(join(folder, path)) });
const script = (path) => ({ ...module("ESModule", path), contents: readFileSync(join(folder, path), "utf8") });
const miniflare = new Miniflare({
  modules: [
    { type: "ESModule", path: "index.mjs", contents: WORKER },
    script("workerd.js"),
    script("interplanar.js"),
    module("CompiledWasm", "interplanar_bg.wasm"),
  ],
  modulesRoot: "/",
  compatibilityDate: "2026-01-01",
});
const ask = (what, url) => miniflare.dispatchFetch("http://worker/", { method: "POST", body: JSON.stringify({ what, gateway, url }) });
const answer = {
  file: await digest((await ask("file", file)).body),
  entries: await (await ask("tree", tree)).json(),
  error: await (await ask("file", "no URL")).json(),
};
await miniflare.dispose();
result(answer);
