//! A body that is read as the runtime's own pieces, which are gathered on their side of the border and copied across it once.
//!
//! Each read goes on to the next one by itself until there is enough: no future is woken for a piece, and no closures are made for it. Of a
//! hundred megabytes those are 1,600 turns of everything that stands above.

use super::body::Piece;
use super::time::now_ms;
use bytes::{Bytes, BytesMut};
use js_sys::Uint8Array;
use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use wasm_bindgen::prelude::*;
use web_sys::Response;

/// For so many milliseconds pieces are gathered: the engine is to work while others come.
const GATHER_MS: f64 = 10.0;
/// Buffers that are kept to be filled again, and of how many bytes at least.
const SPARE: usize = 2;
const LEAST_SPARE: usize = 256 << 10;

#[wasm_bindgen]
extern "C" {
    type Reader;

    #[wasm_bindgen(method)]
    fn read(this: &Reader) -> Promised;

    /// A promise; what its callbacks become is of no interest.
    type Promised;

    #[wasm_bindgen(method)]
    fn then(this: &Promised, came: &JsValue, failed: &JsValue);

    type ReadResult;

    #[wasm_bindgen(method, getter)]
    fn done(this: &ReadResult) -> bool;

    #[wasm_bindgen(method, getter)]
    fn value(this: &ReadResult) -> Option<Uint8Array>;
}

/// See the module.
pub(crate) struct Pieces(Rc<RefCell<Reading>>);

type Callback = Closure<dyn FnMut(JsValue)>;

struct Reading {
    /// None at the end, and when nobody wants more.
    reader: Option<Reader>,
    /// What a read calls. They hold this, and go when no read is under way that could call them and none will be.
    callbacks: Option<[Callback; 2]>,
    under_way: bool,
    error: Option<JsValue>,
    gathered: Gathered,
    best: usize,
    waker: Option<Waker>,
}

impl Pieces {
    pub(super) fn new(response: &Response) -> Self {
        // An empty answer may have no stream at all.
        let reader = response
            .body()
            .map(|stream| stream.get_reader().unchecked_into());
        let reading = Rc::new(RefCell::new(Reading {
            reader,
            callbacks: None,
            under_way: false,
            error: None,
            gathered: Gathered::default(),
            best: 0,
            waker: None,
        }));
        let (came, failed) = (Rc::clone(&reading), Rc::clone(&reading));
        reading.borrow_mut().callbacks = Some([
            Closure::new(move |result: JsValue| settled(&came, Ok(result.unchecked_into()))),
            Closure::new(move |error| settled(&failed, Err(error))),
        ]);
        Self(reading)
    }

    pub(super) fn poll_next(&mut self, context: &mut Context<'_>, best: usize) -> Poll<Piece> {
        let reading = &mut *self.0.borrow_mut();
        if let Some(error) = reading.error.take() {
            return Poll::Ready(Err(error));
        }
        if reading.reader.is_none() || reading.gathered.is_enough(best) {
            return Poll::Ready(Ok(reading.gathered.take(best)));
        }
        reading.best = best;
        reading.waker = Some(context.waker().clone());
        if !reading.under_way {
            reading.gathered.since_ms = now_ms();
            reading.read();
        }
        Poll::Pending
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        let callbacks = {
            let reading = &mut *self.0.borrow_mut();
            reading.reader = None;
            reading.gathered = Gathered::default();
            reading.waker = None;
            reading.let_go()
        };
        drop(callbacks);
    }
}

impl Reading {
    fn read(&mut self) {
        if let (Some(reader), Some([came, failed])) = (&self.reader, &self.callbacks) {
            self.under_way = true;
            reader.read().then(came.as_ref(), failed.as_ref());
        }
    }

    /// The callbacks, if nothing calls them any more: to be dropped when this is no longer borrowed, since they hold it.
    fn let_go(&mut self) -> Option<[Callback; 2]> {
        if self.under_way || self.reader.is_some() {
            return None;
        }
        self.callbacks.take()
    }

    /// What a read ended with; whether that is to be told.
    fn take_in(&mut self, result: Result<ReadResult, JsValue>) -> bool {
        self.under_way = false;
        if self.reader.is_none() {
            return false;
        }
        match result {
            Ok(result) if !result.done() => {
                if let Some(piece) = result.value() {
                    self.gathered.push(piece);
                }
                let enough = self.gathered.is_enough(self.best);
                if !enough {
                    self.read();
                }
                return enough;
            }
            Ok(_) => {}
            Err(error) => self.error = Some(error),
        }
        self.reader = None;
        true
    }
}

fn settled(reading: &RefCell<Reading>, result: Result<ReadResult, JsValue>) {
    let (callbacks, waker) = {
        let reading = &mut *reading.borrow_mut();
        let told = reading.take_in(result);
        (reading.let_go(), reading.waker.take_if(|_| told))
    };
    if let Some(waker) = waker {
        waker.wake();
    }
    // This is one of them: the bindings keep what runs until it returns.
    drop(callbacks);
}

/// Pieces on their side of the border.
#[derive(Default)]
struct Gathered {
    pieces: Vec<Uint8Array>,
    bytes: usize,
    /// When the first of them was asked for.
    since_ms: f64,
    /// Whether some were handed on already: the first one goes at once, it tells how far away the gateway is.
    begun: bool,
    spare: Vec<Bytes>,
}

impl Gathered {
    fn push(&mut self, piece: Uint8Array) {
        self.bytes = self.bytes.saturating_add(piece.length() as usize);
        self.pieces.push(piece);
    }

    /// Whether it is time to hand on.
    fn is_enough(&self, best: usize) -> bool {
        self.bytes >= best.max(1)
            || self.bytes > 0 && (!self.begun || now_ms() - self.since_ms >= GATHER_MS)
    }

    /// What was gathered, at most `best` bytes; none at the end.
    fn take(&mut self, best: usize) -> Option<Bytes> {
        let length = self.bytes.min(best.max(1));
        if length == 0 {
            return None;
        }
        let mut bytes = self.buffer(length);
        let mut rest = bytes.as_mut();
        for piece in std::mem::take(&mut self.pieces) {
            let size = piece.length();
            let taken = size.min(u32::try_from(rest.len()).unwrap_or(u32::MAX));
            let (start, after) = rest.split_at_mut_checked(taken as usize)?;
            match taken {
                0 => {}
                _ if taken == size => piece.copy_to(start),
                _ => piece.subarray(0, taken).copy_to(start),
            }
            if taken < size {
                self.pieces.push(piece.subarray(taken, size));
            }
            rest = after;
        }
        self.bytes = self.bytes.saturating_sub(length);
        self.begun = true;
        let bytes = bytes.freeze();
        if length >= LEAST_SPARE {
            // The oldest one may have a length that doesn't come again.
            self.spare.truncate(SPARE - 1);
            self.spare.insert(0, bytes.clone());
        }
        Some(bytes)
    }

    /// A buffer to be filled: one that nobody holds any more, or a new one, whose zeros cost as much as the copy does.
    fn buffer(&mut self, length: usize) -> BytesMut {
        let mut spare = self.spare.iter();
        let free = spare.position(|spare| spare.len() == length && spare.is_unique());
        let free = free.map(|at| self.spare.swap_remove(at));
        free.and_then(|free| free.try_into_mut().ok())
            .unwrap_or_else(|| BytesMut::zeroed(length))
    }
}
