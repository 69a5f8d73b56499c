//! Blocks hashed by the runtime's native code: by Node's own `crypto.hash`, which reads them where they lie, or by WebCrypto, which copies
//! them first and goes on beside the engine (on other threads, but for newer Chromium).
//!
//! Of 100 MiB Node's takes 60 ms of processor time and WebCrypto in Node 100: the copy, its page faults, and its being wiped.

use bytes::Bytes;
use interplanar_core::fetch::HashTicket;
use interplanar_core::hash::Sha256;
use js_sys::{Function, Promise, Reflect, Uint8Array};
use std::pin::Pin;
use std::task::{Context, Poll};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen]
extern "C" {
    /// Copies the data before it returns.
    #[wasm_bindgen(catch, js_namespace = ["crypto", "subtle"])]
    fn digest(algorithm: &str, data: &[u8]) -> Result<Promise, JsValue>;

    type Process;

    #[wasm_bindgen(method, catch, js_name = getBuiltinModule)]
    fn builtin_module(this: &Process, name: &str) -> Result<NodeCrypto, JsValue>;

    /// `node:crypto`.
    type NodeCrypto;

    #[wasm_bindgen(method, catch)]
    fn hash(
        this: &NodeCrypto,
        algorithm: &str,
        data: &[u8],
        encoding: &str,
    ) -> Result<Uint8Array, JsValue>;
}

/// Blocks of at least so many bytes are: handing over a shorter one costs more than hashing it.
const FROM: usize = 16 << 10;
/// And where nothing is copied and nobody is waited for.
const FROM_NODE: usize = 1 << 10;

enum Hasher {
    /// Node from 20.16 on, and who does as it does.
    Node(NodeCrypto),
    WebCrypto,
    /// Pages that don't come by HTTPS or from this machine have none.
    None,
}

/// The hashes of one fetch under way. Few, since the engine bounds the bytes that it holds.
pub(super) struct Hashes {
    hasher: Hasher,
    under_way: Vec<Hash>,
}

struct Hash {
    ticket: HashTicket,
    data: Bytes,
    digest: Digest,
}

enum Digest {
    Known(Sha256),
    Awaited(JsFuture),
    /// A runtime that would not do it is no reason to fail.
    Own,
}

impl Hashes {
    pub(super) fn new() -> Self {
        Self {
            hasher: hasher(),
            under_way: Vec::new(),
        }
    }

    /// From which size on blocks are to be hashed here.
    pub(super) fn from(&self) -> usize {
        match self.hasher {
            Hasher::Node(_) => FROM_NODE,
            Hasher::WebCrypto => FROM,
            Hasher::None => usize::MAX,
        }
    }

    pub(super) fn start(&mut self, ticket: HashTicket, data: Bytes) {
        let digest = match &self.hasher {
            Hasher::Node(crypto) => {
                let digest = crypto.hash("sha256", &data, "buffer").ok();
                digest.as_ref().and_then(told).map(Digest::Known)
            }
            Hasher::WebCrypto => {
                let digest = digest("SHA-256", &data).ok();
                digest.map(|digest| Digest::Awaited(digest.into()))
            }
            Hasher::None => None,
        };
        self.under_way.push(Hash {
            ticket,
            data,
            digest: digest.unwrap_or(Digest::Own),
        });
    }

    /// The next one that is known.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<(HashTicket, Sha256)> {
        for index in 0..self.under_way.len() {
            if let Some(hash) = self.under_way.get_mut(index)
                && let Poll::Ready(digest) = hash.poll(context)
            {
                let ticket = hash.ticket;
                self.under_way.swap_remove(index);
                return Poll::Ready((ticket, digest));
            }
        }
        Poll::Pending
    }
}

impl Hash {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Sha256> {
        let digest = match &mut self.digest {
            Digest::Known(digest) => Some(*digest),
            Digest::Awaited(digest) => match Pin::new(digest).poll(context) {
                Poll::Ready(digest) => digest
                    .ok()
                    .and_then(|digest| told(&Uint8Array::new(&digest))),
                Poll::Pending => return Poll::Pending,
            },
            Digest::Own => None,
        };
        Poll::Ready(digest.unwrap_or_else(|| Sha256::of(&self.data)))
    }
}

fn told(digest: &Uint8Array) -> Option<Sha256> {
    let mut bytes = [0; 32];
    (digest.length() == 32).then(|| {
        digest.copy_to(&mut bytes);
        Sha256::from_bytes(bytes)
    })
}

fn hasher() -> Hasher {
    let get = |object: &JsValue, name: &str| Reflect::get(object, &JsValue::from_str(name)).ok();
    let is_function = |object: &JsValue, name: &str| {
        get(object, name).is_some_and(|member| member.is_instance_of::<Function>())
    };
    let global = js_sys::global();
    let process = get(&global, "process").filter(|process| process.is_object());
    if let Some(process) = process
        && is_function(&process, "getBuiltinModule")
        && let Ok(crypto) = process
            .unchecked_into::<Process>()
            .builtin_module("node:crypto")
        && crypto.is_object()
        && is_function(&crypto, "hash")
    {
        return Hasher::Node(crypto);
    }
    let subtle = get(&global, "crypto").and_then(|crypto| get(&crypto, "subtle"));
    match subtle {
        Some(subtle) if subtle.is_object() => Hasher::WebCrypto,
        _ => Hasher::None,
    }
}
