//! Reads the keys that the user trusts.
//!
//! `--guix-acl FILE` is an access control list as `/etc/guix/acl`. `--trusted-key` is a Nix key, `name:base64`, or a file: one
//! that begins with `(` holds a Guix public key or an access control list; any other holds Nix keys, separated by white space.

use interplanar_core::signature::{SignatureError, guix, nix};
use interplanar_core::trust::TrustedKeys;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The list that is read when no other is named.
const GUIX_ACL: &str = "/etc/guix/acl";

/// Why a key can't be used.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The file can't be read.
    #[error("can't read the keys in {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// It holds no key.
    #[error("{origin}: {reason}")]
    Syntax {
        /// The file or the argument.
        origin: String,
        /// What was expected.
        reason: String,
    },
}

/// The keys of `acl` (that of the system, where it is there, if none is named) and of `keys`, files or keys themselves.
///
/// # Errors
/// One can't be read or is no key.
pub fn load(acl: Option<&Path>, keys: &[String]) -> Result<TrustedKeys, KeyError> {
    let mut trusted = TrustedKeys::default();
    match acl {
        Some(path) => add_guix(&mut trusted, &read(path)?, &path.display().to_string())?,
        None if Path::new(GUIX_ACL).exists() => {
            add_guix(&mut trusted, &read(GUIX_ACL.as_ref())?, GUIX_ACL)?
        }
        None => {}
    }
    for key in keys {
        // "name:base64" is a possible path too, but hardly one that is there.
        if Path::new(key).exists() || !key.contains(':') {
            let text = read(key.as_ref())?;
            if text.trim_start().starts_with('(') {
                add_guix(&mut trusted, &text, key)?;
            } else {
                add_nix(&mut trusted, &text, key)?;
            }
        } else {
            add_nix(&mut trusted, key, "--trusted-key")?;
        }
    }
    Ok(trusted)
}

/// No file of keys is longer (bytes).
const MAX_KEYS: u64 = 1 << 20;

fn read(path: &Path) -> Result<String, KeyError> {
    let mut text = String::new();
    let result = File::open(path).and_then(|file| file.take(MAX_KEYS).read_to_string(&mut text));
    let unreadable = |error: std::io::Error| KeyError::Unreadable {
        path: path.to_path_buf(),
        reason: error.to_string(),
    };
    result.map(|_| text).map_err(unreadable)
}

fn syntax(origin: &str, error: &SignatureError) -> KeyError {
    KeyError::Syntax {
        origin: origin.to_owned(),
        reason: error.to_string(),
    }
}

/// A public key or an access control list.
fn add_guix(trusted: &mut TrustedKeys, text: &str, origin: &str) -> Result<(), KeyError> {
    let keys = match guix::PublicKey::parse(text) {
        Ok(key) => vec![key],
        Err(_) => {
            guix::Acl::parse(text)
                .map_err(|error| syntax(origin, &error))?
                .keys
        }
    };
    trusted.guix.extend(keys);
    Ok(())
}

/// Nix keys with white space between.
fn add_nix(trusted: &mut TrustedKeys, text: &str, origin: &str) -> Result<(), KeyError> {
    for key in text.split_ascii_whitespace() {
        trusted
            .nix
            .push(nix::PublicKey::parse(key).map_err(|error| syntax(origin, &error))?);
    }
    Ok(())
}
