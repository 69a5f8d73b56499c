//! The API for the JavaScript shells: create a worker from variables, and pass requests to it.

use crate::config::{Config, Platform};
use crate::handler::IsolateState;
use crate::reply::{self, Reply};
use crate::stream::RequestContext;
use http::StatusCode;
use interplanar_wasm::promise::promise;
use js_sys::{Error, Promise, Reflect};
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use web_sys::{Cache, Request};

/// The request handler, and the data that it keeps between requests.
#[wasm_bindgen]
pub struct Worker {
    state: Rc<IsolateState>,
}

#[wasm_bindgen]
impl Worker {
    /// Creates a worker for the edge from environment variables. It stores narinfos and NARs in the
    /// cache (`caches.default`), if there is one.
    ///
    /// # Errors
    /// An `Error` that names the invalid variable.
    pub fn edge(variables: &JsValue, cache: Option<Cache>) -> Result<Self, JsValue> {
        Self::create(Platform::Edge, variables, cache)
    }

    /// Creates a service worker from the user's settings. It stores narinfos and verified blocks in
    /// the cache, if there is one.
    ///
    /// # Errors
    /// An `Error` that names the invalid setting.
    pub fn service(settings: &JsValue, cache: Option<Cache>) -> Result<Self, JsValue> {
        Self::create(Platform::Service, settings, cache)
    }

    fn create(
        platform: Platform,
        variables: &JsValue,
        cache: Option<Cache>,
    ) -> Result<Self, JsValue> {
        let get = |name: &str| {
            let value = Reflect::get(variables, &JsValue::from_str(name)).ok()?;
            let number = value.as_f64().map(|number| number.to_string());
            let boolean = value.as_bool().map(|boolean| boolean.to_string());
            value.as_string().or(number).or(boolean)
        };
        let config =
            Config::parse(platform, get).map_err(|error| Error::new(&error.to_string()))?;
        Ok(Self {
            state: Rc::new(IsolateState::new(config, cache)),
        })
    }

    /// Returns the version of this program.
    pub fn version() -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    /// Answers a request with a promise of a `Response`. The edge passes the request's context, so
    /// that work continues after the client has left.
    pub fn fetch(&self, request: &Request, context: Option<RequestContext>) -> Promise {
        let state = Rc::clone(&self.state);
        let incoming = reply::request(request);
        let head = request.method() == "HEAD";
        promise(async move {
            let reply = match incoming {
                Some(incoming) => state.task().reply(incoming).await,
                None => Reply::new(
                    StatusCode::BAD_REQUEST,
                    "text/plain",
                    "can't parse the request\n",
                ),
            };
            Ok(reply.into_response(head, context.as_ref())?.into())
        })
    }
}
