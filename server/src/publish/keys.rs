//! Reads the keys that sign narinfos.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use interplanar_core::signature::{SignatureError, guix, nix};

/// Where Guix keeps its public key.
pub const GUIX_PUBLIC_KEY: &str = "/etc/guix/signing-key.pub";
/// Where Guix keeps its secret key.
pub const GUIX_SECRET_KEY: &str = "/etc/guix/signing-key.sec";

/// Why a key can't be used.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Its file can't be read.
    #[error("can't read the key file {path}: {kind}; run as root, or name another key file")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        kind: io::ErrorKind,
    },
    /// Its file doesn't contain a key.
    #[error("the key file {path} is malformed: {error}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was expected.
        error: SignatureError,
    },
    /// The two files of Guix's key don't belong together.
    #[error("{public} is not the public key of {secret}")]
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
            Some((public, secret)) => Some([read(public)?, read(secret)?]),
            None => None,
        };
        let nix = nix
            .iter()
            .map(|path| read(path))
            .collect::<Result<_, _>>()?;
        Ok(Self { guix, nix })
    }
}

fn read(path: &Path) -> Result<(PathBuf, String), KeyError> {
    let text = fs::read_to_string(path).map_err(|error| KeyError::Io {
        path: path.to_path_buf(),
        kind: error.kind(),
    })?;
    Ok((path.to_path_buf(), text))
}

impl Keys {
    /// Parses the texts.
    ///
    /// # Errors
    /// A text isn't a key, or Guix's two keys aren't a pair.
    pub fn parse(texts: &KeyTexts) -> Result<Self, KeyError> {
        let malformed = |path: &Path| {
            let path = path.to_path_buf();
            move |error| KeyError::Malformed { path, error }
        };
        let guix = match &texts.guix {
            None => None,
            Some([(public, public_text), (secret, secret_text)]) => {
                let key = guix::SecretKey::parse(secret_text).map_err(malformed(secret))?;
                let half = guix::PublicKey::parse(public_text).map_err(malformed(public))?;
                if half != *key.public_key() {
                    let (public, secret) = (public.clone(), secret.clone());
                    return Err(KeyError::Mismatch { public, secret });
                }
                Some((public_text.clone(), key))
            }
        };
        let nix = texts.nix.iter();
        let nix =
            nix.map(|(path, text)| nix::SecretKey::parse(text.trim()).map_err(malformed(path)));
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
