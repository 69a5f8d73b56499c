//! The body of an answer, read piece by piece and only when somebody asks.

use super::filled::Filled;
use super::pieces::Pieces;
use bytes::Bytes;
use std::task::{Context, Poll};
use wasm_bindgen::JsValue;
use web_sys::Response;

/// Bytes that are gathered before they are handed on, where no other number is better: each crossing into WebAssembly and each turn of the
/// engine has its price.
pub(crate) const GATHER: usize = 1 << 20;

/// Gives the pieces; no more than one of them is read ahead, so a body that nobody polls is paused.
pub(crate) enum Body {
    Pieces(Pieces),
    Filled(Filled),
}

/// A piece, the end, or that the connection broke.
pub(crate) type Piece = Result<Option<Bytes>, JsValue>;

impl Body {
    pub(crate) fn new(response: &Response) -> Self {
        Filled::new(response).map_or_else(|| Self::Pieces(Pieces::new(response)), Self::Filled)
    }

    /// The next piece, of `best` bytes if they come quickly.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>, best: usize) -> Poll<Piece> {
        match self {
            Self::Pieces(pieces) => pieces.poll_next(context, best),
            Self::Filled(filled) => filled.poll_next(context),
        }
    }
}
