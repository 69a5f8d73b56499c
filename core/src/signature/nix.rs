//! Nix's signatures: Ed25519 with named keys.
//!
//! ```text
//! public key := name ":" base64(32 bytes)
//! secret key := name ":" base64(seed of 32 bytes, public key of 32 bytes)
//! signature  := name ":" base64(64 bytes), over the fingerprint of a narinfo
//! ```
//! Source: the signature code in libutil of Nix 2.34.
//!
//! ```
//! use interplanar_core::signature::nix::{PublicKey, SecretKey};
//! let secret = SecretKey::from_seed("cache-1", &[7; 32]).unwrap();
//! let public = PublicKey::parse(&secret.public_key().to_string()).unwrap();
//! assert_eq!(public.verify(b"text", &secret.sign(b"text")), Ok(()));
//! ```

use super::SignatureError;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use data_encoding::BASE64;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};

/// Longest name of a key, in bytes.
pub const MAX_KEY_NAME: usize = 256;

/// A key that checks signatures.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    key: VerifyingKey,
}

/// A key that signs.
pub struct SecretKey {
    name: String,
    key: SigningKey,
}

/// A signature and the name of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    name: String,
    bytes: [u8; 64],
}

impl PublicKey {
    /// Parses `name:base64`.
    ///
    /// # Errors
    /// [`SignatureError`] if the text has another form or holds no valid key.
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        let (name, bytes) = parse_named::<32>(text)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| SignatureError::Point)?;
        Ok(Self { name, key })
    }

    /// Returns the name of the key. Signatures name their key by it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks a signature.
    ///
    /// # Errors
    /// [`SignatureError::Bad`] if this key did not sign this text.
    pub fn verify(&self, text: &[u8], signature: &Signature) -> Result<(), SignatureError> {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.bytes);
        self.key
            .verify_strict(text, &signature)
            .map_err(|_| SignatureError::Bad)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, BASE64.encode(self.key.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl SecretKey {
    /// Parses `name:base64`, as `nix-store --generate-binary-cache-key` writes it.
    ///
    /// # Errors
    /// [`SignatureError`] if the text has another form, [`SignatureError::Mismatch`] if the public
    /// key in it is not the secret key's.
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        let (name, bytes) = parse_named::<64>(text)?;
        let key = SigningKey::from_keypair_bytes(&bytes).map_err(|_| SignatureError::Mismatch)?;
        Ok(Self { name, key })
    }

    /// Derives a key from 32 secret random bytes.
    ///
    /// # Errors
    /// [`SignatureError::Named`] if the name is not valid before a colon.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, SignatureError> {
        check_name(name)?;
        Ok(Self {
            name: String::from(name),
            key: SigningKey::from_bytes(seed),
        })
    }

    /// Returns the key that checks signatures made by this one.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey {
            name: self.name.clone(),
            key: self.key.verifying_key(),
        }
    }

    /// Signs a text.
    #[must_use]
    pub fn sign(&self, text: &[u8]) -> Signature {
        Signature {
            name: self.name.clone(),
            bytes: self.key.sign(text).to_bytes(),
        }
    }

    /// Returns the text that [`SecretKey::parse`] reads.
    #[must_use]
    pub fn expose(&self) -> String {
        format!(
            "{}:{}",
            self.name,
            BASE64.encode(&self.key.to_keypair_bytes())
        )
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.name)
    }
}

impl Signature {
    /// Parses the value of a `Sig` line.
    ///
    /// # Errors
    /// [`SignatureError`] if the text has another form.
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        let (name, bytes) = parse_named::<64>(text)?;
        Ok(Self { name, bytes })
    }

    /// Returns the name of the key that the signature names.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, BASE64.encode(&self.bytes))
    }
}

fn parse_named<const N: usize>(text: &str) -> Result<(String, [u8; N]), SignatureError> {
    let (name, digits) = text
        .trim_end()
        .split_once(':')
        .ok_or(SignatureError::Named)?;
    check_name(name)?;
    // Enough for any key, and bounds the allocation.
    if digits.len() > 256 {
        return Err(SignatureError::Base64);
    }
    let bytes: Vec<u8> = BASE64
        .decode(digits.as_bytes())
        .map_err(|_| SignatureError::Base64)?;
    let actual = bytes.len();
    let bytes = bytes.try_into().map_err(|_| SignatureError::Length {
        expected: N,
        actual,
    })?;
    Ok((String::from(name), bytes))
}

fn check_name(name: &str) -> Result<(), SignatureError> {
    let valid = !name.is_empty() && name.len() <= MAX_KEY_NAME && !name.contains([':', ' ', '\n']);
    if valid {
        Ok(())
    } else {
        Err(SignatureError::Named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn keys_and_signatures_read_back_and_verify() {
        let secret =
            SecretKey::parse(&SecretKey::from_seed("k", &[3; 32]).unwrap().expose()).unwrap();
        let signature = Signature::parse(&secret.sign(b"text").to_string()).unwrap();
        let public = secret.public_key();
        assert_eq!(public.verify(b"text", &signature), Ok(()));
        assert_eq!(public.verify(b"texT", &signature), Err(SignatureError::Bad));
        assert_eq!(std::format!("{secret:?}"), "SecretKey(k)");
    }

    #[test]
    fn malformed_keys_give_exact_errors() {
        let parse = |text: &str| PublicKey::parse(text).unwrap_err();
        assert_eq!(parse("nameless"), SignatureError::Named);
        assert_eq!(parse(":AAAA"), SignatureError::Named);
        assert_eq!(parse("k:A"), SignatureError::Base64);
        assert_eq!(
            parse("k:AAAA"),
            SignatureError::Length {
                expected: 32,
                actual: 3
            }
        );
        // 88 digits that don't encode 64 bytes.
        let odd = std::format!("k:{}", "A".repeat(88));
        assert_eq!(
            Signature::parse(&odd).unwrap_err(),
            SignatureError::Length {
                expected: 64,
                actual: 66
            }
        );
    }
}
