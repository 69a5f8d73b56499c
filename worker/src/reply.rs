//! Answers on their way out, and what becomes of them in the runtime.

use crate::stream::{Pieces, RequestContext, readable};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use js_sys::Uint8Array;
use wasm_bindgen::JsValue;
use web_sys::{Headers, Response, ResponseInit};

/// Headers of requests that mean something here.
const HEADERS: [&str; 7] = [
    "accept",
    "cache-control",
    "if-match",
    "if-none-match",
    "if-range",
    "range",
    "service-worker",
];

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

/// Its body.
pub(crate) enum Body {
    Empty,
    Whole(Bytes),
    /// With its length, if that is known.
    Stream(Pieces, Option<u64>),
}

impl Reply {
    /// An answer with a body at hand.
    pub(crate) fn new(
        status: StatusCode,
        media_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        Self {
            status,
            headers,
            body: Body::Whole(body.into()),
        }
    }

    /// 200 with a line of text.
    pub(crate) fn text(text: impl Into<Bytes>) -> Self {
        Self::new(StatusCode::OK, "text/plain; charset=utf-8", text)
    }

    /// The same with a header more.
    pub(crate) fn with(mut self, name: http::HeaderName, value: impl ToString) -> Self {
        // What can't be a header is no header.
        if let Ok(value) = HeaderValue::try_from(value.to_string()) {
            self.headers.insert(name, value);
        }
        self
    }

    /// The response of the runtime; for `HEAD` without its body.
    pub(crate) fn into_response(
        mut self,
        head: bool,
        context: Option<&RequestContext>,
    ) -> Result<Response, JsValue> {
        let length = match &self.body {
            Body::Empty => None,
            Body::Whole(bytes) => Some(bytes.len() as u64),
            Body::Stream(_, length) => *length,
        };
        if let Some(length) = length {
            self.headers.insert(CONTENT_LENGTH, length.into());
        }
        let headers = Headers::new()?;
        for (name, value) in &self.headers {
            // Headers hold bytes; strings of JavaScript stand for them one to one.
            let value: String = value.as_bytes().iter().copied().map(char::from).collect();
            headers.append(name.as_str(), &value)?;
        }
        let init = ResponseInit::new();
        init.set_status(self.status.as_u16());
        init.set_headers(&headers);
        match self.body {
            _ if head => Response::new_with_opt_str_and_init(None, &init),
            Body::Empty => Response::new_with_opt_str_and_init(None, &init),
            Body::Whole(bytes) => {
                let bytes = Uint8Array::from(bytes.as_ref());
                Response::new_with_opt_js_u8_array_and_init(Some(&bytes), &init)
            }
            Body::Stream(pieces, length) => {
                let stream = readable(pieces, length, context)?;
                Response::new_with_opt_readable_stream_and_init(Some(&stream), &init)
            }
        }
    }
}

/// A request of the runtime, as far as it means something here. `None` if its URL or method is none.
pub(crate) fn request(from: &web_sys::Request) -> Option<Request<()>> {
    let url = from.url();
    let (_, rest) = url.split_once("://")?;
    let target = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
    let target = target.split('#').next()?;
    let mut request = Request::builder()
        .method(from.method().as_str())
        .uri(target);
    for name in HEADERS {
        if let Ok(Some(value)) = from.headers().get(name) {
            request = request.header(name, value);
        }
    }
    request.body(()).ok()
}
