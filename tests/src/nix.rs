//! Stock Nix inside a [`Root`]: items, keys, `nix copy`.

use crate::guix::{TREE, USER};
use crate::root::Root;
use crate::{attempt, output};

/// A root with Nix for one user; no daemon is needed.
pub struct Nix {
    /// The machine.
    pub root: Root,
}

/// What [`Nix::items`] builds.
#[derive(Debug, Clone)]
pub struct Items {
    /// Executables, symlinks, empty and non-ASCII names.
    pub tree: String,
    /// Refers to `tree`.
    pub user: String,
    /// 50 MB, half of it incompressible.
    pub big: String,
    /// The program that built them, which the first two refer to.
    pub builder: String,
}

impl Nix {
    /// A fresh machine.
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
    /// When Nix can't.
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

    /// Makes a signing key at /root/nix.sec and gives its public part.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        self.root.sh(&format!(
            "nix-store --generate-binary-cache-key {name} /root/nix.sec /root/nix.pub"
        ));
        self.root.read("/root/nix.pub").trim().to_owned()
    }

    /// `nix copy --from URL ITEM` with signatures required: success and everything that it said.
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
            // What the client remembers of narinfos would hide a server's change of mind.
            "--option",
            "narinfo-cache-positive-ttl",
            "0",
            "--option",
            "narinfo-cache-negative-ttl",
            "0",
        ]));
        (ok, out + &err)
    }

    /// Deletes items, so that they can be installed once more.
    pub fn delete(&self, items: &[&str]) {
        output(self.root.command("nix-store").arg("--delete").args(items));
    }

    /// The SHA-256 of an item's NAR, computed from the disk.
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
