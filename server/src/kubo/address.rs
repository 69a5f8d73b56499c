//! Finds the RPC API: parses URLs and multiaddrs, and reads the `api` file of a Kubo repository.

use std::path::PathBuf;

use url::Url;

use super::KuboError;

/// Kubo's default address.
const DEFAULT: &str = "http://127.0.0.1:5001";

/// Returns the address in `$IPFS_PATH/api` (or `~/.ipfs/api`), which a running daemon writes, else
/// Kubo's default.
pub fn default_url() -> String {
    let repository = std::env::var_os("IPFS_PATH")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".ipfs")));
    repository
        .and_then(|repository| std::fs::read_to_string(repository.join("api")).ok())
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| DEFAULT.to_owned())
}

/// Returns the base URL for a URL or a multiaddr.
pub(super) fn parse(text: &str) -> Result<Url, KuboError> {
    let wrong = || KuboError::Address(text.to_owned());
    let url = match text.strip_prefix('/') {
        Some(multiaddr) => from_multiaddr(multiaddr).ok_or_else(wrong)?,
        None => text.to_owned(),
    };
    let url = Url::parse(&url).map_err(|_| wrong())?;
    let usable = matches!(url.scheme(), "http" | "https") && url.has_host();
    usable.then_some(url).ok_or_else(wrong)
}

/// Parses `ip4/A/tcp/P`, `ip6/…`, `dns/…`, `dns4/…` or `dns6/…`, optionally followed by `http`,
/// `https` or `tls/http`.
fn from_multiaddr(text: &str) -> Option<String> {
    let mut parts = text.trim_end_matches('/').split('/');
    let (kind, host) = (parts.next()?, parts.next()?);
    let host = match kind {
        "ip4" | "dns" | "dns4" | "dns6" => host.to_owned(),
        "ip6" => format!("[{host}]"),
        _ => return None,
    };
    let port: u16 = match (parts.next()?, parts.next()?) {
        ("tcp", port) => port.parse().ok()?,
        _ => return None,
    };
    let scheme = match parts.collect::<Vec<_>>().as_slice() {
        [] | ["http"] => "http",
        ["https"] | ["tls", "http"] => "https",
        _ => return None,
    };
    Some(format!("{scheme}://{host}:{port}"))
}
