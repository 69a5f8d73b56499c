use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use interplanar_core::signature::{guix, nix};
use tempfile::TempDir;

use super::*;
use crate::store::trees::{Tree, Trees};
use crate::store::{Item, Source};

mod caches;
mod narinfos;
mod requests;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures");

/// A publisher of trees in a temporary folder.
struct Fixture {
    dir: TempDir,
    source: Arc<dyn Source>,
    publisher: Publisher,
}

/// A response whose body was read.
struct Answer {
    status: StatusCode,
    headers: http::HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Returns a configuration with gzip:1, a Guix key and a Nix key.
fn config(dir: &Path) -> Config {
    let mut config = Config::new(bake::Config::new(dir.join("cache")));
    config.bake.compressors = vec!["gzip:1".parse().unwrap()];
    let key = guix::SecretKey::from_seed(&[7; 32]).unwrap();
    config.keys = Keys {
        guix: Some(("(public-key)\n".to_owned(), key)),
        nix: vec![nix::SecretKey::from_seed("test-1", &[7; 32]).unwrap()],
    };
    config
}

impl Fixture {
    /// Publishes the trees `small` (some bytes), `large` (200 kB) and `packed.tar.gz`.
    fn new(store_dir: &str, change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("small"), "some bytes").unwrap();
        fs::write(dir.path().join("packed.tar.gz"), "not really").unwrap();
        fs::create_dir(dir.path().join("large")).unwrap();
        let numbers: String = (0..40_000).map(|n| format!("{n:05}")).collect();
        fs::write(dir.path().join("large/numbers"), numbers).unwrap();
        let tree = |name: &str| Tree {
            path: dir.path().join(name),
            name: None,
        };
        let trees = ["small", "large", "packed.tar.gz"].map(tree);
        let source: Arc<dyn Source> = Arc::new(Trees::open(&trees, store_dir).unwrap());
        Self::of(dir, source, change)
    }

    fn of(dir: TempDir, source: Arc<dyn Source>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(dir.path());
        change(&mut config);
        let publisher = Publisher::open(Arc::clone(&source), config).unwrap();
        Self {
            dir,
            source,
            publisher,
        }
    }

    fn item(&self, name: &str) -> Item {
        let items = self.source.items(None, 10).unwrap();
        items
            .into_iter()
            .find(|item| item.store_path.name() == name)
            .unwrap()
    }

    fn narinfo_path(&self, name: &str) -> String {
        format!("/{}.narinfo", self.item(name).store_path.hash_part())
    }

    fn nar_path(&self, method: &str, name: &str) -> String {
        format!("/nar/{method}{}", self.item(name).store_path.base_name())
    }

    fn nar(&self, name: &str) -> Vec<u8> {
        let mut nar = Vec::new();
        self.source.dump(&self.item(name), &mut nar).unwrap();
        nar
    }

    async fn bake(&self, name: &str) {
        self.publisher.baker().bake(self.item(name)).await.unwrap();
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[]).await
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.publisher.handle(request.body(()).unwrap()).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes());
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.unwrap_or_default(),
        }
    }
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bytes), &mut out).unwrap();
    out
}

fn fixture(path: &str) -> PathBuf {
    Path::new(FIXTURES).join(path)
}
