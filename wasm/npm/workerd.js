// The entry for workerd, which compiles no WebAssembly at run time: the module is imported.
import module from "./interplanar_bg.wasm";
import { initSync } from "./interplanar.js";

initSync({ module });
export * from "./interplanar.js";
export default async () => {};
