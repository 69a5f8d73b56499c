//! Answers that are no success: a status and one plain line, never a detail of the machine.

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, StatusCode};

use crate::blocks::BlocksError;
use crate::net::server::{Response, text};

/// Why a request isn't answered with content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    message: String,
    /// Headers that belong to the status.
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            headers: Vec::new(),
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// A block that cannot be read as what its CID says.
    pub(super) fn malformed(what: &str) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("malformed {what}"),
        )
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The response; what was set already of `headers` stays, but for what describes content.
    pub(super) fn response(self, mut headers: HeaderMap) -> Response {
        let mut response = text(self.status, self.message + "\n");
        for name in [
            http::header::ETAG,
            http::header::CACHE_CONTROL,
            http::header::CONTENT_DISPOSITION,
            http::header::CONTENT_LENGTH,
            http::header::LAST_MODIFIED,
        ] {
            headers.remove(name);
        }
        if let Some(value) = response.headers().get(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, value.clone());
        }
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.extend(
            self.headers
                .into_iter()
                .map(|(name, value)| (Some(name), value)),
        );
        *response.headers_mut() = headers;
        response
    }
}

impl From<BlocksError> for Refusal {
    fn from(error: BlocksError) -> Self {
        tracing::error!(%error, "the gateway cannot read its blocks");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the blocks cannot be read",
        )
    }
}
