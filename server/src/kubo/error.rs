//! Errors of Kubo's RPC API, and hints what to do.

use serde::Deserialize;
use url::Url;

/// Why a call of Kubo's RPC API failed.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KuboError {
    /// The address of the API can't be parsed.
    #[error(
        "can't parse the address of Kubo's RPC API {0:?}; \
         expected http://HOST:PORT or /ip4/ADDRESS/tcp/PORT"
    )]
    Address(String),
    /// Nothing responds there. Try again later.
    #[error("can't reach Kubo's RPC API at {url}: {cause}; is `ipfs daemon` running?")]
    Unreachable {
        /// The URL of the API.
        url: String,
        /// The reason of the system.
        cause: String,
    },
    /// The connection broke, or no data came for too long. Try again later.
    #[error("the connection to Kubo's RPC API at {url} broke: {cause}")]
    Broken {
        /// The URL of the API.
        url: String,
        /// The reason of the system.
        cause: String,
    },
    /// Kubo refused, for the reason in its message.
    #[error("Kubo answered with status {status}: {message}{}", hint(*.status))]
    Api {
        /// The HTTP status; 200 if the error came in the middle of a response.
        status: u16,
        /// Kubo's message.
        message: String,
    },
    /// Kubo sent an unexpected response.
    #[error("Kubo's RPC API sent an unexpected response: {0}")]
    Protocol(String),
    /// The data to send could not be read.
    #[error("can't read the data to send to Kubo: {0}")]
    Source(String),
}

/// Returns what to do about a status.
fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => " (see API.Authorizations and API.HTTPHeaders in Kubo's config)",
        404 | 405 => " (is this the API's address, and not the gateway's?)",
        _ => "",
    }
}

impl KuboError {
    /// Returns whether trying again later can help.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Broken { .. })
    }

    /// Returns whether the error says that Kubo lacks a block.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Api { message, .. }
            if message.contains("not found") || message.contains("could not find"))
    }

    /// Parses an error response: JSON with a `Message`, or text.
    pub(super) fn api(status: u16, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            message: String,
        }
        let message = serde_json::from_slice::<Answer>(body)
            .map(|answer| answer.message)
            .unwrap_or_else(|_| {
                String::from_utf8_lossy(body)
                    .trim()
                    .chars()
                    .take(500)
                    .collect()
            });
        Self::Api { status, message }
    }

    pub(super) fn transport(url: &Url, error: &reqwest::Error) -> Self {
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        let (mut url, cause) = (url.clone(), cause.to_string());
        // Keep passwords out of logs.
        let hidden = url.set_password(None).and_then(|()| url.set_username(""));
        let url = hidden.map_or_else(|()| "its address".to_owned(), |()| url.to_string());
        if error.is_connect() {
            Self::Unreachable { url, cause }
        } else {
            Self::Broken { url, cause }
        }
    }
}
