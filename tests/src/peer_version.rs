//! The versions of peers whose exact words or bytes tests compare.
//!
//! Such a test calls [`PeerVersion::expect`] first. With another version installed, it fails with a plain reason instead of a
//! difference in bytes. To move to a new version: change it here (and in `scripts/peers`), then see which comparisons fail.

use crate::{output, peer};
use std::process::Command;

/// A peer, and the version that the tests speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerVersion {
    name: &'static str,
    version: &'static str,
    source: Source,
}

/// Where the installed version is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// `ipfs version`.
    Ipfs,
    /// The package of this name in the Debian root. The programs themselves need `/proc`, which that root doesn't have.
    Package(&'static str),
}

/// `guix publish`, its narinfos and its NARs.
pub const GUIX: PeerVersion = PeerVersion {
    name: "Guix",
    version: "1.5.0",
    source: Source::Package("guix"),
};

/// `nix copy`, its narinfos and its NARs.
pub const NIX: PeerVersion = PeerVersion {
    name: "Nix",
    version: "2.34.8",
    source: Source::Package("nix-bin"),
};

/// Kubo's gateway and `ipfs add`.
pub const KUBO: PeerVersion = PeerVersion {
    name: "Kubo",
    version: "0.43.0",
    source: Source::Ipfs,
};

impl PeerVersion {
    /// Checks that the installed version is the one that the tests speak of.
    ///
    /// # Panics
    /// When it is another, or isn't installed.
    pub fn expect(&self) {
        if let Err(difference) = self.check(&self.installed()) {
            panic!("{difference}");
        }
    }

    /// The version that is installed, without Debian's revision.
    fn installed(&self) -> String {
        let text = match self.source {
            Source::Ipfs => output(Command::new(peer("bin/ipfs")).args(["version", "--number"])),
            Source::Package(package) => {
                let database = peer("sid-root").join("var/lib/dpkg");
                output(
                    Command::new("dpkg-query")
                        .arg(format!("--admindir={}", database.display()))
                        .args(["--show", "--showformat=${Version}", package]),
                )
            }
        };
        upstream(text.trim()).to_owned()
    }

    fn check(&self, installed: &str) -> Result<(), String> {
        let Self { name, version, .. } = self;
        if installed == *version {
            Ok(())
        } else {
            Err(format!(
                "this is {name} {installed}, the test speaks of {version}: install {version}, or change \
                 tests/src/peer_version.rs and what the test expects"
            ))
        }
    }
}

/// The upstream part of a Debian version: `2.34.8` of `1:2.34.8+dfsg-1+b1`.
fn upstream(version: &str) -> &str {
    let version = version
        .split_once(':')
        .map_or(version, |(_epoch, rest)| rest);
    version.split(['+', '-', '~']).next().unwrap_or(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debian_version_is_read_without_its_revision() {
        for (version, expected) in [
            ("1.5.0-1", "1.5.0"),
            ("2.34.8+dfsg-1+b1", "2.34.8"),
            ("1:2.3~rc1-4", "2.3"),
            ("0.43.0", "0.43.0"),
        ] {
            assert_eq!(upstream(version), expected);
        }
    }

    #[test]
    fn the_installed_peers_are_those_that_the_tests_speak_of() {
        for peer in [GUIX, NIX, KUBO] {
            peer.expect();
        }
    }

    #[test]
    fn another_version_is_named_beside_the_one_that_the_test_speaks_of() {
        assert_eq!(GUIX.check("1.5.0"), Ok(()));
        let difference = GUIX.check("1.6.0").expect_err("another version");
        assert!(
            difference.starts_with("this is Guix 1.6.0, the test speaks of 1.5.0:"),
            "{difference}"
        );
    }
}
