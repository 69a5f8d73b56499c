//! A verified fetch as a `ReadableStream`.

use super::error::{js, to_js};
use super::gateways::Gateways;
use super::options::{FetchOptions, FetchSettings};
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

/// Receives the events of the fetch engine.
pub(super) type Report = Box<dyn FnMut(&Event)>;

/// Settings of a stream.
#[derive(Clone, Copy)]
pub(super) struct StreamKind {
    /// Whether it is a byte stream.
    pub(super) bytes: bool,
    /// Bytes or values that may wait in the stream.
    pub(super) high_water: f64,
}

pub(super) const CONTENT: StreamKind = StreamKind {
    bytes: true,
    high_water: 1_048_576.0,
};

/// Fetches the file at an `ipfs:` URL (or `/ipfs/<cid>[/path]`). Each byte is verified against the
/// CID before the stream yields it.
///
/// Throws `CID_…` for an invalid URL; the stream fails with `FETCH_…` or with the
/// signal's reason.
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
        |url, settings, pool, report| {
            let content = fetch_ipfs(
                &settings.client,
                url,
                settings.options,
                pool,
                settings.blocks,
                report,
            );
            let value = |bytes: Result<bytes::Bytes, _>| {
                bytes.map(|bytes| Uint8Array::from(&*bytes).into())
            };
            output_stream(content, |content| content.summary(), value)
        },
    )
}

/// The output of the fetch engine, for JavaScript.
pub(super) type OutputStream = LocalBoxStream<'static, Result<FetchOutput, FetchError>>;

/// A value for the reader, or the end.
pub(super) enum FetchOutput {
    Value(JsValue),
    Done(Option<Summary>),
}

/// Converts a driver's stream to an [`OutputStream`].
pub(super) fn output_stream<S: futures_util::Stream + Unpin + 'static>(
    stream: S,
    summary: impl Fn(&S) -> Option<Summary> + 'static,
    value: impl Fn(S::Item) -> Result<JsValue, FetchError> + 'static,
) -> OutputStream {
    let parts = (Some(stream), summary, value);
    futures_util::stream::unfold(parts, |(stream, summary, value)| async move {
        let mut stream = stream?;
        match stream.next().await {
            Some(item) => {
                let output = value(item).map(FetchOutput::Value);
                Some((output, (Some(stream), summary, value)))
            }
            None => {
                let done = FetchOutput::Done(summary(&stream));
                Some((Ok(done), (None, summary, value)))
            }
        }
    })
    .boxed_local()
}

/// Prepares a fetch. It starts with the first read of the stream.
pub(super) fn start(
    url: &str,
    gateways: &Gateways,
    options: Option<FetchOptions>,
    kind: StreamKind,
    begin: impl FnOnce(&IpfsUrl, FetchSettings, Rc<RefCell<GatewayPool>>, Report) -> OutputStream,
) -> Result<ReadableStream, JsValue> {
    let url = IpfsUrl::parse(url)
        .or_else(|error| IpfsUrl::parse_gateway(url).map_err(|_| error))
        .map_err(js)?;
    let settings = FetchSettings::new(options.as_ref())?;
    let on_event = options.as_ref().and_then(FetchOptions::on_event);
    let signal = options.as_ref().and_then(FetchOptions::signal);
    let (pool, listener) = (Rc::clone(&gateways.pool), on_event.clone());
    let report = move |event: &Event| {
        let event = listener
            .as_ref()
            .and_then(|_| event::event(event, &pool.borrow()));
        notify(listener.as_ref(), event);
    };
    let pool = Rc::clone(&gateways.pool);
    let content = begin(&url, settings, pool, Box::new(report));
    let running = Rc::new(RunningFetch {
        content: RefCell::new(Some(content)),
        stopped: RefCell::default(),
        waker: Cell::default(),
        listener: RefCell::default(),
        on_event: RefCell::new(on_event),
    });
    if let Some(signal) = signal {
        if signal.aborted() {
            running.stop(signal.reason());
        } else {
            *running.listener.borrow_mut() =
                Some(AbortListener::new(signal, Rc::downgrade(&running))?);
        }
    }
    let source = Source { running, kind };
    ReadableStream::new(&source.into(), &stream::strategy(kind.high_water))
}

