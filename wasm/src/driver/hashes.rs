//! Blocks hashed by the runtime's WebCrypto while the engine goes on: native code, and in browsers and Node other threads.

use bytes::Bytes;
use interplanar_core::fetch::HashTicket;
use interplanar_core::hash::Sha256;
use js_sys::{Promise, Reflect, Uint8Array};
use std::pin::Pin;
use std::task::{Context, Poll};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen]
extern "C" {
    /// Copies the data before it returns.
    #[wasm_bindgen(catch, js_namespace = ["crypto", "subtle"])]
    fn digest(algorithm: &str, data: &[u8]) -> Result<Promise, JsValue>;
}

/// Blocks of at least so many bytes are: handing over a shorter one costs more than hashing it.
const FROM: usize = 16 << 10;

/// From which size on blocks are to be hashed here. Pages that don't come by HTTPS or from this machine have no WebCrypto.
pub(super) fn from() -> usize {
    let get = |object: &JsValue, name: &str| Reflect::get(object, &JsValue::from_str(name));
    let subtle = get(&js_sys::global(), "crypto").and_then(|crypto| get(&crypto, "subtle"));
    match subtle {
        Ok(subtle) if subtle.is_object() => FROM,
        _ => usize::MAX,
    }
}

/// The hashes of one fetch under way. Few, since the engine bounds the bytes that it holds.
#[derive(Default)]
pub(super) struct Hashes(Vec<Hash>);

struct Hash {
    ticket: HashTicket,
    data: Bytes,
    digest: Option<JsFuture>,
}

impl Hashes {
    pub(super) fn start(&mut self, ticket: HashTicket, data: Bytes) {
        let digest = digest("SHA-256", &data).ok().map(JsFuture::from);
        self.0.push(Hash {
            ticket,
            data,
            digest,
        });
    }

    /// The next one that is known.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<(HashTicket, Sha256)> {
        for index in 0..self.0.len() {
            if let Some(hash) = self.0.get_mut(index)
                && let Poll::Ready(digest) = hash.poll(context)
            {
                let ticket = hash.ticket;
                self.0.swap_remove(index);
                return Poll::Ready((ticket, digest));
            }
        }
        Poll::Pending
    }
}

impl Hash {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Sha256> {
        let told = match &mut self.digest {
            Some(digest) => match Pin::new(digest).poll(context) {
                Poll::Ready(digest) => digest.ok(),
                Poll::Pending => return Poll::Pending,
            },
            None => None,
        };
        let digest = told.and_then(|digest| {
            let mut bytes = [0; 32];
            let told = Uint8Array::new(&digest);
            (told.length() == 32).then(|| {
                told.copy_to(&mut bytes);
                Sha256::from_bytes(bytes)
            })
        });
        // A runtime that would not do it is no reason to fail.
        Poll::Ready(digest.unwrap_or_else(|| Sha256::of(&self.data)))
    }
}
