//! How requests are made: the global `fetch`, with what every runtime may be told.

use std::cell::Cell;
use std::rc::Rc;

use js_sys::{Array, Function, Object, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, Response};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_name = fetch)]
    fn global_fetch(url: &str, init: &Object) -> Result<Promise, JsValue>;
}

/// Whether redirects are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Redirect {
    /// As often as the runtime does (20 times by the standard).
    #[default]
    Follow,
    /// Never: a redirect is an answer like any other that isn't 200. For whoever must not be led to other hosts.
    Manual,
}

/// Whether the runtime's HTTP cache may answer and keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HttpCache {
    /// As the answers' headers say.
    #[default]
    Default,
    /// Not at all: for whoever keeps blocks already.
    NoStore,
}

/// Makes requests without cookies and without a referrer. Cheap to clone.
///
/// Options that this runtime's `Request` refuses are left out: workerd knows no `credentials` and, before some date, no `cache`.
#[derive(Debug, Clone)]
pub struct Client {
    init: Vec<(&'static str, &'static str)>,
    /// Requests made by this client and its clones.
    sent: Rc<Cell<u64>>,
}

impl Client {
    /// A client for this runtime.
    #[must_use]
    pub fn new(redirect: Redirect, cache: HttpCache) -> Self {
        let mut init = vec![("credentials", "omit"), ("referrerPolicy", "no-referrer")];
        if redirect == Redirect::Manual {
            init.push(("redirect", "manual"));
        }
        if cache == HttpCache::NoStore {
            init.push(("cache", "no-store"));
        }
        init.retain(|(name, value)| is_known(name, value));
        Self {
            init,
            sent: Rc::default(),
        }
    }

    /// The same, counting from zero: for a platform that counts the requests of each of its own.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self {
            init: self.init.clone(),
            sent: Rc::default(),
        }
    }

    /// Requests that this client and its clones have made.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// Counts what was asked of the platform in another way.
    pub fn count(&self, requests: u64) {
        self.sent.set(self.sent.get().saturating_add(requests));
    }

    /// Begins a GET. It is aborted when what is returned is dropped.
    pub(crate) fn get(&self, url: &str, headers: &[(&str, &str)]) -> Result<Sent, JsValue> {
        self.count(1);
        let init = Object::new();
        for (name, value) in &self.init {
            set(&init, name, &JsValue::from_str(value));
        }
        let sent = Object::new();
        for (name, value) in headers {
            set(&sent, name, &JsValue::from_str(value));
        }
        set(&init, "headers", &sent);
        let abort = Abort(Some(AbortController::new()?));
        if let Some(controller) = &abort.0 {
            set(&init, "signal", &controller.signal());
        }
        let head = JsFuture::from(global_fetch(url, &init)?);
        Ok(Sent { head, abort })
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new(Redirect::default(), HttpCache::default())
    }
}

/// A request under way.
pub(crate) struct Sent {
    /// Its [`Response`].
    pub(crate) head: JsFuture,
    pub(crate) abort: Abort,
}

/// Aborts its request when it is dropped, unless that came to its end.
pub(crate) struct Abort(Option<AbortController>);

impl Abort {
    /// There is nothing to abort.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// There is nothing left to abort.
    pub(crate) fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for Abort {
    fn drop(&mut self) {
        if let Some(controller) = self.0.take() {
            controller.abort();
        }
    }
}

/// A header of an answer.
pub(crate) fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).ok().flatten()
}

fn set(object: &Object, name: &str, value: &JsValue) {
    // Fails for frozen objects and proxies only, and these are ours.
    let _ = Reflect::set(object, &JsValue::from_str(name), value);
}

/// Whether `new Request` takes this option.
fn is_known(name: &str, value: &str) -> bool {
    let Ok(request) = Reflect::get(&js_sys::global(), &JsValue::from_str("Request")) else {
        return false;
    };
    let init = Object::new();
    set(&init, name, &JsValue::from_str(value));
    let arguments = Array::of2(&JsValue::from_str("http://localhost/"), &init);
    request
        .dyn_ref::<Function>()
        .is_some_and(|request| Reflect::construct(request, &arguments).is_ok())
}
