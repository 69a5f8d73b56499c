//! A block store that the page provides.

use crate::driver::{LocalBlocks, NotStored};
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use interplanar_core::block::Block;
use interplanar_core::cid::{self, Cid};
use js_sys::{Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen]
extern "C" {
    /// See types.d.ts.
    #[wasm_bindgen(typescript_type = "Blocks")]
    #[derive(Clone)]
    pub type JsBlocks;

    #[wasm_bindgen(method, catch)]
    fn get(this: &JsBlocks, cid: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn put(this: &JsBlocks, cid: &str, bytes: &Uint8Array) -> Result<JsValue, JsValue>;
}

impl LocalBlocks for JsBlocks {
    fn get(&self, cid: Cid) -> LocalBoxFuture<'static, Option<Bytes>> {
        let found = Self::get(self, &cid::text(&cid));
        Box::pin(async move {
            let found = resolved(found.ok()?).await.ok()?;
            let bytes = found.dyn_into::<Uint8Array>().ok()?;
            // A valid block isn't longer, so a longer value isn't copied.
            (bytes.length() as usize <= cid::MAX_BLOCK).then(|| bytes.to_vec().into())
        })
    }

    fn put(&self, blocks: Vec<Block>) -> LocalBoxFuture<'static, Result<(), NotStored>> {
        let store = self.clone();
        Box::pin(async move {
            for block in blocks {
                let bytes = Uint8Array::from(block.data().as_ref());
                let kept = Self::put(&store, &cid::text(block.cid()), &bytes);
                resolved(kept.map_err(|_| NotStored)?)
                    .await
                    .map_err(|_| NotStored)?;
            }
            Ok(())
        })
    }
}

/// Returns the value, or waits for it if it is a promise.
async fn resolved(value: JsValue) -> Result<JsValue, JsValue> {
    JsFuture::from(Promise::resolve(&value)).await
}
