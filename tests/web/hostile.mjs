// Runs many fetches with a hostile gateway, and checks their results and the memory. Job: {
// package, hostile, honest?, url, tree, options, repetitions, sideBySide }. Result: { outcomes,
// faults, wasm, references, heap }: the count of each outcome, the reported faults of gateways, and
// the growth during the second half of the repetitions, in bytes and held values. Run it with
// --expose-gc.

import { setImmediate } from "node:timers/promises";
import { codes, digest, interplanar, job, result } from "./lib.mjs";

const { package: folder, hostile, honest, url, tree, options, repetitions, sideBySide } = job();
const { Gateways, fetchIpfs, fetchTree, exports } = await interplanar(folder);
const outcomes = {};
const faults = {};

/** Converts a tree to one stream of bytes: a line for each entry, followed by its content. */
async function* flat(stream) {
  for await (const value of stream) {
    yield value instanceof Uint8Array ? value : Buffer.from(`${value.type} ${value.path}\n`);
  }
}

const fetched = (...of) => (tree ? flat(fetchTree(...of)) : fetchIpfs(...of));

async function once() {
  const gateways = new Gateways(honest ? [hostile, honest] : [hostile]);
  const onEvent = ({ type, error }) => {
    if (type === "fault") {
      faults[error.code] = (faults[error.code] ?? 0) + 1;
    }
  };
  let outcome;
  try {
    outcome = (await digest(fetched(url, gateways, { ...options, onEvent }))).sha256;
  } catch (error) {
    outcome = codes(error).join(" ");
  }
  outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
}

/** Counts the JavaScript values that WebAssembly holds. */
function references(table) {
  let held = 0;
  for (let index = 0; index < table.length; index += 1) {
    // A freed slot is null; a slot that was never used is undefined.
    held += table.get(index) == null ? 0 : 1;
  }
  return held;
}

async function many(count) {
  for (let left = count; left > 0; left -= sideBySide) {
    await Promise.all(Array.from({ length: Math.min(left, sideBySide) }, once));
  }
  // Finalizers free memory between runs of the garbage collector.
  for (let turn = 0; turn < 5; turn += 1) {
    globalThis.gc();
    await setImmediate();
  }
  return {
    wasm: exports.memory.buffer.byteLength,
    references: references(exports.__wbindgen_externrefs),
    heap: process.memoryUsage().heapUsed,
  };
}

const half = Math.ceil(repetitions / 2);
const before = await many(half);
const after = await many(repetitions - half);
const grown = Object.fromEntries(Object.entries(after).map(([name, value]) => [name, value - before[name]]));
result({ outcomes, faults, ...grown });
