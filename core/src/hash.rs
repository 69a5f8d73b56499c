//! SHA-256 in the text forms that narinfos, derivations and Nix use.
//!
//! ```
//! use interplanar_core::hash::Sha256;
//! let hash = Sha256::of(b"");
//! assert_eq!(hash.to_string(), "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73");
//! assert_eq!(Sha256::parse(&hash.to_sri()), Ok(hash));
//! ```

use crate::nix_base32;
use alloc::string::String;
use core::fmt;
use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use sha2::{Digest, Sha256 as Hasher};

/// Why a text is not a SHA-256 hash.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// Another hash algorithm, or none.
    #[error("expected sha256:<hash> or sha256-<base64>")]
    Algorithm,
    /// The digits are not 52 characters of Nix base-32, 64 of base-16 or 44 of base-64.
    #[error("expected 52 characters of base-32, 64 of base-16 or 44 of base-64, not {0}")]
    Length(usize),
    /// A character that the base doesn't contain.
    #[error("the hash has a character that its base doesn't allow")]
    Digits,
}

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// Hashes bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Hasher::digest(bytes).into())
    }

    /// Wraps a digest that was computed elsewhere.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest as bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Parses `sha256:` with base-32, base-16 or base-64 digits, or `sha256-` with base-64 ones.
    ///
    /// # Errors
    /// [`HashError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, HashError> {
        if let Some(digits) = text.strip_prefix("sha256-") {
            return Self::from_base64(digits);
        }
        let digits = text.strip_prefix("sha256:").ok_or(HashError::Algorithm)?;
        match digits.len() {
            52 => {
                let bytes = nix_base32::decode(digits).map_err(|_| HashError::Digits)?;
                bytes.try_into().map(Self).map_err(|_| HashError::Digits)
            }
            64 => {
                let bytes = HEXLOWER_PERMISSIVE.decode(digits.as_bytes());
                let bytes = bytes.map_err(|_| HashError::Digits)?;
                bytes.try_into().map(Self).map_err(|_| HashError::Digits)
            }
            _ => Self::from_base64(digits),
        }
    }

    fn from_base64(digits: &str) -> Result<Self, HashError> {
        if digits.len() != 44 {
            return Err(HashError::Length(digits.len()));
        }
        let bytes = BASE64
            .decode(digits.as_bytes())
            .map_err(|_| HashError::Digits)?;
        bytes.try_into().map(Self).map_err(|_| HashError::Digits)
    }

    /// Returns 64 digits of base-16.
    #[must_use]
    pub fn to_hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// Returns 52 digits of Nix base-32.
    #[must_use]
    pub fn to_nix32(&self) -> String {
        nix_base32::encode(&self.0)
    }

    /// Returns `sha256-` and base-64 digits, the form that newer Nix versions use.
    #[must_use]
    pub fn to_sri(&self) -> String {
        alloc::format!("sha256-{}", BASE64.encode(&self.0))
    }
}

/// `sha256:` and 52 digits of Nix base-32.
impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.to_nix32())
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Hashes bytes that arrive in pieces.
#[derive(Debug, Clone, Default)]
pub struct Sha256Hasher(Hasher);

impl Sha256Hasher {
    /// Makes a hasher that has read nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Hashes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the digest of all pieces.
    #[must_use]
    pub fn finish(self) -> Sha256 {
        Sha256(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn every_form_parses_back() {
        let hash = Sha256::of(b"interplanar");
        let base64 = hash.to_sri().replace('-', ":");
        for text in [
            hash.to_string(),
            hash.to_sri(),
            std::format!("sha256:{}", hash.to_hex()),
            base64,
        ] {
            assert_eq!(Sha256::parse(&text), Ok(hash), "{text}");
        }
    }

    #[test]
    fn errors_name_what_is_wrong_with_a_text() {
        assert_eq!(Sha256::parse("sha512:0"), Err(HashError::Algorithm));
        assert_eq!(Sha256::parse("sha256:0"), Err(HashError::Length(1)));
        assert_eq!(
            Sha256::parse(&std::format!("sha256:{}", "e".repeat(52))),
            Err(HashError::Digits)
        );
        assert_eq!(
            Sha256::parse(&std::format!("sha256:{}", "x".repeat(64))),
            Err(HashError::Digits)
        );
    }

    #[test]
    fn pieces_hash_as_the_whole() {
        let mut hasher = Sha256Hasher::new();
        hasher.update(b"inter");
        hasher.update(b"planar");
        assert_eq!(hasher.finish(), Sha256::of(b"interplanar"));
    }
}
