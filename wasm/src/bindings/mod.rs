//! What JavaScript sees: the npm package.

mod blocks;
mod error;
mod event;
mod fetch;
mod gateways;
mod options;
mod promise;
mod stream;

pub use blocks::JsBlocks;
pub use fetch::{Source, fetch};
pub use gateways::{GatewayReports, Gateways};
pub use options::FetchOptions;
pub use stream::{Controller, ReadableStream};

use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = include_str!("types.d.ts");
