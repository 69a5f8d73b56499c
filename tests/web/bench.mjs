// Measures one way of fetching, in a new process. Job: { what, package, gateway, sets, warm, file?,
// method?, size? }. Result: { ms, mib }. `ms` has the time of each set after the first `warm` sets,
// which warm up compilers and connections. `mib` is the peak memory of the process. A set is { cids
// } or { root, cids }: files, and the directory that contains them.

import { readFileSync } from "node:fs";
import { interplanar, job, result } from "./lib.mjs";

const { what, package: folder, gateway, sets, warm, file, method, size } = job();

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

/** Fetches all files at the same time. */
const together = ({ cids }, get) => Promise.all(cids.map(get));

async function apart({ cids }, get) {
  for (const cid of cids) {
    await get(cid);
  }
}

const ways = {
  plain: () => (set) => together(set, async (cid) => drain((await fetch(`${gateway}/ipfs/${cid}`)).body)),

  async ours() {
    const { Gateways, fetchIpfs } = await interplanar(folder);
    return (set) => {
      const gateways = new Gateways([gateway]);
      return together(set, (cid) => drain(fetchIpfs(`ipfs://${cid}`, gateways)));
    };
  },

  /** Fetches the same files as a directory. */
  async tree() {
    const { Gateways, fetchTree } = await interplanar(folder);
    return async ({ root, cids }) => {
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

  /** A Helia node stores what it fetches, so each set gets a new node. Creating it isn't timed. */
  theirs: (session, all) => async () => {
    const { verifiedFetch } = await import("./verified-fetch.mjs");
    return {
      make: () => verifiedFetch([gateway]),
      run: (set, get) => all(set, async (cid) => drain((await get(`ipfs://${cid}`, { session })).body)),
      end: (get) => get.end(),
    };
  },

  async decode() {
    const { DecompressStream } = await interplanar(folder);
    const bytes = readFileSync(file);
    return () => drain(new Blob([bytes]).stream().pipeThrough(new DecompressStream(method, size)));
  },
};

const named = {
  plain: ways.plain,
  ours: ways.ours,
  "ours, as a tree": ways.tree,
  "theirs, session": ways.theirs(true, together),
  "theirs, session, one after another": ways.theirs(true, apart),
  theirs: ways.theirs(false, together),
  decode: ways.decode,
};
const way = await named[what]();
const { make, run, end } = typeof way === "function" ? { run: way } : way;
const ms = [];
for (const set of sets) {
  const made = await make?.();
  const start = performance.now();
  await run(set, made);
  ms.push(performance.now() - start);
  await end?.(made);
}
result({ ms: ms.slice(warm), mib: process.resourceUsage().maxRSS / 1024 });
