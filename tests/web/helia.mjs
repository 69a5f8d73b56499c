// Helia over HTTP gateways alone, and its @helia/verified-fetch: the named peer of the tests and of the bench, in Node and bundled for a page.

// Node 20 lacks it.
Promise.withResolvers ??= function withResolvers() {
  const made = {};
  made.promise = new this((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};

const { withHTTP } = await import("@helia/http");
const { createVerifiedFetchWithHelia } = await import("@helia/verified-fetch");
const { createHeliaLight } = await import("helia");

/** A Helia node that asks these gateways only, and a router that knows nobody. */
export async function heliaWith(gateways, router) {
  const options = {
    delegatedRouters: [router],
    recursiveGateways: gateways,
    allowInsecure: true,
    allowLocal: true,
  };
  return withHTTP(createHeliaLight(), options).start();
}

/** A verified fetch of such a node. */
export const verifiedFetchWith = (helia) => createVerifiedFetchWithHelia(helia);
