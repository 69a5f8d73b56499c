//! A verified fetch as a `ReadableStream`.

use super::error::{js, to_js};
use super::gateways::Gateways;
use super::options::{FetchOptions, Read};
use super::stream::{Controller, ReadableStream};
use super::{event, stream};
use crate::driver::fetch_ipfs;
use crate::promise::promise;
use futures_util::StreamExt as _;
use futures_util::stream::LocalBoxStream;
use interplanar_core::cid::IpfsUrl;
use interplanar_core::fetch::{Event, FetchError, GatewayPool, Summary};
use js_sys::{Function, Promise, Uint8Array};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use wasm_bindgen::prelude::*;
use web_sys::AbortSignal;

/// Hears of what the engine reports.
pub(super) type Report = Box<dyn FnMut(&Event)>;

/// What a stream gives.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    /// Bytes, and not values of any kind.
    pub(super) bytes: bool,
    /// How many of them may wait.
    pub(super) high_water: f64,
}

pub(super) const CONTENT: Kind = Kind {
    bytes: true,
    high_water: 1_048_576.0,
};

/// Fetches the file at an `ipfs:` URL (or `/ipfs/<cid>[/path]`). Each byte of the stream was verified against the CID before it is handed out.
///
/// Throws `CID_…` for a URL that can't be fetched; the stream fails with `FETCH_…`, or with the signal's reason.
#[wasm_bindgen(js_name = fetchIpfs)]
pub fn fetch(
    url: &str,
    gateways: &Gateways,
    options: Option<FetchOptions>,
) -> Result<ReadableStream, JsValue> {
    start(
        url,
        gateways,
        options,
        CONTENT,
        |url, read, pool, report| {
            let content = fetch_ipfs(&read.client, url, read.options, pool, read.blocks, report);
            let piece = |piece: Result<bytes::Bytes, _>| {
                piece.map(|bytes| Uint8Array::from(&*bytes).into())
            };
            flow(content, |content| content.summary(), piece)
        },
    )
}

/// What comes out of an engine, for JavaScript.
pub(super) type Flow = LocalBoxStream<'static, Result<Told, FetchError>>;

/// A value for the reader, or the last word.
pub(super) enum Told {
    Value(JsValue),
    Done(Option<Summary>),
}

/// Makes a [`Flow`] of a driver's stream.
pub(super) fn flow<S: futures_util::Stream + Unpin + 'static>(
    stream: S,
    summary: impl Fn(&S) -> Option<Summary> + 'static,
    value: impl Fn(S::Item) -> Result<JsValue, FetchError> + 'static,
) -> Flow {
    let parts = (Some(stream), summary, value);
    futures_util::stream::unfold(parts, |(stream, summary, value)| async move {
        let mut stream = stream?;
        match stream.next().await {
            Some(item) => {
                let told = value(item).map(Told::Value);
                Some((told, (Some(stream), summary, value)))
            }
            None => {
                let done = Told::Done(summary(&stream));
                Some((Ok(done), (None, summary, value)))
            }
        }
    })
    .boxed_local()
}

/// Starts a fetch when the stream is read first.
pub(super) fn start(
    url: &str,
    gateways: &Gateways,
    options: Option<FetchOptions>,
    kind: Kind,
    begin: impl FnOnce(&IpfsUrl, Read, Rc<RefCell<GatewayPool>>, Report) -> Flow,
) -> Result<ReadableStream, JsValue> {
    let url = IpfsUrl::parse(url)
        .or_else(|error| IpfsUrl::parse_gateway(url).map_err(|_| error))
        .map_err(js)?;
    let read = Read::new(options.as_ref())?;
    let on_event = options.as_ref().and_then(FetchOptions::on_event);
    let signal = options.as_ref().and_then(FetchOptions::signal);
    let (pool, told) = (Rc::clone(&gateways.pool), on_event.clone());
    let report = move |event: &Event| {
        let event = told
            .as_ref()
            .and_then(|_| event::event(event, &pool.borrow()));
        tell(told.as_ref(), event);
    };
    let pool = Rc::clone(&gateways.pool);
    let content = begin(&url, read, pool, Box::new(report));
    let live = Rc::new(Live {
        content: RefCell::new(Some(content)),
        stopped: RefCell::default(),
        waker: Cell::default(),
        listener: RefCell::default(),
        on_event: RefCell::new(on_event),
    });
    if let Some(signal) = signal {
        if signal.aborted() {
            live.stop(signal.reason());
        } else {
            *live.listener.borrow_mut() = Some(Listener::new(signal, Rc::downgrade(&live))?);
        }
    }
    let source = Source { live, kind };
    ReadableStream::new(&source.into(), &stream::strategy(kind.high_water))
}

