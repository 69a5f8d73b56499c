//! Trust as types: an [`Unverified`] value becomes [`Verified`] only if it passes its check.
//!
//! The check of a narinfo is a signature by one of the [`TrustedKeys`]. The signature covers
//! StorePath, NarHash, NarSize and References, and in Guix's dialect also Deriver. The entries stay
//! hints.
//!
//! ```
//! use interplanar_core::narinfo::NarInfo;
//! use interplanar_core::trust::{TrustError, TrustedKeys, Unverified};
//! let text = "StorePath: /nix/store/bnfap3gvj3v0k345a5zkxwyd38m1f2s5-tree\n\
//!     URL: nar/x.nar\nCompression: none\n\
//!     NarHash: sha256:0dzcznf6ic1ia641rv82ihgq0dhps4k8rva4ryl327416ygfvpww\n\
//!     NarSize: 1272\nReferences: \n";
//! let info = Unverified::new(NarInfo::parse(text.as_bytes()).unwrap());
//! assert_eq!(TrustedKeys::default().verify(info).unwrap_err(), TrustError::Unsigned);
//! ```

use crate::narinfo::NarInfo;
use crate::signature::{guix, nix};
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Deref;

/// A value that was not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified<T>(T);

impl<T> Unverified<T> {
    /// Wraps a value from any source.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// Borrows the value, for uses that need no trust.
    #[must_use]
    pub fn peek(&self) -> &T {
        &self.0
    }
}

/// A value that passed its check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// Unwraps the value. Later changes to it are not checked.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Why a narinfo is not trusted.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The narinfo has no signature.
    #[error("the narinfo is not signed")]
    Unsigned,
    /// No signature of the narinfo is by a trusted key.
    #[error("the narinfo is signed by {signer}, which is not a trusted key")]
    UnknownKey {
        /// The name of the Nix key, or the fingerprint of the Guix key; printable.
        signer: String,
    },
    /// The signature names a trusted key, but that key did not make it.
    #[error("the signature in the name of {signer} is wrong")]
    Bad {
        /// The name of the Nix key, or the fingerprint of the Guix key; printable.
        signer: String,
    },
    /// The signature can't be parsed.
    #[error("the narinfo's signature is malformed")]
    Malformed,
}

/// One signature of a narinfo and the result of its check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedSignature {
    /// The name of the Nix key, or the fingerprint of the Guix key; printable. Empty if the
    /// signature can't be parsed.
    pub signer: String,
    /// `Ok` if a trusted key made the signature.
    pub result: Result<(), TrustError>,
}

/// The keys that are trusted to sign narinfos.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedKeys {
    /// Guix keys.
    pub guix: Vec<guix::PublicKey>,
    /// Nix keys.
    pub nix: Vec<nix::PublicKey>,
}

impl CheckedSignature {
    fn malformed() -> Self {
        Self {
            signer: String::new(),
            result: Err(TrustError::Malformed),
        }
    }
}

impl TrustedKeys {
    /// Returns whether there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.guix.is_empty() && self.nix.is_empty()
    }

    /// Checks the signatures of a narinfo. One correct signature by a trusted key is enough.
    ///
    /// # Errors
    /// [`TrustError`]. A wrong signature in the name of a trusted key takes precedence over other
    /// errors.
    pub fn verify(&self, info: Unverified<NarInfo>) -> Result<Verified<NarInfo>, TrustError> {
        self.check(&info.0)?;
        Ok(Verified(info.0))
    }

    fn check(&self, info: &NarInfo) -> Result<(), TrustError> {
        let mut worst = TrustError::Unsigned;
        for checked in self.signatures(info) {
            match checked.result {
                Ok(()) => return Ok(()),
                Err(TrustError::Bad { signer }) => worst = TrustError::Bad { signer },
                Err(error) if !matches!(worst, TrustError::Bad { .. }) => worst = error,
                Err(_) => {}
            }
        }
        Err(worst)
    }

    /// Checks every signature of a narinfo and returns each result: first Guix's, then Nix's in
    /// their order.
    pub fn signatures<'a>(
        &'a self,
        info: &'a NarInfo,
    ) -> impl Iterator<Item = CheckedSignature> + 'a {
        let guix = info.guix_signature().zip(info.signed_text());
        let guix = guix.map(|(value, text)| self.guix_result(value, text));
        let fingerprint = info.fingerprint();
        let nix = info.signatures().iter();
        let nix = nix.map(move |value| self.nix_result(value, &fingerprint));
        guix.into_iter().chain(nix)
    }

    fn guix_result(&self, value: &str, text: &str) -> CheckedSignature {
        let Ok(signature) = guix::Signature::parse(value) else {
            return CheckedSignature::malformed();
        };
        let signer = signature.key().fingerprint();
        let result = match self.guix.iter().find(|key| *key == signature.key()) {
            None => Err(TrustError::UnknownKey {
                signer: signer.clone(),
            }),
            Some(key) => key
                .verify(text.as_bytes(), &signature)
                .map_err(|_| TrustError::Bad {
                    signer: signer.clone(),
                }),
        };
        CheckedSignature { signer, result }
    }

    fn nix_result(&self, value: &str, fingerprint: &str) -> CheckedSignature {
        let Ok(signature) = nix::Signature::parse(value) else {
            return CheckedSignature::malformed();
        };
        let name = signature.name().chars();
        let signer: String = name.filter(|c| !c.is_control()).collect();
        let check = |signer: String| {
            let mut keys = self
                .nix
                .iter()
                .filter(|key| key.name() == signature.name())
                .peekable();
            if keys.peek().is_none() {
                return Err(TrustError::UnknownKey { signer });
            }
            let correct = keys.any(|key| key.verify(fingerprint.as_bytes(), &signature).is_ok());
            if correct {
                Ok(())
            } else {
                Err(TrustError::Bad { signer })
            }
        };
        let result = check(signer.clone());
        CheckedSignature { signer, result }
    }
}
