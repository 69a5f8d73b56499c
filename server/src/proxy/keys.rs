//! Loads the keys that the user trusts.
//!
//! `--guix-acl FILE` is an access control list like `/etc/guix/acl`. `--trusted-key` is a Nix key,
//! `name:base64`, or a file. A file that starts with `(` holds a Guix public key or an access
//! control list; any other file holds Nix keys, separated by white space.

use interplanar_core::signature::{SignatureError, guix, nix};
use interplanar_core::trust::TrustedKeys;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The access control list that is read by default.
const GUIX_ACL: &str = "/etc/guix/acl";

/// Why a key can't be used.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The file can't be read.
    #[error(
        "can't read the keys in {}: {reason}; name another file with --trusted-key or --guix-acl",
        path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error message.
        reason: String,
    },
    /// The text is not a key.
    #[error(
        "can't use the key in {origin}: {reason}; name a public key with --trusted-key, or an \
         access control list of Guix with --guix-acl"
    )]
    Syntax {
        /// The file or the argument.
        origin: String,
        /// The expected format.
        reason: String,
    },
}

/// Loads the keys of `acl` (default: the system's, if it exists) and of `keys`, which are files or
/// keys themselves.
///
/// # Errors
/// A file can't be read, or its content is not a key.
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
        // "name:base64" could be a path too, so the file system is checked first.
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

/// Maximum size of a key file, in bytes.
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

/// Adds a public key or the keys of an access control list.
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

/// Adds Nix keys that are separated by white space.
fn add_nix(trusted: &mut TrustedKeys, text: &str, origin: &str) -> Result<(), KeyError> {
    for key in text.split_ascii_whitespace() {
        trusted
            .nix
            .push(nix::PublicKey::parse(key).map_err(|error| syntax(origin, &error))?);
    }
    Ok(())
}
