//! What the shells call: make a worker from variables, hand it requests.

use crate::config::{Config, Place};
use crate::handler::Shared;
use crate::reply::{self, Reply};
use crate::stream::RequestContext;
use http::StatusCode;
use interplanar_wasm::promise::promise;
use js_sys::{Error, Promise, Reflect};
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use web_sys::{Cache, Request};

/// The handler, with what it remembers between requests.
#[wasm_bindgen]
pub struct Worker {
    shared: Rc<Shared>,
}

#[wasm_bindgen]
impl Worker {
    /// A worker for the edge, from its environment. With a cache (`caches.default`) narinfos are kept there.
    ///
    /// # Errors
    /// A variable that can't be used, named.
    pub fn edge(variables: &JsValue, cache: Option<Cache>) -> Result<Self, JsValue> {
        Self::make(Place::Edge, variables, cache)
    }

    /// A worker for a browser, from the settings of its user. With a cache narinfos and verified blocks are kept there.
    ///
    /// # Errors
    /// A setting that can't be used, named.
    pub fn service(settings: &JsValue, cache: Option<Cache>) -> Result<Self, JsValue> {
        Self::make(Place::Service, settings, cache)
    }

    fn make(place: Place, variables: &JsValue, cache: Option<Cache>) -> Result<Self, JsValue> {
        let get = |name: &str| {
            let value = Reflect::get(variables, &JsValue::from_str(name)).ok()?;
            let number = value.as_f64().map(|number| number.to_string());
            let truth = value.as_bool().map(|truth| truth.to_string());
            value.as_string().or(number).or(truth)
        };
        let config = Config::parse(place, get).map_err(|error| Error::new(&error.to_string()))?;
        Ok(Self {
            shared: Rc::new(Shared::new(config, cache)),
        })
    }

    /// The version of this program.
    pub fn version() -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    /// Answers a request: a promise of a `Response`. The edge gives the request's context, so that work which nobody waits for any more
    /// still comes to its end.
    pub fn fetch(&self, request: &Request, context: Option<RequestContext>) -> Promise {
        let shared = Rc::clone(&self.shared);
        let asked = reply::request(request);
        let head = request.method() == "HEAD";
        promise(async move {
            let reply = match asked {
                Some(asked) => shared.task().reply(asked).await,
                None => Reply::new(StatusCode::BAD_REQUEST, "text/plain", "no request\n"),
            };
            Ok(reply.into_response(head, context.as_ref())?.into())
        })
    }
}
