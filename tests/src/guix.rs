//! Stock Guix inside a [`Root`]: its daemon, store items, keys, `guix build` and `guix publish`.

use crate::root::{Root, wait_until};
use crate::{attempt, output};
use std::process::{Child, Stdio};

/// The store paths of the items that [`Guix::items`] builds.
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

const ITEMS: &str = r#"
(use-modules (guix store) (guix derivations))
(define store (open-connection))
(define folder (add-to-store store "builder" #t "sha256" "/opt/builder"))
(define busybox (string-append folder "/busybox"))
(define (make name script . refs)
  (let* ((sh (add-text-to-store store (string-append name ".sh") script (cons folder refs)))
         (drv (derivation store name busybox (list "sh" sh)
                #:sources (append (list folder sh) refs)
                #:env-vars `(("busybox" . ,busybox) ("ref" . ,(if (null? refs) "" (car refs)))))))
    (build-derivations store (list drv))
    (display (derivation->output-path drv)) (newline)
    (derivation->output-path drv)))
(define tree (make "tree-1.0" (@@TREE@@)))
(make "user-1.0" (@@USER@@) tree)
(make "big-1.0" (@@BIG@@))
(display folder) (newline)
"#;

/// A builder's script: makes an item with every kind of file. `$busybox` is the shell.
pub const TREE: &str = r#"$busybox mkdir -p $out/bin $out/share/empty-folder
echo hello > $out/share/hello
: > $out/share/empty
: > "$out/share/zażółć ☃"
printf '#!%s sh\necho hi\n' $busybox > $out/bin/hi
$busybox chmod +x $out/bin/hi
$busybox ln -s ../bin/hi $out/share/link
"#;

/// A builder's script: makes an item that refers to `$ref`.
pub const USER: &str = r"$busybox mkdir -p $out
echo $ref > $out/refers
$busybox ln -s $ref/bin/hi $out/hi
";

/// A builder's script: makes an item of 50 MB.
///
/// One half is random, so an installed copy that is equal was downloaded, and not built again.
pub const BIG: &str = r"$busybox mkdir -p $out
$busybox head -c 26214400 /dev/urandom > $out/random
$busybox seq 1 3400000 > $out/numbers
";

/// A machine with a running guix-daemon.
pub struct Guix {
    /// The machine.
    pub root: Root,
    daemon: Child,
}

impl Guix {
    /// Makes a machine whose daemon uses no substitute servers.
    #[must_use]
    pub fn new() -> Self {
        Self::with_environment(&[])
    }

    /// As [`Guix::new`], with variables in the daemon's environment.
    ///
    /// # Panics
    /// If the daemon doesn't start.
    #[must_use]
    pub fn with_environment(variables: &[(&str, &str)]) -> Self {
        let root = Root::new();
        root.sh(
            "groupadd --system guixbuild
             for i in 1 2; do
                 useradd -g guixbuild -G guixbuild -d /var/empty -s /usr/sbin/nologin --system guixbuilder$i
             done
             mkdir -p /opt/builder && cp /usr/bin/busybox /opt/builder/busybox
             mkdir -p /etc/guix",
        );
        let daemon = start(&root, variables);
        Self { root, daemon }
    }

    /// Builds the items of the tests.
    ///
    /// # Panics
    /// If a build fails.
    #[must_use]
    pub fn items(&self) -> Items {
        let quoted = |text: &str| format!("string-append {text:?}");
        let script = ITEMS
            .replace("@@TREE@@", &quoted(TREE))
            .replace("@@USER@@", &quoted(USER))
            .replace("@@BIG@@", &quoted(BIG));
        self.root.write("/root/items.scm", script);
        let out = output(
            self.root
                .command("guix")
                .args(["repl", "--", "/root/items.scm"]),
        );
        let mut lines = out.lines().map(str::to_owned);
        let mut next = || {
            lines
                .next()
                .unwrap_or_else(|| panic!("a store path in {out:?}"))
        };
        Items {
            tree: next(),
            user: next(),
            big: next(),
            builder: next(),
        }
    }

    /// Generates this machine's signing key unless it has one, and returns the public key.
    #[must_use]
    pub fn key(&self) -> String {
        self.root
            .sh("[ -e /etc/guix/signing-key.pub ] || guix archive --generate-key >/dev/null 2>&1");
        self.root.read("/etc/guix/signing-key.pub")
    }

    /// Makes this machine trust substitutes that are signed with a key.
    pub fn authorize(&self, key: &str) {
        self.root.write("/root/key.pub", key);
        self.root.sh("guix archive --authorize < /root/key.pub");
    }

    /// Runs `guix build ITEM… --substitute-urls=…`. Returns whether it succeeded, and its output.
    #[must_use]
    pub fn install(&self, items: &[&str], urls: &str) -> (bool, String) {
        let (ok, out, err) = attempt(
            self.root
                .command("guix")
                .arg("build")
                .args(items)
                .arg(format!("--substitute-urls={urls}")),
        );
        (ok, out + &err)
    }

    /// Deletes items from the store, so that they can be installed again.
    pub fn delete(&self, items: &[&str]) {
        output(self.root.command("guix").args(["gc", "-D"]).args(items));
        // The client would use the narinfos that it has cached.
        self.root
            .sh("rm -rf /var/guix/substitute/cache /root/.cache/guix");
    }

    /// Returns the SHA-256 of an item's NAR, which `guix hash` computes from the files.
    #[must_use]
    pub fn hash(&self, item: &str) -> String {
        output(self.root.command("guix").args(["hash", "-S", "nar", item]))
            .trim()
            .to_owned()
    }

    /// Stops the daemon.
    pub fn stop_daemon(&mut self) {
        self.root.sh("pkill guix-daemon || true");
        drop(self.daemon.kill());
        drop(self.daemon.wait());
        let socket = self.root.path("/var/guix/daemon-socket/socket");
        drop(std::fs::remove_file(socket));
    }

    /// Stops the daemon and starts it with other variables.
    pub fn restart(&mut self, variables: &[(&str, &str)]) {
        self.stop_daemon();
        self.daemon = start(&self.root, variables);
    }

    /// Starts the real `guix publish` on a port, and waits until it answers.
    #[must_use]
    pub fn publish(&self, port: u16, options: &[&str]) -> Publish {
        let child = self
            .root
            .command("guix")
            .args(["publish", &format!("--port={port}"), "--listen=127.0.0.1"])
            .args(options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("guix publish");
        let url = format!("http://127.0.0.1:{port}");
        wait_until("guix publish", || reqwest::blocking::get(&url).is_ok());
        Publish { child, url }
    }
}

impl Default for Guix {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Guix {
    fn drop(&mut self) {
        drop(self.daemon.kill());
        drop(self.daemon.wait());
    }
}

/// A running `guix publish`. It ends with its machine at the latest.
pub struct Publish {
    child: Child,
    /// Its URL, `http://127.0.0.1:port`.
    pub url: String,
}

impl Drop for Publish {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Starts the daemon, and waits for its socket.
fn start(root: &Root, variables: &[(&str, &str)]) -> Child {
    let socket = "/var/guix/daemon-socket/socket";
    let log = std::fs::File::create(root.path("/var/log/guix-daemon.log")).expect("a log");
    let child = root
        .command("guix-daemon")
        .args([
            "--disable-chroot",
            "--build-users-group=guixbuild",
            "--substitute-urls=",
        ])
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("guix-daemon");
    root.wait_for(socket);
    child
}
