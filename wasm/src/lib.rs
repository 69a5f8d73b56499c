//! Interplanar's core for JavaScript runtimes: browsers, service workers, workerd and Node.
//!
//! [`driver`] is for Rust: it fetches over the runtime's own `fetch`. `bindings` (feature of that name) is for JavaScript: the npm package, whose types
//! are in `bindings/types.d.ts`.
//!
//! | feature | adds |
//! |---|---|
//! | `bindings` | `fetchIpfs`, `Gateways` |
//! | `zstd` | `DecompressStream` for zstd |
//! | `full` | the other decoders, narinfos, signatures, NARs, `fetchTree` |

#[cfg(feature = "bindings")]
pub mod bindings;
pub mod driver;
pub mod promise;
