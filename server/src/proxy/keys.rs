//! Reads the keys that the user trusts.
//!
//! `--guix-acl FILE` is an access control list as `/etc/guix/acl`. `--trusted-key` is a Nix key, `name:base64`, or a file: one
//! that begins with `(` holds a Guix public key or an access control list; any other holds Nix keys, separated by white space.

use interplanar_core::signature::{guix, nix};
use interplanar_core::trust::TrustedKeys;
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
        None if Path::new(GUIX_ACL).exists() => add_guix(&mut trusted, &read(GUIX_ACL.as_ref())?, GUIX_ACL)?,
        None => {}
    }
    for key in keys {
        // "name:base64" is a possible path too, but hardly one that is there.
        if Path::new(key).exists() || !key.contains(':') {
            let text = read(key.as_ref())?;
            if text.trim_ascii_start().starts_with(b"(") {
                add_guix(&mut trusted, &text, key)?;
            } else {
                add_nix(&mut trusted, &String::from_utf8_lossy(&text), key)?;
            }
        } else {
            add_nix(&mut trusted, key, "--trusted-key")?;
        }
    }
    Ok(trusted)
}
