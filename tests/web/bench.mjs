// One measurement in a fresh process: job { what, package, gateway, cids, root?, rounds?, file?, method?, size? }; result { ms, mib }: the last of
// some rounds, the ones before it warm the compilers up; mib is the most memory that the process ever had.

import { readFileSync } from "node:fs";
import { interplanar, job, result } from "./lib.mjs";

const { what, package: folder, gateway, cids, root, rounds = 3, file, method, size } = job();

async function drain(stream) {
  let bytes = 0;
  for (const reader = stream.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) {
      return bytes;
    }
    bytes += value.length;
  }
}

const all = (get) => Promise.all(cids.map(get));

const ways = {
  plain: () => () => all(async (cid) => drain((await fetch(`${gateway}/ipfs/${cid}`)).body)),

  async ours() {
    const { Gateways, fetchIpfs } = await interplanar(folder);
    return () => {
      const gateways = new Gateways([gateway]);
      return all((cid) => drain(fetchIpfs(`ipfs://${cid}`, gateways)));
    };
  },

  /** The same files as a directory. */
  async tree() {
    const { Gateways, fetchTree } = await interplanar(folder);
    return async () => {
      const stream = fetchTree(`ipfs://${root}`, new Gateways([gateway]));
      let files = 0;
      for (const reader = stream.getReader(); ; ) {
        const { done, value } = await reader.read();
        if (done) {
          break;
        }
        files += value.type === "file" ? 1 : 0;
      }
      if (files !== cids.length) {
        throw new Error(`${files} files`);
      }
    };
  },

  theirs: (session) => async () => {
    const { verifiedFetch } = await import("./verified-fetch.mjs");
    const get = await verifiedFetch([gateway]);
    await all(async (cid) => drain((await get(`ipfs://${cid}`, { session })).body));
    return get.end;
  },

  async decode() {
    const { DecompressStream } = await interplanar(folder);
    const bytes = readFileSync(file);
    return () => drain(new Blob([bytes]).stream().pipeThrough(new DecompressStream(method, size)));
  },
};

const once = {
  plain: ways.plain,
  ours: ways.ours,
  "ours, as a tree": ways.tree,
  "theirs, session": () => ways.theirs(true),
  theirs: () => ways.theirs(false),
  decode: ways.decode,
};
const run = await once[what]();
let ms;
for (let round = 0; round < rounds; round += 1) {
  const start = performance.now();
  const end = await run();
  ms = performance.now() - start;
  // It keeps what it fetched: each round has a new one.
  await (typeof end === "function" && end());
}
result({ ms, mib: process.resourceUsage().maxRSS / 1024 });
