//! Lists a NAR from only those pieces that contain names and sizes.

use super::error::js;
use super::nar::{NarEntries, entries};
use interplanar_core::nar::NarSkimmer;
use wasm_bindgen::prelude::*;

/// Lists one NAR, and skips the content of its files. `position` says which byte it needs next.
#[wasm_bindgen]
#[derive(Default)]
pub struct NarSkim {
    skim: NarSkimmer,
}

#[wasm_bindgen]
impl NarSkim {
    /// Starts at the beginning of a NAR.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Offset of the byte that it needs next.
    #[wasm_bindgen(getter)]
    pub fn position(&self) -> f64 {
        self.skim.position() as f64
    }

    /// Whether the NAR is complete.
    #[wasm_bindgen(getter)]
    pub fn done(&self) -> bool {
        self.skim.is_done()
    }

    /// Reads bytes that start at `position`.
    ///
    /// Throws `NAR_…`; `at` is the byte. The object can't be used afterwards.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), JsValue> {
        self.skim.push(bytes).map_err(js)
    }

    /// Returns all entries found so far, depth first.
    pub fn entries(&self) -> Result<NarEntries, JsValue> {
        entries(self.skim.listing())
    }
}
