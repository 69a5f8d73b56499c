//! The substituter protocol of guix-daemon: commands on standard input, replies on file
//! descriptor 4.
//!
//! ```text
//! --query:      have PATH…                  → each available PATH on a line, then an empty line
//!               info PATH…                  → for each available PATH: PATH, deriver (or empty),
//!                                             number of references, each reference, compressed
//!                                             size (or 0), NAR size; then an empty line
//! --substitute: substitute PATH DESTINATION → "success sha256:HASH SIZE" or "not-found"
//! ```
//! Guix's own program may also reply "hash-mismatch". Here a wrong hash only makes the source fail,
//! and the next one is tried.
//! Source: guix/scripts/substitute.scm and the daemon's local-store.cc of Guix 1.5.0.

use interplanar_core::hash::Sha256;
use interplanar_core::store_path::StorePath;
use interplanar_core::trust::Signed;

/// A command of the daemon.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    /// Which of these store paths are available?
    Have(Vec<&'a str>),
    /// References and sizes of these store paths.
    Info(Vec<&'a str>),
    /// Download a store path to a destination.
    Substitute {
        /// The store path.
        path: &'a str,
        /// Where to unpack it.
        destination: &'a str,
    },
}

impl<'a> Command<'a> {
    /// Parses one line. Returns `None` for anything but a command.
    #[must_use]
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let name = words.next()?;
        let rest: Vec<&str> = words.collect();
        match (name, rest.as_slice()) {
            ("have", [_, ..]) => Some(Self::Have(rest)),
            ("info", [_, ..]) => Some(Self::Info(rest)),
            ("substitute", &[path, destination]) => Some(Self::Substitute { path, destination }),
            _ => None,
        }
    }
}

/// Formats the reply to `info` for one item. A deriver that is no store item is left out, because
/// the daemon would fail at it.
#[must_use]
pub(super) fn info(signed: &Signed, deriver: Option<&str>, download_size: u64) -> String {
    let store = signed.store_path().directory();
    let mut reply = format!("{}\n", signed.store_path());
    if let Some(deriver) = deriver.and_then(|name| StorePath::in_directory(store, name).ok()) {
        reply.push_str(deriver.as_str());
    }
    reply.push('\n');
    let references = signed.references();
    reply.push_str(&format!("{}\n", references.len()));
    for reference in references {
        reply.push_str(&format!("{store}/{reference}\n"));
    }
    reply.push_str(&format!("{download_size}\n{}\n", signed.nar_size()));
    reply
}

/// Result of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The item was unpacked, with this hash and NAR size.
    Success {
        /// The NarHash.
        hash: Sha256,
        /// The NarSize, in bytes.
        size: u64,
    },
    /// No source had the item.
    NotFound,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Success { hash, size } => write!(f, "success {hash} {size}"),
            Self::NotFound => f.write_str("not-found"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use interplanar_core::narinfo::NarInfo;
    use interplanar_core::signature::nix;
    use interplanar_core::trust::TrustedKeys;

    #[test]
    fn commands_of_the_daemon() {
        assert_eq!(
            Command::parse("have /a /b"),
            Some(Command::Have(vec!["/a", "/b"]))
        );
        assert_eq!(
            Command::parse("info  /a\n"),
            Some(Command::Info(vec!["/a"]))
        );
        assert_eq!(
            Command::parse("substitute /a /b"),
            Some(Command::Substitute {
                path: "/a",
                destination: "/b"
            })
        );
        for nonsense in [
            "",
            "have",
            "substitute /a",
            "substitute /a /b /c",
            "want /a",
        ] {
            assert_eq!(Command::parse(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_deriver_that_is_no_store_item_is_left_out() {
        let base = "agkhnj5wmbrb40rigsyf6ynkdi22d89g-tree";
        let key = nix::SecretKey::from_seed("test-1", &[5; 32]).unwrap();
        let text = format!(
            "StorePath: /gnu/store/{base}\nURL: x\nNarHash: {}\nNarSize: 7\nReferences: {base}\n",
            Sha256::of(b"nar")
        );
        let unsigned = NarInfo::parse(text.as_bytes()).unwrap();
        let signature = key.sign(unsigned.fingerprint().as_bytes());
        let narinfo = NarInfo::parse(format!("{text}Sig: {signature}\n").as_bytes()).unwrap();
        let trusted = TrustedKeys {
            guix: Vec::new(),
            nix: vec![key.public_key()],
        };
        let signed = trusted.verify(&narinfo).unwrap();
        for (deriver, line) in [
            (Some(base), format!("/gnu/store/{base}")),
            (Some("unknown-deriver"), String::new()),
            (Some("../../etc"), String::new()),
            (None, String::new()),
        ] {
            let reply = format!("/gnu/store/{base}\n{line}\n1\n/gnu/store/{base}\n3\n7\n");
            assert_eq!(info(&signed, deriver, 3), reply);
        }
    }

    #[test]
    fn outcomes_are_the_words_that_the_daemon_reads() {
        let one = Sha256::of(b"one");
        let success = Outcome::Success { hash: one, size: 7 }.to_string();
        assert_eq!(success, format!("success sha256:{} 7", one.to_nix32()));
        assert_eq!(Outcome::NotFound.to_string(), "not-found");
    }
}
