//! What is in a NAR, out of the pieces of it that have its framing.

use super::error::js;
use super::nar::{NarEntries, entries};
use interplanar_core::nar::Skim;
use wasm_bindgen::prelude::*;

/// Lists one NAR without the content of its files: it says which byte it wants next, and passes over contents.
#[wasm_bindgen]
#[derive(Default)]
pub struct NarSkim {
    skim: Skim,
}

#[wasm_bindgen]
impl NarSkim {
    /// Starts before the NAR.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Offset of the byte that is wanted next.
    #[wasm_bindgen(getter)]
    pub fn position(&self) -> f64 {
        self.skim.position() as f64
    }

    /// Whether the NAR is over.
    #[wasm_bindgen(getter)]
    pub fn done(&self) -> bool {
        self.skim.is_done()
    }

    /// Takes bytes that start at `position`.
    ///
    /// Throws `NAR_…`, `at` the byte; it can't be used afterwards.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), JsValue> {
        self.skim.push(bytes).map_err(js)
    }

    /// Everything found until now, depth first.
    pub fn entries(&self) -> Result<NarEntries, JsValue> {
        entries(self.skim.listing())
    }
}
