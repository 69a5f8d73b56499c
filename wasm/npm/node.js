// The entry for Node. It loads the module itself, so that users only need to import the package.
import { readFileSync } from "node:fs";
import { initSync } from "./interplanar.js";

initSync({ module: readFileSync(new URL("./interplanar_bg.wasm", import.meta.url)) });
export * from "./interplanar.js";
export default async () => {};
