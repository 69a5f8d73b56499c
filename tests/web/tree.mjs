// Fetches a directory and everything below it with `fetchTree`, in Node or in Chromium. Job: {
// package, gateway, url, chromium }. Result: { entries, error, stopped }: the entries in order,
// with the SHA-256 of each file's content; the codes of its error; and the codes of a second fetch
// that was aborted at its first entry.

import { interplanar, job, result } from "./lib.mjs";
import { inPage } from "./page.mjs";

const { package: folder, gateway, url, chromium } = job();

/** Runs in Node or in the page. */
async function read({ gateway, url, api }) {
  const { default: start, Gateways, fetchTree } = api ?? (await import("/interplanar.js"));
  await (api ?? start());
  const entries = [];
  let pieces = [];
  const finish = async () => {
    const last = entries.at(-1);
    if (last?.type === "file") {
      const content = new Uint8Array(await new Blob(pieces).arrayBuffer());
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
      last.sha256 = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    } else if (pieces.length > 0) {
      throw new Error("content of what is no file");
    }
    pieces = [];
  };
  let error = null;
  try {
    const reader = fetchTree(url, new Gateways([gateway])).getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      if (next.value instanceof Uint8Array) {
        pieces.push(next.value);
      } else {
        await finish();
        entries.push(next.value);
      }
    }
    await finish();
  } catch (failed) {
    error = [failed.code ?? String(failed), failed.cause?.code ?? null];
  }
  const abort = new AbortController();
  let stopped = null;
  try {
    const reader = fetchTree(url, new Gateways([gateway]), { signal: abort.signal }).getReader();
    await reader.read();
    abort.abort(new Error("enough"));
    for (let next = await reader.read(); !next.done; next = await reader.read());
  } catch (failed) {
    stopped = failed.message;
  }
  return { entries, error, stopped };
}

result(await (chromium ? inPage(folder, read, { gateway, url }) : read({ gateway, url, api: await interplanar(folder) })));
