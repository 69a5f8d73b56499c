//! Converts between the runtime's requests and responses and our own.

use crate::stream::{ByteStream, RequestContext, readable};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use js_sys::Uint8Array;
use wasm_bindgen::JsValue;
use web_sys::{Headers, Response, ResponseInit};

/// Request headers that the handler uses.
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
    pub(crate) body: ReplyBody,
}

/// The body of an answer.
pub(crate) enum ReplyBody {
    Empty,
    Whole(Bytes),
    /// A stream, and its length if that is known.
    Stream(ByteStream, Option<u64>),
}

impl Reply {
    /// Creates an answer with this body.
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
            body: ReplyBody::Whole(body.into()),
        }
    }

    /// Creates an answer with status 200 and this text.
    pub(crate) fn text(text: impl Into<Bytes>) -> Self {
        Self::new(StatusCode::OK, "text/plain; charset=utf-8", text)
    }

    /// Adds a header.
    pub(crate) fn with(mut self, name: http::HeaderName, value: impl ToString) -> Self {
        // Ignores values that aren't valid in a header.
        if let Ok(value) = HeaderValue::try_from(value.to_string()) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Converts the answer to the runtime's `Response`. For `HEAD`, it has no body.
    pub(crate) fn into_response(
        mut self,
        head: bool,
        context: Option<&RequestContext>,
    ) -> Result<Response, JsValue> {
        let length = match &self.body {
            ReplyBody::Empty => None,
            ReplyBody::Whole(bytes) => Some(bytes.len() as u64),
            ReplyBody::Stream(_, length) => *length,
        };
        if let Some(length) = length {
            self.headers.insert(CONTENT_LENGTH, length.into());
        }
        let headers = Headers::new()?;
        for (name, value) in &self.headers {
            // JavaScript represents each byte of a header as one character.
            let value: String = value.as_bytes().iter().copied().map(char::from).collect();
            headers.append(name.as_str(), &value)?;
        }
        let init = ResponseInit::new();
        init.set_status(self.status.as_u16());
        init.set_headers(&headers);
        match self.body {
            _ if head => Response::new_with_opt_str_and_init(None, &init),
            ReplyBody::Empty => Response::new_with_opt_str_and_init(None, &init),
            ReplyBody::Whole(bytes) => {
                let bytes = Uint8Array::from(bytes.as_ref());
                Response::new_with_opt_js_u8_array_and_init(Some(&bytes), &init)
            }
            ReplyBody::Stream(bytes, length) => {
                let stream = readable(bytes, length, context)?;
                Response::new_with_opt_readable_stream_and_init(Some(&stream), &init)
            }
        }
    }
}

/// Converts the runtime's request. Returns `None` if its URL or method is invalid.
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
