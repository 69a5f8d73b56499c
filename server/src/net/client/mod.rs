//! HTTP as a client: one way to make requests, and the fetch of IPFS content over it.
//!
//! - [`http_client`] makes the client that every part shares: it sends no cookies and no referer, follows at most
//!   [`MAX_REDIRECTS`] redirects and waits for nobody forever.
//! - [`get_small`] fetches what fits into memory (a narinfo, a `nix-cache-info`), with retries.
//! - [`fetch_ipfs`], [`fetch_block`] and [`fetch_tree`] drive [`interplanar_core::fetch::Fetcher`] with real requests, a real clock and a block store.

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
pub use small::{HttpError, Small, get_small};
pub use store::LocalBlocks;
pub use streams::{FetchStream, TreeStream};

/// Redirects followed for one request.
pub const MAX_REDIRECTS: usize = 5;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence in the middle of a response. The engine has its own, shorter, limits; this one is for plain downloads.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The client that every part shares; clones share its connections.
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

/// Builds a client; on a machine without certificate authorities one that can speak plain HTTP only.
///
/// # Errors
/// As [`http_client`].
pub fn build(
    builder: impl Fn() -> reqwest::ClientBuilder,
) -> Result<reqwest::Client, reqwest::Error> {
    builder().build().or_else(|error| {
        let client = builder().tls_certs_only([]).build()?;
        tracing::debug!(%error, "no certificate authorities are installed here, so https:// URLs can't be used");
        Ok(client)
    })
}
