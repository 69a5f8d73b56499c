// Helia with the router that it needs, which is a server. See helia.mjs.

import { createServer } from "node:http";
import { heliaWith, verifiedFetchWith } from "./helia.mjs";

/**
 * A delegated router without records, for pages too. Without a router, Helia contacts no gateway.
 */
export function router() {
  const server = createServer((request, response) => {
    response.writeHead(200, { "Content-Type": "application/json", "Access-Control-Allow-Origin": "*" });
    response.end(JSON.stringify({ Providers: [] }));
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

/** Creates a Helia node that uses only these gateways; `end` stops it. */
export async function heliaNode(gateways) {
  const server = await router();
  const helia = await heliaWith(gateways, `http://127.0.0.1:${server.address().port}`);
  const end = async () => {
    await helia.stop();
    server.closeAllConnections();
    server.close();
  };
  return { helia, end };
}

/** Creates a verified fetch that uses only these gateways. */
export async function verifiedFetch(gateways) {
  const { helia, end } = await heliaNode(gateways);
  const get = await verifiedFetchWith(helia);
  get.end = end;
  return get;
}
