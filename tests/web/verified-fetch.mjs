// Helia over HTTP gateways alone, and its @helia/verified-fetch: the named peer of the tests and of the bench.

import { createServer } from "node:http";

// Node 20 lacks it.
Promise.withResolvers ??= function withResolvers() {
  const made = {};
  made.promise = new this((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};

const { withHTTP } = await import("@helia/http");
const { createVerifiedFetchWithHelia } = await import("@helia/verified-fetch");
const { createHeliaLight } = await import("helia");

/** A delegated router that knows nobody: without any, no gateway is asked either. */
function router() {
  const server = createServer((request, response) => {
    response.writeHead(200, { "Content-Type": "application/json" });
    response.end(JSON.stringify({ Providers: [] }));
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

/** A Helia node that asks these gateways only; `end` stops it. */
export async function heliaNode(gateways) {
  const server = await router();
  const options = {
    delegatedRouters: [`http://127.0.0.1:${server.address().port}`],
    recursiveGateways: gateways,
    allowInsecure: true,
    allowLocal: true,
  };
  const helia = await withHTTP(createHeliaLight(), options).start();
  const end = async () => {
    await helia.stop();
    server.closeAllConnections();
    server.close();
  };
  return { helia, end };
}

/** A verified fetch that asks these gateways only. */
export async function verifiedFetch(gateways) {
  const { helia, end } = await heliaNode(gateways);
  const get = await createVerifiedFetchWithHelia(helia);
  get.end = end;
  return get;
}
