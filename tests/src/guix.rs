//! Stock Guix inside a [`Root`]: daemon, items, authorised keys, `guix build`, `guix publish`.

use crate::root::{Root, wait_until};
use crate::{attempt, output};
use std::process::{Child, Stdio};

/// What [`Guix::items`] builds.
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

/// A store item with everything that a file tree may hold; `$busybox` is the builder.
pub const TREE: &str = r#"$busybox mkdir -p $out/bin $out/share/empty-folder
echo hello > $out/share/hello
: > $out/share/empty
: > "$out/share/zażółć ☃"
printf '#!%s sh\necho hi\n' $busybox > $out/bin/hi
$busybox chmod +x $out/bin/hi
$busybox ln -s ../bin/hi $out/share/link
"#;

/// An item that refers to another.
pub const USER: &str = r"$busybox mkdir -p $out
echo $ref > $out/refers
$busybox ln -s $ref/bin/hi $out/hi
";

/// 50 MB; the random half proves that an installed copy is not a rebuilt one.
pub const BIG: &str = r"$busybox mkdir -p $out
$busybox head -c 26214400 /dev/urandom > $out/random
$busybox seq 1 3400000 > $out/numbers
";

/// A root with a running guix-daemon.
pub struct Guix {
    /// The machine.
    pub root: Root,
    daemon: Child,
}

impl Guix {
    /// A fresh machine whose daemon asks `substitute_urls` (none: no substitutes).
    #[must_use]
    pub fn new() -> Self {
        Self::with_environment(&[])
    }

    /// As [`Guix::new`], with variables in the daemon's environment.
    ///
    /// # Panics
    /// When the daemon doesn't start.
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
    /// When Guix can't.
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

    /// Makes this machine's signing key and gives its public part.
    #[must_use]
    pub fn key(&self) -> String {
        self.root
            .sh("[ -e /etc/guix/signing-key.pub ] || guix archive --generate-key >/dev/null 2>&1");
        self.root.read("/etc/guix/signing-key.pub")
    }

    /// Authorises a public key.
    pub fn authorize(&self, key: &str) {
        self.root.write("/root/key.pub", key);
        self.root.sh("guix archive --authorize < /root/key.pub");
    }

    /// `guix build ITEM --substitute-urls=…`: success and everything that it said.
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

    /// Deletes items, so that they can be installed once more.
    pub fn delete(&self, items: &[&str]) {
        output(self.root.command("guix").args(["gc", "-D"]).args(items));
        // What the client remembers of narinfos.
        self.root
            .sh("rm -rf /var/guix/substitute/cache /root/.cache/guix");
    }

    /// The SHA-256 of an item's NAR, as the program itself computes it from the disk.
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

    /// Starts the real `guix publish` on a port and waits until it answers.
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

/// A running `guix publish`; its root ends it for good.
pub struct Publish {
    child: Child,
    /// Its address.
    pub url: String,
}

impl Drop for Publish {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

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