/// Calls the page's function; what it throws is its own affair.
fn tell(listener: Option<&Function>, event: Option<JsValue>) {
    if let (Some(listener), Some(event)) = (listener, event) {
        let _ = listener.call1(&JsValue::UNDEFINED, &event);
    }
}

/// A fetch that somebody may stop.
struct Live {
    /// Taken while a pull is under way.
    content: RefCell<Option<Flow>>,
    stopped: RefCell<Option<JsValue>>,
    waker: Cell<Option<Waker>>,
    listener: RefCell<Option<Listener>>,
    on_event: RefCell<Option<Function>>,
}

impl Live {
    fn stop(&self, reason: JsValue) {
        *self.stopped.borrow_mut() = Some(reason);
        self.end();
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Lets go of everything at once, not only when the collector finds the stream.
    fn end(&self) {
        self.content.replace(None);
        self.listener.replace(None);
        self.on_event.replace(None);
    }

    /// Fills the stream until it has enough.
    async fn pull(&self, controller: &Controller) -> Result<(), JsValue> {
        let Some(mut content) = self.content.take() else {
            return self.stopped.borrow().clone().map_or(Ok(()), Err);
        };
        loop {
            match poll_fn(|context| self.poll(context, &mut content)).await {
                Ok(Told::Value(value)) => {
                    controller.enqueue(&value)?;
                    if !controller.has_room() {
                        break;
                    }
                }
                Ok(Told::Done(summary)) => {
                    let listener = self.on_event.take();
                    self.end();
                    tell(listener.as_ref(), summary.as_ref().map(event::done));
                    return controller.finish();
                }
                Err(error) => {
                    self.end();
                    return Err(error);
                }
            }
        }
        if self.stopped.borrow().is_none() {
            self.content.replace(Some(content));
        }
        Ok(())
    }

    fn poll(&self, context: &mut Context<'_>, content: &mut Flow) -> Poll<Result<Told, JsValue>> {
        if let Some(reason) = self.stopped.borrow().clone() {
            return Poll::Ready(Err(reason));
        }
        self.waker.set(Some(context.waker().clone()));
        content.poll_next_unpin(context).map(|told| match told {
            Some(Ok(told)) => Ok(told),
            Some(Err(error)) => Err(to_js(&error)),
            None => Ok(Told::Done(None)),
        })
    }
}

/// The stream's underlying source.
#[wasm_bindgen(skip_typescript)]
pub struct Source {
    live: Rc<Live>,
    kind: Kind,
}

#[wasm_bindgen]
impl Source {
    /// Whether it is a byte stream.
    #[wasm_bindgen(getter, js_name = type)]
    pub fn kind(&self) -> Option<String> {
        self.kind.bytes.then(|| "bytes".to_owned())
    }

    /// The stream has room.
    pub fn pull(&self, controller: Controller) -> Promise {
        let live = Rc::clone(&self.live);
        promise(async move {
            live.pull(&controller).await?;
            Ok(JsValue::UNDEFINED)
        })
    }

    /// Nobody reads it any more.
    pub fn cancel(&self, reason: JsValue) {
        self.live.stop(reason);
    }
}

impl Drop for Source {
    /// The stream was forgotten.
    fn drop(&mut self) {
        self.live.end();
    }
}

/// Hears of an abort, until it is dropped.
struct Listener {
    signal: AbortSignal,
    callback: Closure<dyn FnMut()>,
}

impl Listener {
    fn new(signal: AbortSignal, live: Weak<Live>) -> Result<Self, JsValue> {
        let aborted = signal.clone();
        let callback = Closure::new(move || {
            if let Some(live) = live.upgrade() {
                live.stop(aborted.reason());
            }
        });
        signal.add_event_listener_with_callback("abort", callback.as_ref().unchecked_ref())?;
        Ok(Self { signal, callback })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let callback = self.callback.as_ref().unchecked_ref();
        // Fails only for what is no event target.
        let _ = self
            .signal
            .remove_event_listener_with_callback("abort", callback);
    }
}
