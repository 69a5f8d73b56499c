//! What can go wrong with Kubo, and what to do then.

use serde::Deserialize;
use url::Url;

/// Why a call of Kubo's API failed.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KuboError {
    /// The address of the API is none.
    #[error("{0:?} is no API address: give http://HOST:PORT or /ip4/ADDRESS/tcp/PORT")]
    Address(String),
    /// Nothing answers there. It may later.
    #[error("Kubo's API is not reachable at {url}: {cause}; is `ipfs daemon` running?")]
    Unreachable {
        /// Where.
        url: String,
        /// What the system said.
        cause: String,
    },
    /// The connection broke, or nothing came for too long. It may work later.
    #[error("the connection to Kubo's API at {url} broke: {cause}")]
    Broken {
        /// Where.
        url: String,
        /// What the system said.
        cause: String,
    },
    /// Kubo refused, in its own words.
    #[error("Kubo answered with status {status}: {message}{}", hint(*.status))]
    Api {
        /// The HTTP status; 200 if the error came midway.
        status: u16,
        /// Its message.
        message: String,
    },
    /// It answered what no Kubo does.
    #[error("Kubo's API answered what was not expected: {0}")]
    Protocol(String),
    /// The data to add could not be read.
    #[error("the data to add could not be read: {0}")]
    Source(String),
}

/// What to do about a status.
fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => " (see API.Authorizations and API.HTTPHeaders in Kubo's config)",
        404 | 405 => " (is this the API's address, and not the gateway's?)",
        _ => "",
    }
}

impl KuboError {
    /// Whether it makes sense to try again later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Broken { .. })
    }

    /// Whether Kubo says that it hasn't got a block.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Api { message, .. }
            if message.contains("not found") || message.contains("could not find"))
    }

    /// From an answer that is no success: JSON with a `Message`, or text.
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
        // No password into a log.
        let hidden = url.set_password(None).and_then(|()| url.set_username(""));
        let url = hidden.map_or_else(|()| "its address".to_owned(), |()| url.to_string());
        if error.is_connect() {
            Self::Unreachable { url, cause }
        } else {
            Self::Broken { url, cause }
        }
    }
}
