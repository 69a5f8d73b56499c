// Measures scripts after bundling and minifying: ours and @helia/verified-fetch, with the same
// bundler. Job: { packages }. Result: { http, whole, glue }, in bytes after gzip. `glue` is the
// JavaScript of each package.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { job, result } from "./lib.mjs";

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

const glue = job().packages.map((folder) => size(readFileSync(join(folder, "interplanar.js"), "utf8")));
result({ http: await size(HTTP), whole: await size(WHOLE), glue: await Promise.all(glue) });
