// Pauses a tree after its first entry, fetches another tree completely from the same gateway, and
// then reads the first one to its end. Job: { package, gateway, paused, other }; the last two are
// roots. Result: { taken, all, files, bytes, sha256 }: bytes of the first tree that the gateway had
// sent when the other was complete, and at the end; and the content of the first tree.

import { createHash } from "node:crypto";
import { createServer, get } from "node:http";
import { interplanar, job, result } from "./lib.mjs";

const { package: folder, gateway, paused, other } = job();
const { Gateways, fetchTree } = await interplanar(folder);

/** Bytes sent, by root. */
const sent = {};
const server = createServer((request, response) => {
  const root = request.url.split(/[/?]/)[2];
  sent[root] ??= 0;
  get(`${gateway}${request.url}`, { headers: { Accept: request.headers.accept } }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.on("data", (piece) => {
      sent[root] += piece.length;
    });
    // Waits until the client reads more.
    answer.pipe(response);
  });
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const gateways = new Gateways([`http://127.0.0.1:${server.address().port}`]);

function open(root) {
  return fetchTree(`ipfs://${root}`, gateways, { maxBuffer: 4 << 20 }).getReader();
}

async function rest(reader) {
  const sha256 = createHash("sha256");
  let [files, bytes] = [0, 0];
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    if (next.value instanceof Uint8Array) {
      sha256.update(next.value);
      bytes += next.value.length;
    } else {
      files += next.value.type === "file" ? 1 : 0;
    }
  }
  return { files, bytes, sha256: sha256.digest("hex") };
}

const waiting = open(paused);
await waiting.read();
await rest(open(other));
const taken = sent[paused];
const read = await rest(waiting);
result({ taken, all: sent[paused], ...read });
