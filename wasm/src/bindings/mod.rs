//! The JavaScript API: the npm package.

#[cfg(feature = "full")]
mod block;
mod blocks;
#[cfg(feature = "full")]
mod car;
#[cfg(feature = "full")]
mod chunks;
#[cfg(feature = "zstd")]
mod decompress;
mod error;
mod event;
mod fetch;
mod gateways;
#[cfg(feature = "full")]
mod links;
#[cfg(feature = "full")]
mod nar;
#[cfg(feature = "full")]
mod narinfo;
mod options;
#[cfg(feature = "full")]
mod skim;
mod stream;
#[cfg(feature = "full")]
mod tree;

#[cfg(feature = "full")]
pub use block::block;
pub use blocks::JsBlocks;
#[cfg(feature = "full")]
pub use car::{CarBlocks, CarReader};
#[cfg(feature = "full")]
pub use chunks::{ChunkIndex, Chunks};
#[cfg(feature = "zstd")]
pub use decompress::{DecompressSink, DecompressSource, DecompressStream};
pub use fetch::{Source, fetch};
pub use gateways::{GatewayReports, Gateways};
#[cfg(feature = "full")]
pub use links::{BlockLinks, block_links};
#[cfg(feature = "full")]
pub use nar::{NarEntries, NarReader};
#[cfg(feature = "full")]
pub use narinfo::{NarInfo, NarInfoEntries, NarInfoSignatures, TrustedKeys};
pub use options::FetchOptions;
#[cfg(feature = "full")]
pub use skim::NarSkim;
#[cfg(feature = "zstd")]
pub use stream::WritableStream;
pub use stream::{Controller, ReadableStream};
#[cfg(feature = "full")]
pub use tree::{OutlineStream, TreeStream, outline, tree};

use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = include_str!("types.d.ts");

#[cfg(feature = "full")]
#[wasm_bindgen(typescript_custom_section)]
const NAR_TYPES: &str = include_str!("nar.d.ts");

#[cfg(feature = "full")]
#[wasm_bindgen(typescript_custom_section)]
const TREE_TYPES: &str = include_str!("tree.d.ts");
