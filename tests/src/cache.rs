//! A machine that builds store items, and the program under test, which publishes them to a Kubo
//! node.

use crate::guix::{Guix, Items};
use crate::kubo::Kubo;
use crate::nix::{self, Nix};
use crate::program::{Program, narinfo};
use crate::root::Root;

/// Starts `interplanar publish` inside a machine. It pins what it publishes in a Kubo node.
#[must_use]
pub fn publish(root: &Root, kubo: &Kubo, options: &[&str]) -> Program {
    let api = format!("--ipfs-api={}", kubo.api_url());
    let mut arguments = vec![
        "publish",
        "--port=0",
        "--listen=127.0.0.1",
        "--cache=/var/cache/publish",
        "--compression=zstd:3",
        &api,
    ];
    arguments.extend(options);
    Program::inside(root, &arguments)
}

/// A Guix machine that publishes its items to a Kubo node.
pub struct GuixCache {
    /// The machine.
    pub machine: Guix,
    /// The items that it built.
    pub items: Items,
    /// The public key of its signatures, as an S-expression.
    pub key: String,
    /// The running `interplanar publish`.
    pub publish: Program,
}

impl GuixCache {
    /// Builds the items, and publishes them to `kubo` with more options. Returns when Kubo has all
    /// of them.
    #[must_use]
    pub fn new(kubo: &Kubo, options: &[&str]) -> Self {
        let machine = Guix::new();
        let items = machine.items();
        let key = machine.key();
        let publish = publish(&machine.root, kubo, options);
        let cache = Self {
            machine,
            items,
            key,
            publish,
        };
        for item in cache.all() {
            narinfo(&cache.publish.url, item, |text| text.contains("ipfs://"));
        }
        cache
    }

    /// Returns the store paths of all its items.
    #[must_use]
    pub fn all(&self) -> [&str; 4] {
        [
            &self.items.tree,
            &self.items.user,
            &self.items.big,
            &self.items.builder,
        ]
        .map(String::as_str)
    }

    /// Returns a new machine that trusts this cache; `variables` go into its daemon's environment.
    #[must_use]
    pub fn client(&self, variables: &[(&str, &str)]) -> Guix {
        let client = Guix::with_environment(variables);
        client.authorize(&self.key);
        client
    }

    /// Asserts that the client's items have the hashes of this machine's items.
    ///
    /// # Panics
    /// If an item differs.
    pub fn assert_installed(&self, client: &Guix) {
        for item in self.all() {
            assert_eq!(client.hash(item), self.machine.hash(item), "{item}");
        }
    }
}

/// A Nix machine that publishes its items to a Kubo node, signed with [`NIX_KEY`].
pub struct NixCache {
    /// The machine.
    pub machine: Nix,
    /// The items that it built.
    pub items: nix::Items,
    /// The public key of its signatures, `name:base64`.
    pub key: String,
    /// The running `interplanar publish`.
    pub publish: Program,
}

/// The name of the key that a [`NixCache`] signs with.
pub const NIX_KEY: &str = "cache.test-1";

impl NixCache {
    /// Builds the items, and publishes them to `kubo`. Returns when Kubo has all of them.
    #[must_use]
    pub fn new(kubo: &Kubo) -> Self {
        Self::with(kubo, &[])
    }

    /// As [`NixCache::new`], with more options for `publish`.
    #[must_use]
    pub fn with(kubo: &Kubo, options: &[&str]) -> Self {
        let machine = Nix::new();
        let items = machine.items();
        let key = machine.key(NIX_KEY);
        let options = [&["--nix-key=/root/nix.sec"], options].concat();
        let publish = publish(&machine.root, kubo, &options);
        let cache = Self {
            machine,
            items,
            key,
            publish,
        };
        for item in cache.all() {
            narinfo(&cache.publish.url, item, |text| text.contains("ipfs://"));
        }
        cache
    }

    /// Returns the store paths of all its items.
    #[must_use]
    pub fn all(&self) -> [&str; 4] {
        let items = &self.items;
        [&items.tree, &items.user, &items.big, &items.builder].map(String::as_str)
    }
}
