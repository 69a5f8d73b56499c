//! What may be said of a fetch.

use super::blocks::JsBlocks;
use super::error::make;
use crate::driver::{Client, HttpCache, LocalBlocks, Redirect};
use interplanar_core::fetch::{ByteRange, Options};
use interplanar_core::unixfs::Budget;
use js_sys::Function;
use serde::Deserialize;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use web_sys::AbortSignal;

#[wasm_bindgen]
extern "C" {
    /// See types.d.ts.
    #[wasm_bindgen(typescript_type = "FetchOptions")]
    pub type FetchOptions;

    #[wasm_bindgen(method, getter)]
    pub(super) fn signal(this: &FetchOptions) -> Option<AbortSignal>;

    #[wasm_bindgen(method, getter, js_name = onEvent)]
    pub(super) fn on_event(this: &FetchOptions) -> Option<Function>;

    #[wasm_bindgen(method, getter)]
    fn blocks(this: &FetchOptions) -> Option<JsBlocks>;
}

/// The part without functions.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Plain {
    range: Option<Range>,
    max_bytes: Option<u64>,
    max_blocks: Option<u64>,
    max_buffer: Option<usize>,
    in_flight: Option<usize>,
    race_after_ms: Option<u64>,
    stall_ms: Option<u64>,
    request_timeout_ms: Option<u64>,
    patience_ms: Option<u64>,
    redirect: Option<RedirectMode>,
}

#[derive(Deserialize)]
struct Range {
    from: u64,
    to: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RedirectMode {
    Follow,
    Manual,
}

/// What a fetch takes.
pub(super) struct Read {
    pub(super) client: Client,
    pub(super) options: Options,
    pub(super) blocks: Option<Rc<dyn LocalBlocks>>,
}

impl FetchOptions {
    pub(super) fn read(this: Option<&Self>) -> Result<Read, JsValue> {
        let plain: Plain = match this {
            Some(options) => serde_wasm_bindgen::from_value(options.into())
                .map_err(|error| make(&error.to_string(), "OPTIONS", None, None))?,
            None => Plain::default(),
        };
        let blocks = this.and_then(Self::blocks);
        let blocks = blocks.map(|blocks| Rc::new(blocks) as Rc<dyn LocalBlocks>);
        let redirect = match plain.redirect {
            Some(RedirectMode::Manual) => Redirect::Manual,
            Some(RedirectMode::Follow) | None => Redirect::Follow,
        };
        let cache = match &blocks {
            Some(_) => HttpCache::NoStore,
            None => HttpCache::Default,
        };
        Ok(Read {
            client: Client::new(redirect, cache),
            options: plain.options(),
            blocks,
        })
    }
}

impl Plain {
    fn options(&self) -> Options {
        let Options {
            budget,
            max_buffer,
            in_flight,
            race_after_ms,
            stall_ms,
            request_timeout_ms,
            patience_ms,
            ..
        } = Options::default();
        let Budget { blocks, output, .. } = budget;
        Options {
            range: self.range.as_ref().map(|range| ByteRange {
                from: range.from,
                to: range.to,
            }),
            budget: Budget {
                blocks: self.max_blocks.unwrap_or(blocks),
                output: self.max_bytes.unwrap_or(output),
                ..budget
            },
            max_buffer: self.max_buffer.unwrap_or(max_buffer),
            in_flight: self.in_flight.unwrap_or(in_flight),
            race_after_ms: self.race_after_ms.unwrap_or(race_after_ms),
            stall_ms: self.stall_ms.unwrap_or(stall_ms),
            request_timeout_ms: self.request_timeout_ms.unwrap_or(request_timeout_ms),
            patience_ms: self.patience_ms.unwrap_or(patience_ms),
            ..Options::default()
        }
    }
}
