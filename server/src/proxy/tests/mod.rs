#[path = "../../../../core/src/nar/malformed.rs"]
pub(crate) mod malformed;
mod rewriting;
pub(crate) mod serving;

use super::*;
use crate::net::client::tests::peers::{Files, Peer};
use interplanar_core::nar::NarError;
use interplanar_core::signature::{guix, nix};

fn fixture(path: &str) -> Vec<u8> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
    std::fs::read(root.join(path)).unwrap()
}

/// The keys that signed the fixtures.
fn fixture_keys() -> TrustedKeys {
    let guix = guix::PublicKey::parse(
        std::str::from_utf8(&fixture("guix-1.5.0/signing-key.pub")).unwrap(),
    )
    .unwrap();
    let nix = nix::PublicKey::parse(
        std::str::from_utf8(&fixture("nix-2.34.8/nix.pub"))
            .unwrap()
            .trim(),
    )
    .unwrap();
    TrustedKeys {
        guix: vec![guix],
        nix: vec![nix],
    }
}

/// Opens a proxy with a cache folder of its own.
fn open(
    upstreams: &[&Peer],
    gateways: &[&Peer],
    keys: TrustedKeys,
    store_dir: Option<&str>,
) -> (Proxy, tempfile::TempDir) {
    let cache = tempfile::tempdir().unwrap();
    let urls = |peers: &[&Peer]| peers.iter().map(|peer| peer.url.clone()).collect();
    let config = Config {
        upstreams: urls(upstreams),
        gateways: urls(gateways),
        keys,
        cache: cache.path().to_owned(),
        cache_size: 1 << 30,
        installed: crate::installed::Config::default(),
        prefer: interplanar_core::dedup::Prefer::default(),
        store_dir: store_dir.map(str::to_owned),
        priority: 30,
    };
    (Proxy::open(config).unwrap(), cache)
}

/// A proxy under test that serves on loopback.
struct Running {
    peer: Peer,
    client: reqwest::Client,
    _cache: tempfile::TempDir,
}

impl Running {
    async fn start(upstreams: &[&Peer], gateways: &[&Peer], keys: TrustedKeys) -> Self {
        Self::with_store_dir(upstreams, gateways, keys, None).await
    }

    async fn with_store_dir(
        upstreams: &[&Peer],
        gateways: &[&Peer],
        keys: TrustedKeys,
        store_dir: Option<&str>,
    ) -> Self {
        let (proxy, cache) = open(upstreams, gateways, keys, store_dir);
        let peer = Peer::start(proxy).await;
        Self {
            peer,
            client: http_client().unwrap(),
            _cache: cache,
        }
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        self.client
            .get(self.peer.url.join(path).unwrap())
            .send()
            .await
            .unwrap()
    }

    /// Requests the narinfo of an item from the proxy.
    async fn narinfo(&self, hash_part: &str) -> interplanar_core::narinfo::NarInfo {
        let response = self.get(&format!("{hash_part}.narinfo")).await;
        assert_eq!(response.status(), 200);
        interplanar_core::narinfo::NarInfo::parse(&response.bytes().await.unwrap()).unwrap()
    }

    /// Requests the NAR that an item's narinfo names. Returns all of it, or an error.
    async fn nar(&self, hash_part: &str) -> Result<Vec<u8>, Refused> {
        let narinfo = self.narinfo(hash_part).await;
        let response = self.get(&narinfo.entries()[0].url).await;
        if response.status() != 200 {
            return Err(Refused::Status(response.status().as_u16()));
        }
        assert_eq!(response.content_length(), Some(narinfo.nar_size()));
        response
            .bytes()
            .await
            .map(|bytes| bytes.to_vec())
            .map_err(|_| Refused::Cut)
    }
}

/// Why a NAR was not received.
#[derive(Debug, PartialEq, Eq)]
enum Refused {
    Status(u16),
    /// The body ended before its length.
    Cut,
}