/// Calls the page's function, and ignores its exceptions.
fn notify(listener: Option<&Function>, event: Option<JsValue>) {
    if let (Some(listener), Some(event)) = (listener, event) {
        let _ = listener.call1(&JsValue::UNDEFINED, &event);
    }
}

/// A fetch that can be stopped.
struct RunningFetch {
    /// None while a pull runs, and after the end.
    content: RefCell<Option<OutputStream>>,
    stopped: RefCell<Option<JsValue>>,
    waker: Cell<Option<Waker>>,
    listener: RefCell<Option<AbortListener>>,
    on_event: RefCell<Option<Function>>,
}

impl RunningFetch {
    fn stop(&self, reason: JsValue) {
        *self.stopped.borrow_mut() = Some(reason);
        self.end();
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Frees everything at once, before the garbage collector finds the stream.
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
                Ok(FetchOutput::Value(value)) => {
                    controller.enqueue(&value)?;
                    if !controller.has_room() {
                        break;
                    }
                }
                Ok(FetchOutput::Done(summary)) => {
                    let listener = self.on_event.take();
                    self.end();
                    notify(listener.as_ref(), summary.as_ref().map(event::done));
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

    fn poll(
        &self,
        context: &mut Context<'_>,
        content: &mut OutputStream,
    ) -> Poll<Result<FetchOutput, JsValue>> {
        if let Some(reason) = self.stopped.borrow().clone() {
            return Poll::Ready(Err(reason));
        }
        self.waker.set(Some(context.waker().clone()));
        content.poll_next_unpin(context).map(|output| match output {
            Some(Ok(output)) => Ok(output),
            Some(Err(error)) => Err(to_js(&error)),
            None => Ok(FetchOutput::Done(None)),
        })
    }
}

/// The stream's underlying source.
#[wasm_bindgen(skip_typescript)]
pub struct Source {
    running: Rc<RunningFetch>,
    kind: StreamKind,
}

#[wasm_bindgen]
impl Source {
    /// Whether it is a byte stream.
    #[wasm_bindgen(getter, js_name = type)]
    pub fn kind(&self) -> Option<String> {
        self.kind.bytes.then(|| "bytes".to_owned())
    }

    /// Called when the stream has room.
    pub fn pull(&self, controller: Controller) -> Promise {
        let running = Rc::clone(&self.running);
        promise(async move {
            running.pull(&controller).await?;
            Ok(JsValue::UNDEFINED)
        })
    }

    /// Called when the reader cancels.
    pub fn cancel(&self, reason: JsValue) {
        self.running.stop(reason);
    }
}

impl Drop for Source {
    /// The garbage collector freed the stream.
    fn drop(&mut self) {
        self.running.end();
    }
}

/// Listens for an abort until it is dropped.
struct AbortListener {
    signal: AbortSignal,
    callback: Closure<dyn FnMut()>,
}

impl AbortListener {
    fn new(signal: AbortSignal, running: Weak<RunningFetch>) -> Result<Self, JsValue> {
        let aborted = signal.clone();
        let callback = Closure::new(move || {
            if let Some(running) = running.upgrade() {
                running.stop(aborted.reason());
            }
        });
        signal.add_event_listener_with_callback("abort", callback.as_ref().unchecked_ref())?;
        Ok(Self { signal, callback })
    }
}

impl Drop for AbortListener {
    fn drop(&mut self) {
        let callback = self.callback.as_ref().unchecked_ref();
        // Fails only for objects that aren't event targets.
        let _ = self
            .signal
            .remove_event_listener_with_callback("abort", callback);
    }
}
