// Helia with HTTP gateways only, and its @helia/verified-fetch. Tests and benches compare with it,
// in Node and bundled for a page.

// Node 20 lacks this function.
Promise.withResolvers ??= function withResolvers() {
  const made = {};
  made.promise = new this((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};

const { withHTTP } = await import("@helia/http");
const { createVerifiedFetchWithHelia } = await import("@helia/verified-fetch");
const { createHeliaLight } = await import("helia");

/** Creates a Helia node that uses only these gateways, and a router without any records. */
export async function heliaWith(gateways, router) {
  const options = {
    delegatedRouters: [router],
    recursiveGateways: gateways,
    allowInsecure: true,
    allowLocal: true,
  };
  return withHTTP(createHeliaLight(), options).start();
}

/** Creates a verified fetch with such a node. */
export const verifiedFetchWith = (helia) => createVerifiedFetchWithHelia(helia);
