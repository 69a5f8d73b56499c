//! Reads the keys that sign narinfos.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::system_error::reason;
use interplanar_core::signature::{SignatureError, guix, nix};

/// Where Guix keeps its public key.
pub const GUIX_PUBLIC_KEY: &str = "/etc/guix/signing-key.pub";
/// Where Guix keeps its secret key.
pub const GUIX_SECRET_KEY: &str = "/etc/guix/signing-key.sec";

/// A key that a file should contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFile {
    /// Guix's public key.
    GuixPublic,
    /// Guix's secret key.
    GuixSecret,
    /// A secret key of Nix.
    NixSecret,
}

impl KeyFile {
    /// Returns what to do about a file that can't be used.
    fn advice(self) -> &'static str {
        match self {
            Self::GuixPublic => "name the file of Guix's public key with --public-key",
            Self::GuixSecret => "name the file of Guix's secret key with --private-key",
            Self::NixSecret => "name the file of a secret key with --nix-key",
        }
    }
}

/// Returns why a file can't be read.
fn why(kind: io::ErrorKind) -> String {
    match kind {
        io::ErrorKind::InvalidData => "it is not text".to_owned(),
        kind => reason(kind),
    }
}

/// Returns what to do about a file that can't be read.
fn advice(kind: io::ErrorKind, key: KeyFile) -> String {
    let as_root = match kind {
        io::ErrorKind::PermissionDenied => "run as root, or ",
        _ => "",
    };
    format!("{as_root}{}", key.advice())
}

/// Why a key can't be used.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Its file can't be read.
    #[error("can't read the key file {path}: {}; {}", why(*kind), advice(*kind, *key))]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        kind: io::ErrorKind,
        /// The key that should be in the file.
        key: KeyFile,
    },
    /// Its file doesn't contain a key.
    #[error("can't use the key file {path}: {error}; {}", key.advice())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was expected.
        error: SignatureError,
        /// The key that should be in the file.
        key: KeyFile,
    },
    /// The two files of Guix's key don't belong together.
    #[error(
        "{public} is not the public key of {secret}; name both with --public-key and --private-key"
    )]
    Mismatch {
        /// The file of the public key.
        public: PathBuf,
        /// The file of the secret key.
        secret: PathBuf,
    },
}

/// The texts of key files, read while the process has the rights to.
#[derive(Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct KeyTexts {
    /// File and text of Guix's public and secret key.
    pub guix: Option<[(PathBuf, String); 2]>,
    /// File and text of each Nix secret key.
    pub nix: Vec<(PathBuf, String)>,
}

/// Keys to sign with.
#[derive(Default)]
pub struct Keys {
    /// Guix's key pair: the text of the public key's file, and the secret key.
    pub guix: Option<(String, guix::SecretKey)>,
    /// Nix's keys.
    pub nix: Vec<nix::SecretKey>,
}

impl KeyTexts {
    /// Reads the two files of Guix's key, and those of Nix's keys.
    ///
    /// # Errors
    /// A file can't be read; the first one is named.
    pub fn read(guix: Option<(&Path, &Path)>, nix: &[PathBuf]) -> Result<Self, KeyError> {
        let guix = match guix {
            Some((public, secret)) => Some([
                read(public, KeyFile::GuixPublic)?,
                read(secret, KeyFile::GuixSecret)?,
            ]),
            None => None,
        };
        let nix = nix
            .iter()
            .map(|path| read(path, KeyFile::NixSecret))
            .collect::<Result<_, _>>()?;
        Ok(Self { guix, nix })
    }
}

fn read(path: &Path, key: KeyFile) -> Result<(PathBuf, String), KeyError> {
    let text = fs::read_to_string(path).map_err(|error| KeyError::Io {
        path: path.to_path_buf(),
        kind: error.kind(),
        key,
    })?;
    Ok((path.to_path_buf(), text))
}

impl Keys {
    /// Parses the texts.
    ///
    /// # Errors
    /// A text isn't a key, or Guix's two keys aren't a pair.
    pub fn parse(texts: &KeyTexts) -> Result<Self, KeyError> {
        let malformed = |path: &Path, key| {
            let path = path.to_path_buf();
            move |error| KeyError::Malformed { path, error, key }
        };
        let guix = match &texts.guix {
            None => None,
            Some([(public, public_text), (secret, secret_text)]) => {
                let key = guix::SecretKey::parse(secret_text)
                    .map_err(malformed(secret, KeyFile::GuixSecret))?;
                let half = guix::PublicKey::parse(public_text)
                    .map_err(malformed(public, KeyFile::GuixPublic))?;
                if half != *key.public_key() {
                    let (public, secret) = (public.clone(), secret.clone());
                    return Err(KeyError::Mismatch { public, secret });
                }
                Some((public_text.clone(), key))
            }
        };
        let nix = texts.nix.iter();
        let nix = nix.map(|(path, text)| {
            nix::SecretKey::parse(text.trim()).map_err(malformed(path, KeyFile::NixSecret))
        });
        Ok(Self {
            guix,
            nix: nix.collect::<Result<_, _>>()?,
        })
    }
}

/// Shows no secrets.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("guix", &self.guix.is_some())
            .field("nix", &self.nix.len())
            .finish()
    }
}

/// Shows no secrets.
impl fmt::Debug for KeyTexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyTexts").finish_non_exhaustive()
    }
}
