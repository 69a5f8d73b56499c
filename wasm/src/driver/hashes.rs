//! Hashes blocks with the runtime's native code: Node's `crypto.hash` or WebCrypto. Node's function
//! reads the data without a copy. WebCrypto copies it first and works while the engine continues,
//! on another thread except in newer Chromium.
//!
//! For 100 MiB, Node's function needs 60 ms of processor time, and WebCrypto in Node 100 ms. The
//! difference is the copy, its page faults, and erasing it.

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

/// Smallest block in bytes for WebCrypto. A call costs more than hashing a smaller one here.
const FROM: usize = 16 << 10;
/// Smallest block in bytes for Node's function, which neither copies nor waits.
const FROM_NODE: usize = 1 << 10;

enum Hasher {
    /// Node from version 20.16 on, and compatible runtimes.
    Node(NodeCrypto),
    WebCrypto,
    /// Pages without HTTPS that aren't from this machine have no WebCrypto.
    None,
}

/// The running hashes of one fetch. There are few, because the engine bounds the bytes that it
/// holds.
pub(super) struct Hashes {
    hasher: Hasher,
    running: Vec<PendingHash>,
}

struct PendingHash {
    ticket: HashTicket,
    data: Bytes,
    digest: DigestState,
}

enum DigestState {
    Known(Sha256),
    Awaited(JsFuture),
    /// The runtime failed to hash the block, so it is hashed here.
    Fallback,
}

impl Hashes {
    pub(super) fn new() -> Self {
        Self {
            hasher: hasher(),
            running: Vec::new(),
        }
    }

    /// Returns the smallest size in bytes of a block that the runtime should hash.
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
                digest
                    .as_ref()
                    .and_then(parse_digest)
                    .map(DigestState::Known)
            }
            Hasher::WebCrypto => {
                let digest = digest("SHA-256", &data).ok();
                digest.map(|digest| DigestState::Awaited(digest.into()))
            }
            Hasher::None => None,
        };
        self.running.push(PendingHash {
            ticket,
            data,
            digest: digest.unwrap_or(DigestState::Fallback),
        });
    }

    /// Returns the next finished hash.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<(HashTicket, Sha256)> {
        for index in 0..self.running.len() {
            if let Some(hash) = self.running.get_mut(index)
                && let Poll::Ready(digest) = hash.poll(context)
            {
                let ticket = hash.ticket;
                self.running.swap_remove(index);
                return Poll::Ready((ticket, digest));
            }
        }
        Poll::Pending
    }
}

impl PendingHash {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Sha256> {
        let digest = match &mut self.digest {
            DigestState::Known(digest) => Some(*digest),
            DigestState::Awaited(digest) => match Pin::new(digest).poll(context) {
                Poll::Ready(digest) => digest
                    .ok()
                    .and_then(|digest| parse_digest(&Uint8Array::new(&digest))),
                Poll::Pending => return Poll::Pending,
            },
            DigestState::Fallback => None,
        };
        Poll::Ready(digest.unwrap_or_else(|| Sha256::of(&self.data)))
    }
}

fn parse_digest(digest: &Uint8Array) -> Option<Sha256> {
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
