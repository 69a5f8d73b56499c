// The entry for workerd. It imports the module, because workerd can't compile WebAssembly at run
// time.
import module from "./interplanar_bg.wasm";
import { initSync } from "./interplanar.js";

initSync({ module });
export * from "./interplanar.js";
export default async () => {};
