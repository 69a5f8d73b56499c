// Makes wasm-pack's package one for every runtime: `node wasm/npm/package.js <folder>`.
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [folder] = process.argv.slice(2);
const path = join(folder, "package.json");
const made = JSON.parse(readFileSync(path, "utf8"));
for (const name of ["node.js", "workerd.js"]) {
  copyFileSync(new URL(name, import.meta.url), join(folder, name));
}
const types = "./interplanar.d.ts";
writeFileSync(
  path,
  `${JSON.stringify(
    {
      ...made,
      name: "interplanar",
      engines: { node: ">=20" },
      files: [...made.files, "node.js", "workerd.js"],
      // The entries load the module.
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
