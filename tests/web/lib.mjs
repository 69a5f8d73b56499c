// What the scripts share: a job comes as JSON on standard input, its result goes out as JSON in the last line.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

// A test that hangs is to fail.
setTimeout(() => {
  console.error("no end within five minutes");
  process.exit(1);
}, 300_000).unref();

/** The job. */
export const job = () => JSON.parse(readFileSync(0, "utf8"));

/** Ends with a result. */
export function result(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`, () => process.exit(0));
}

/** Reads a stream to its end: how many bytes, and their SHA-256. */
export async function digest(stream) {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const piece of stream) {
    hash.update(piece);
    bytes += piece.length;
  }
  return { bytes, sha256: hash.digest("hex") };
}

/** What an error says of itself, with the codes of what caused it. */
export function codes(error) {
  const found = [];
  for (let at = error; at instanceof Error && found.length < 8; at = at.cause) {
    found.push(at.code ?? at.name);
  }
  return found;
}

/** The npm package, its module and its memory. */
export async function interplanar(folder) {
  const api = await import(`${folder}/interplanar.js`);
  const exports = api.initSync({ module: readFileSync(`${folder}/interplanar_bg.wasm`) });
  return { ...api, exports };
}
