// Fetches the same files with `fetchIpfs` and with @helia/verified-fetch, from the same gateway.
// Job: { package, gateway, cases: [{ url, range?, fails? }] }. Result: { ours, theirs } for each
// case; each of them is { bytes, sha256 } or { error }.

import { codes, digest, interplanar, job, result } from "./lib.mjs";
import { verifiedFetch } from "./verified-fetch.mjs";

const { package: folder, gateway, cases } = job();
const { Gateways, fetchIpfs } = await interplanar(folder);
let theirs = await verifiedFetch([gateway]);

// @helia/verified-fetch continues after it was stopped, and then nothing handles its errors.
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

/**
 * @helia/verified-fetch may fail if it requests hundreds of blocks at once, so it may try again.
 */
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
  // @helia/verified-fetch waits for ever for a block that doesn't exist.
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
