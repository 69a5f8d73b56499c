//! The HTTP client, and fetching IPFS content with it.
//!
//! - [`http_client`] creates the client that all parts share. It sends no cookies and no referer,
//!   follows at most [`MAX_REDIRECTS`] redirects, and has timeouts.
//! - [`get_small`] fetches a response that fits in memory (a narinfo, a `nix-cache-info`), with
//!   retries.
//! - [`fetch_ipfs`], [`fetch_block`] and [`fetch_tree`] drive [`interplanar_core::fetch::Fetcher`]
//!   with real requests, a clock and a block store.

mod fetch;
mod hashes;
mod requests;
mod small;
mod store;
mod streams;
#[cfg(test)]
pub(crate) mod tests;

use std::time::Duration;

pub use fetch::{fetch_block, fetch_ipfs, fetch_tree};
pub use small::{HttpError, SmallResponse, get_small};
pub use store::LocalBlocks;
pub use streams::{FetchStream, TreeStream};

/// Maximum number of redirects for one request.
pub const MAX_REDIRECTS: usize = 5;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest pause within a response. The fetch engine has shorter limits of its own; this one is for
/// plain downloads.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Creates the HTTP client that all parts share. Clones share its connections.
///
/// # Errors
/// The TLS library or the resolver can't be set up.
pub fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    build(|| {
        reqwest::Client::builder()
            .user_agent(concat!("interplanar/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::limited(MAX_REDIRECTS))
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .pool_idle_timeout(Duration::from_secs(60))
            .tcp_nodelay(true)
    })
}

/// Builds a client. Without certificate authorities on this machine, the client supports plain HTTP
/// only.
///
/// # Errors
/// See [`http_client`].
pub fn build(
    builder: impl Fn() -> reqwest::ClientBuilder,
) -> Result<reqwest::Client, reqwest::Error> {
    builder().build().or_else(|error| {
        let client = builder().tls_certs_only([]).build()?;
        tracing::debug!(%error, "no certificate authorities are installed, so https:// URLs can't be used");
        Ok(client)
    })
}
