// What @helia/verified-fetch weighs when it is bundled and minified: result { http, whole }, bytes after gzip.

import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { result } from "./lib.mjs";

const HTTP = `
import { withHTTP } from "@helia/http";
import { createVerifiedFetchWithHelia } from "@helia/verified-fetch";
import { createHeliaLight } from "helia";
export const verifiedFetch = async (gateways) =>
  createVerifiedFetchWithHelia(await withHTTP(createHeliaLight(), { delegatedRouters: [], recursiveGateways: gateways }).start());
`;
const WHOLE = `export { createVerifiedFetch } from "@helia/verified-fetch";`;

async function size(contents) {
  const bundle = await build({
    stdin: { contents, resolveDir: import.meta.dirname },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    write: false,
    logLevel: "error",
  });
  return gzipSync(bundle.outputFiles[0].contents, { level: 9 }).length;
}

result({ http: await size(HTTP), whole: await size(WHOLE) });
