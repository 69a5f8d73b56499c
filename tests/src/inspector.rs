//! The cache inspector in Chromium: runs the scenarios of `tests/web/inspector`, and publishes a
//! large item for them.

use crate::program::{Program, narinfo};
use crate::web::run_script;
use crate::{checkout, noise};
use serde_json::{Value, json};
use std::path::PathBuf;
use tempfile::TempDir;

/// Runs a scenario of `tests/web/inspector` against a server, and returns what the page showed.
///
/// # Panics
/// If the scenario fails, if axe-core finds an accessibility problem, or if the page tried
/// something that its content security policy forbids.
#[must_use]
pub fn run(url: &str, scenario: &str, mut job: Value) -> Value {
    job["scenario"] = json!(scenario);
    job["url"] = json!(url);
    job["screenshots"] = json!(screenshots());
    let saw = run_script("inspector.mjs", &job);
    let text = |key: &str| saw[key].as_str().unwrap_or_default().to_owned();
    let (failed, shown, complaints) = (text("failed"), text("shown"), &saw["complaints"]);
    assert_eq!(failed, "", "{shown}\n{complaints}");
    assert_eq!(saw["violations"], json!({}), "axe-core");
    let forbidden = complaints.as_array().into_iter().flatten();
    let forbidden = forbidden.filter_map(Value::as_str).filter(|complaint| {
        // Chromium's own page around a picture has an inline style.
        complaint.contains("violates") && !complaint.contains("inline style")
    });
    assert_eq!(forbidden.collect::<Vec<_>>(), Vec::<&str>::new());
    saw
}

/// Returns the folder for screenshots.
fn screenshots() -> PathBuf {
    checkout()
        .canonicalize()
        .expect("a checkout")
        .join("target/screenshots")
}

/// A published item of 300 MB in 5,000 files.
pub struct Large {
    /// The running `interplanar publish`.
    publish: Program,
    /// The item's hash part.
    hash: String,
    _folder: TempDir,
}

impl Large {
    /// Writes and publishes the item.
    ///
    /// # Panics
    /// If it can't be written or published.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let many = folder.path().join("large-1.0/many");
        std::fs::create_dir_all(&many).expect("folders");
        let noise = noise(0, 60_000 + 5_000);
        for index in 0..5_000 {
            let file = many.join(format!("file-{index:04}"));
            std::fs::write(file, &noise[index..index + 60_000]).expect("a file");
        }
        let at = |name: &str| folder.path().join(name).display().to_string();
        let publish = Program::outside(&[
            "publish",
            &at("large-1.0"),
            "--port=0",
            "--listen=127.0.0.1",
            "--compression=zstd:1",
            &format!("--cache={}", at("cache")),
        ]);
        let item = publish.item();
        narinfo(&publish.url, &item, |text| text.contains("ipfs://"));
        let base = item.rsplit('/').next().expect("a name");
        Self {
            hash: base[..32].to_owned(),
            publish,
            _folder: folder,
        }
    }

    /// Opens the item in the inspector, and returns what the page showed.
    #[must_use]
    pub fn run(&self) -> Value {
        run(&self.publish.url, "large", json!({ "hash": self.hash }))
    }
}

impl Default for Large {
    fn default() -> Self {
        Self::new()
    }
}
