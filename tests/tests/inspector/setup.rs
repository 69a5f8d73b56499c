//! The items that the tests publish, and what they check.

use interplanar_core::signature::nix;
use interplanar_tests::inspector::run;
use interplanar_tests::noise;
use interplanar_tests::program::{Program, get, narinfo};
use serde_json::Value;
use std::path::Path;

/// A gateway that doesn't exist.
pub(super) const NOBODY: &str = "http://127.0.0.1:9";
pub(super) const KEY: &str = "cache.test-1";
/// A file name that hides and reorders, and tries to be markup.
pub(super) const HOSTILE: &str = "<img src=x onerror=alert(1)>\u{202e}gnp.\u{7}txt";
/// A text that would run if it were markup.
pub(super) const SCRIPT: &str =
    "<script>alert('ran')</script><img src=x onerror=\"alert('ran')\">\n";

/// Items that `interplanar publish` publishes with a key, into a Kubo if the options say so.
pub(super) struct Cache {
    pub(super) folder: tempfile::TempDir,
    pub(super) publish: Program,
    /// Whether the narinfos name trees on IPFS.
    trees: bool,
}

impl Cache {
    pub(super) fn new(names: &[&str], options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        plant(folder.path());
        let key = nix::SecretKey::from_seed(KEY, &[7; 32]).expect("a key");
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(at("key.sec"), key.expose()).expect("a file");
        let mut arguments = vec!["publish".to_owned()];
        arguments.extend(names.iter().map(|name| at(name)));
        arguments
            .extend(["--port=0", "--listen=127.0.0.1", "--compression=zstd:3"].map(String::from));
        arguments.push(format!("--nix-key={}", at("key.sec")));
        arguments.push(format!("--cache={}", at("cache")));
        arguments.extend(options.iter().map(ToString::to_string));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let publish = Program::outside(&arguments);
        Self {
            folder,
            publish,
            trees: options.contains(&"--publish-tree"),
        }
    }

    /// The store path of an item.
    pub(super) fn item(&self, name: &str) -> String {
        let (_, text) = get(&format!("{}/items.json?name=-{name}", self.publish.url));
        let page: Value = serde_json::from_str(&text).expect("JSON");
        let path = page["items"][0]["path"].as_str();
        path.unwrap_or_else(|| panic!("{name}: {text}")).to_owned()
    }

    /// The narinfo of an item, once it is on IPFS.
    pub(super) fn narinfo(&self, name: &str) -> String {
        narinfo(&self.publish.url, &self.item(name), |text| {
            text.contains("ipfs://") && text.contains("\nTree: ") == self.trees
        })
    }

    pub(super) fn run(&self, scenario: &str, job: Value) -> Value {
        run(&self.publish.url, scenario, job)
    }
}

/// Writes a small item with files of every kind, and an older version of it.
fn plant(folder: &Path) {
    for (name, change) in [("tools-1.0", "old"), ("tools-1.1", "new")] {
        let at = |path: &str| folder.join(name).join(path);
        std::fs::create_dir_all(at("bin")).expect("folders");
        std::fs::create_dir_all(at("share/doc")).expect("folders");
        std::fs::copy("/bin/true", at("bin/true")).expect("a program");
        std::fs::write(at("share/readme.txt"), format!("first line\n{change}\n")).expect("a file");
        std::fs::write(at("share").join(HOSTILE), SCRIPT).expect("a file");
        std::fs::write(at("share/doc/picture.png"), PNG).expect("a file");
        std::fs::write(at("share/doc/noise.bin"), noise(0, 3_000_000)).expect("a file");
        std::os::unix::fs::symlink("readme.txt", at("share/link")).expect("a link");
        std::fs::write(at("share").join(change), change).expect("a file");
    }
}

/// One red pixel.
const PNG: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, 0x49, 0x48, 0x44, 0x52, 0, 0, 0,
    1, 0, 0, 0, 1, 8, 2, 0, 0, 0, 0x90, 0x77, 0x53, 0xde, 0, 0, 0, 0x0c, 0x49, 0x44, 0x41, 0x54, 8,
    0xd7, 0x63, 0xf8, 0xcf, 0xc0, 0, 0, 3, 1, 1, 0, 0x18, 0xdd, 0x8d, 0xb0, 0, 0, 0, 0, 0x49, 0x45,
    0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];

/// Whether a scenario saw this text.
pub(super) fn says(saw: &Value, text: &str) -> bool {
    saw.as_str().is_some_and(|saw| saw.contains(text))
}

/// Asserts that the browser contacted only these hosts.
pub(super) fn assert_asked_only(saw: &Value, urls: &[&str]) {
    for host in saw["hosts"].as_array().expect("hosts") {
        let host = host.as_str().expect("text");
        assert!(
            urls.iter().any(|url| url.ends_with(host)),
            "the browser contacted {host}"
        );
    }
}
