// Functions for all scripts here. A script reads its job as JSON from standard input, and writes
// its result as JSON on the last line.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

// A script that hangs must fail.
setTimeout(() => {
  console.error("the script did not end within five minutes");
  process.exit(1);
}, 300_000).unref();

/** Reads the job. */
export const job = () => JSON.parse(readFileSync(0, "utf8"));

/** Writes the result and exits. */
export function result(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`, () => process.exit(0));
}

/** Reads a stream to its end. Returns the number of bytes, and their SHA-256. */
export async function digest(stream) {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const piece of stream) {
    hash.update(piece);
    bytes += piece.length;
  }
  return { bytes, sha256: hash.digest("hex") };
}

/** Returns the codes of an error and of its causes. */
export function codes(error) {
  const found = [];
  for (let at = error; at instanceof Error && found.length < 8; at = at.cause) {
    found.push(at.code ?? at.name);
  }
  return found;
}

/** Loads the npm package. `exports` has its module's memory. */
export async function interplanar(folder) {
  const api = await import(`${folder}/interplanar.js`);
  const exports = api.initSync({ module: readFileSync(`${folder}/interplanar_bg.wasm`) });
  return { ...api, exports };
}
