// Extends wasm-pack's package for all runtimes: `node wasm/npm/package.js <folder>`.
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [folder] = process.argv.slice(2);
const path = join(folder, "package.json");
const made = JSON.parse(readFileSync(path, "utf8"));
for (const name of ["node.js", "workerd.js"]) {
  copyFileSync(new URL(name, import.meta.url), join(folder, name));
}
shorten(["interplanar.js", "interplanar_bg.wasm", "interplanar_bg.wasm.d.ts"].map((name) => join(folder, name)));
const types = "./interplanar.d.ts";
writeFileSync(
  path,
  `${JSON.stringify(
    {
      ...made,
      name: "interplanar",
      engines: { node: ">=20" },
      files: [...made.files, "node.js", "workerd.js"],
      // These entries load the module when they are imported.
      sideEffects: ["./node.js", "./workerd.js"],
      main: "node.js",
      exports: {
        ".": {
          workerd: { types, default: "./workerd.js" },
          node: { types, default: "./node.js" },
          default: { types, default: "./interplanar.js" },
        },
        "./interplanar_bg.wasm": "./interplanar_bg.wasm",
      },
    },
    null,
    2,
  )}\n`,
);

/**
 * Replaces the hashes in the names that the module and its script share by numbers of the same
 * length. So no offset changes, and a browser loads a kilobyte less, because hashes can't be
 * compressed.
 */
function shorten(paths) {
  const hashes = new Map();
  const number = (hash) => {
    if (!hashes.has(hash)) {
      hashes.set(hash, String(hashes.size).padStart(hash.length, "0"));
    }
    return hashes.get(hash);
  };
  const script = readFileSync(paths[0], "latin1");
  script.replace(/(?<=__wbg_\w+_|__invoke__h)[0-9a-f]{16}\b/g, number);
  for (const path of paths) {
    const text = readFileSync(path, "latin1");
    writeFileSync(path, text.replace(/[0-9a-f]{16}/g, (hash) => hashes.get(hash) ?? hash), "latin1");
  }
}
