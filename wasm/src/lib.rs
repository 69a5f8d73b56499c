//! Interplanar's core for JavaScript runtimes: browsers, service workers, workerd and Node.
//!
//! [`driver`] is the API for Rust; it fetches with the runtime's own `fetch`. `bindings` (a feature
//! of the same name) is the API for JavaScript: the npm package. Its types are in
//! `bindings/types.d.ts`.
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
