//! Sends requests with the global `fetch`, and with only those options that the runtime supports.

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
    /// As many as the runtime allows (20 by the standard).
    #[default]
    Follow,
    /// Never: a redirect counts as an error status. No gateway can send the client to other hosts.
    Manual,
}

/// Whether to use the runtime's HTTP cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HttpCache {
    /// As the headers of the responses say.
    #[default]
    Default,
    /// Never: for callers that store the blocks themselves.
    NoStore,
}

/// Sends requests without cookies and without a referrer. Cheap to clone.
///
/// It leaves out options that this runtime's `Request` refuses: workerd doesn't know `credentials`,
/// and old versions don't know `cache`.
#[derive(Debug, Clone)]
pub struct Client {
    init: Vec<(&'static str, &'static str)>,
    /// Number of requests by this client and its clones.
    sent: Rc<Cell<u64>>,
}

impl Client {
    /// Creates a client for this runtime.
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

    /// Returns a client with the same options that counts from zero. Some platforms limit the
    /// requests per incoming request.
    #[must_use]
    pub fn with_new_count(&self) -> Self {
        Self {
            init: self.init.clone(),
            sent: Rc::default(),
        }
    }

    /// Returns the number of requests by this client and its clones.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// Adds requests that were sent without this client.
    pub fn count(&self, requests: u64) {
        self.sent.set(self.sent.get().saturating_add(requests));
    }

    /// Sends a GET request. Dropping the result aborts it.
    pub(crate) fn get(
        &self,
        url: &str,
        headers: &[(&str, &str)],
    ) -> Result<PendingRequest, JsValue> {
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
        let abort = AbortGuard(Some(AbortController::new()?));
        if let Some(controller) = &abort.0 {
            set(&init, "signal", &controller.signal());
        }
        let head = JsFuture::from(global_fetch(url, &init)?);
        Ok(PendingRequest { head, abort })
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new(Redirect::default(), HttpCache::default())
    }
}

/// A request without an answer yet.
pub(crate) struct PendingRequest {
    /// Resolves to the [`Response`].
    pub(crate) head: JsFuture,
    pub(crate) abort: AbortGuard,
}

/// Aborts its request when it is dropped, unless the request has ended.
pub(crate) struct AbortGuard(Option<AbortController>);

impl AbortGuard {
    /// Creates a guard without a request.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Marks the request as ended.
    pub(crate) fn disarm(&mut self) {
        self.0 = None;
    }
}

impl Drop for AbortGuard {
    fn drop(&mut self) {
        if let Some(controller) = self.0.take() {
            controller.abort();
        }
    }
}

/// Returns a header of a response.
pub(crate) fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).ok().flatten()
}

fn set(object: &Object, name: &str, value: &JsValue) {
    // Fails only for frozen objects and proxies, and these objects are neither.
    let _ = Reflect::set(object, &JsValue::from_str(name), value);
}

/// Whether `new Request` accepts this option.
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
