// The entry for Node: the module is read from beside this file, so that importing is all that there is to do.
import { readFileSync } from "node:fs";
import { initSync } from "./interplanar.js";

initSync({ module: readFileSync(new URL("./interplanar_bg.wasm", import.meta.url)) });
export * from "./interplanar.js";
export default async () => {};
