//! Stock Nix inside a [`Root`]: store items, keys and `nix copy`.

use crate::guix::{TREE, USER};
use crate::root::Root;
use crate::{attempt, output};

/// A machine with Nix for one user, which needs no daemon.
pub struct Nix {
    /// The machine.
    pub root: Root,
}

/// The store paths of the items that [`Nix::items`] builds.
#[derive(Debug, Clone)]
pub struct Items {
    /// An item with a program, a symlink, empty files and folders, and a name outside of ASCII.
    pub tree: String,
    /// An item that refers to `tree`.
    pub user: String,
    /// An item of 50 MB; half of it is random.
    pub big: String,
    /// The shell that built the items. `tree` and `user` refer to it.
    pub builder: String,
}

impl Nix {
    /// Makes a machine that uses no substitute servers.
    #[must_use]
    pub fn new() -> Self {
        let root = Root::new();
        root.write(
            "/etc/nix/nix.conf",
            "build-users-group =\nsandbox = false\nsubstituters =\nexperimental-features = nix-command\n",
        );
        root.sh("mkdir -p /opt/builder && cp /usr/bin/busybox /opt/builder/busybox");
        Self { root }
    }

    /// Builds the items of the tests.
    ///
    /// # Panics
    /// If a build fails.
    #[must_use]
    pub fn items(&self) -> Items {
        let expression = r#"let
  busybox = "${/opt/builder}/busybox";
  make = name: script: ref: derivation {
    inherit name busybox ref;
    system = "x86_64-linux"; builder = busybox;
    args = [ "sh" (builtins.toFile "${name}.sh" (builtins.readFile script)) ];
  };
in rec {
  tree = make "tree-1.0" ./tree.sh "";
  user = make "user-1.0" ./user.sh tree;
  big = make "big-1.0" ./big.sh "";
}
"#;
        self.root.write("/root/items.nix", expression);
        for (name, script) in [("tree", TREE), ("user", USER), ("big", crate::guix::BIG)] {
            self.root.write(&format!("/root/{name}.sh"), script);
        }
        let build = |name: &str| {
            let mut command = self.root.command("nix-build");
            command.args(["--no-out-link", "/root/items.nix", "-A", name]);
            output(&mut command).trim().to_owned()
        };
        let tree = build("tree");
        let mut query = self.root.command("nix-store");
        let builder = output(query.args(["--query", "--references", &tree]))
            .trim()
            .to_owned();
        Items {
            tree,
            user: build("user"),
            big: build("big"),
            builder,
        }
    }

    /// Generates a signing key in `/root/nix.sec`, and returns the public key.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        self.root.sh(&format!(
            "nix-store --generate-binary-cache-key {name} /root/nix.sec /root/nix.pub"
        ));
        self.root.read("/root/nix.pub").trim().to_owned()
    }

    /// Runs `nix copy --from URL ITEM`, which requires signatures.
    ///
    /// Returns whether it succeeded, and its output.
    #[must_use]
    pub fn install(&self, item: &str, url: &str, trusted_key: &str) -> (bool, String) {
        let (ok, out, err) = attempt(self.root.command("nix").args([
            "copy",
            "--from",
            url,
            item,
            "--option",
            "require-sigs",
            "true",
            "--option",
            "trusted-public-keys",
            trusted_key,
            // Narinfos that the client has cached would hide a change of the server.
            "--option",
            "narinfo-cache-positive-ttl",
            "0",
            "--option",
            "narinfo-cache-negative-ttl",
            "0",
        ]));
        (ok, out + &err)
    }

    /// Deletes items from the store, so that they can be installed again.
    pub fn delete(&self, items: &[&str]) {
        output(self.root.command("nix-store").arg("--delete").args(items));
    }

    /// Returns the SHA-256 of an item's NAR, which `nix hash` computes from the files.
    #[must_use]
    pub fn hash(&self, item: &str) -> String {
        output(self.root.command("nix").args(["hash", "path", item]))
            .trim()
            .to_owned()
    }
}

impl Default for Nix {
    fn default() -> Self {
        Self::new()
    }
}
