//! Answers that are no success: a status and one plain line, never a detail of the machine.

use std::fmt;

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, StatusCode};

use crate::Answer;
use crate::content;

/// Why a request isn't answered with content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub(crate) status: StatusCode,
    message: String,
    /// Headers that belong to the status.
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            headers: Vec::new(),
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// A block that cannot be read as what its CID says.
    pub(crate) fn malformed(what: &str) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("malformed {what}"),
        )
    }

    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The status that says so.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer; what was set already of `headers` stays, but for what describes content.
    pub(crate) fn answer(self, mut headers: HeaderMap) -> Answer {
        for name in [
            http::header::ETAG,
            http::header::CACHE_CONTROL,
            http::header::CONTENT_DISPOSITION,
            http::header::CONTENT_LENGTH,
            http::header::LAST_MODIFIED,
        ] {
            headers.remove(name);
        }
        headers.insert(CONTENT_TYPE, content::TEXT);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.extend(
            self.headers
                .into_iter()
                .map(|(name, value)| (Some(name), value)),
        );
        content::with(self.status, headers, (self.message + "\n").into())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}
