// Reads a directory with @helia/unixfs, from one gateway. Job: { gateway, root, files }. Result: {
// entries, files }: `entries` maps the paths below the root to CIDs, and `files` maps paths to {
// bytes, sha256 }.

import { digest, job, result } from "./lib.mjs";
import { heliaNode } from "./verified-fetch.mjs";

const { unixfs } = await import("@helia/unixfs");
const { CID } = await import("multiformats/cid");

const DAG_PB = 0x70;

const { gateway, root, files } = job();
const { helia } = await heliaNode([gateway]);
const fs = unixfs(helia);

const entries = {};
const open = [["", CID.parse(root)]];
while (open.length > 0) {
  const [folder, directory] = open.pop();
  for await (const { name, cid } of fs.ls(directory)) {
    const path = folder + name;
    entries[path] = cid.toString();
    // Raw leaves aren't directories.
    if (cid.code === DAG_PB && (await fs.stat(cid)).type === "directory") {
      open.push([`${path}/`, cid]);
    }
  }
}
const contents = {};
for (const path of files) {
  contents[path] = await digest(fs.cat(CID.parse(root), { path }));
}
result({ entries, files: contents });
