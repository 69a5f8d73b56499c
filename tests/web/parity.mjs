// The same files by `fetchIpfs` and by @helia/verified-fetch, from the same gateway.
// Job: { package, gateway, cases: [{ url, range?, fails? }] }; result: for each case { ours, theirs }, each { bytes, sha256 } or { error }.

import { codes, digest, interplanar, job, result } from "./lib.mjs";
import { verifiedFetch } from "./verified-fetch.mjs";

const { package: folder, gateway, cases } = job();
const { Gateways, fetchIpfs } = await interplanar(folder);
let theirs = await verifiedFetch([gateway]);

// Theirs goes on in the background when it was told to stop, and then nobody waits for its errors.
process.on("unhandledRejection", () => {});

const tried = async (get) => {
  try {
    return await get();
  } catch (error) {
    return { error: codes(error) };
  }
};

async function byOurs({ url, range }) {
  const gateways = new Gateways([gateway]);
  return digest(fetchIpfs(url, gateways, { range }));
}

/** It may fail when it asks for hundreds of blocks at once, so it may try again. */
async function byTheirs(one) {
  for (let left = one.fails ? 0 : 2; left > 0; left -= 1) {
    try {
      return await onceByTheirs(one);
    } catch {
      theirs = await verifiedFetch([gateway]);
    }
  }
  return onceByTheirs(one);
}

async function onceByTheirs({ url, range }) {
  const headers = range ? { range: `bytes=${range.from}-${range.to ?? ""}` } : {};
  // It waits for ever for a block that nobody has.
  const response = await theirs(url, { headers, session: false, signal: AbortSignal.timeout(10_000) });
  if (!response.ok) {
    return { error: [response.status] };
  }
  return digest(response.body);
}

const results = [];
for (const one of cases) {
  results.push({ ours: await tried(() => byOurs(one)), theirs: await tried(() => byTheirs(one)) });
}
result(results);
