//! A cache of Guix items on IPFS: a machine that builds them, and the program under test that publishes them.

use crate::guix::{Guix, Items};
use crate::kubo::Kubo;
use crate::nix::{self, Nix};
use crate::program::{Program, narinfo};
use crate::root::Root;

/// Starts `interplanar publish` inside a machine, into a Kubo node.
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

/// A Guix machine that publishes three items into a Kubo node.
pub struct GuixCache {
    /// The machine.
    pub machine: Guix,
    /// What it built.
    pub items: Items,
    /// Its public key.
    pub key: String,
    /// The publisher.
    pub publish: Program,
}

impl GuixCache {
    /// Publishes to `kubo`, with more options.
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

    /// All of its items.
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

    /// A machine that trusts this cache.
    #[must_use]
    pub fn client(&self, variables: &[(&str, &str)]) -> Guix {
        let client = Guix::with_environment(variables);
        client.authorize(&self.key);
        client
    }

    /// The client has what this machine has.
    ///
    /// # Panics
    /// When an item differs.
    pub fn assert_installed(&self, client: &Guix) {
        for item in self.all() {
            assert_eq!(client.hash(item), self.machine.hash(item), "{item}");
        }
    }
}

/// A Nix machine that publishes four items into a Kubo node, signed by [`NIX_KEY`].
pub struct NixCache {
    /// The machine.
    pub machine: Nix,
    /// Its items.
    pub items: nix::Items,
    /// The public key that it signs with.
    pub key: String,
    /// What publishes.
    pub publish: Program,
}

/// The name of the key of a [`NixCache`].
pub const NIX_KEY: &str = "cache.test-1";

impl NixCache {
    /// Starts, and waits until all is in Kubo.
    #[must_use]
    pub fn new(kubo: &Kubo) -> Self {
        Self::with(kubo, &[])
    }

    /// As [`NixCache::new`], with more options.
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

    /// All of its items.
    #[must_use]
    pub fn all(&self) -> [&str; 4] {
        let items = &self.items;
        [&items.tree, &items.user, &items.big, &items.builder].map(String::as_str)
    }
}
