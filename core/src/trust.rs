//! Trust as types: an [`Unverified`] value becomes a [`Verified`] one only by the check that earns it.
//!
//! For a narinfo that check is a signature by one of [`TrustedKeys`]. It covers StorePath, NarHash, NarSize and References (and, in Guix's
//! dialect, Deriver); entries stay hints.
//!
//! ```
//! use interplanar_core::narinfo::NarInfo;
//! use interplanar_core::trust::{TrustError, TrustedKeys, Unverified};
//! let text = "StorePath: /nix/store/bnfap3gvj3v0k345a5zkxwyd38m1f2s5-tree\nURL: nar/x.nar\nCompression: none\n\
//!     NarHash: sha256:0dzcznf6ic1ia641rv82ihgq0dhps4k8rva4ryl327416ygfvpww\nNarSize: 1272\nReferences: \n";
//! let info = Unverified::new(NarInfo::parse(text.as_bytes()).unwrap());
//! assert_eq!(TrustedKeys::default().verify(info).unwrap_err(), TrustError::Unsigned);
//! ```

use crate::narinfo::NarInfo;
use crate::signature::{guix, nix};
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Deref;

/// A value that nobody vouches for yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified<T>(T);

impl<T> Unverified<T> {
    /// A value from anywhere.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// A look at the value, for what needs no trust.
    #[must_use]
    pub fn peek(&self) -> &T {
        &self.0
    }
}

/// A value that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// The value; what is done to it afterwards is not checked again.
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
    /// It has no signature.
    #[error("the narinfo is not signed")]
    Unsigned,
    /// None of its signatures is by a trusted key.
    #[error("the narinfo is signed by {signer}, which is not a trusted key")]
    UnknownKey {
        /// The name of a Nix key, or the fingerprint of a Guix key; printable.
        signer: String,
    },
    /// It names a trusted key, but that key did not sign this.
    #[error("bad signature in the name of {signer}")]
    Bad {
        /// As above.
        signer: String,
    },
    /// Its signature can't be read.
    #[error("malformed signature")]
    Malformed,
}

/// The keys whose signatures count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedKeys {
    /// Of Guix.
    pub guix: Vec<guix::PublicKey>,
    /// Of Nix.
    pub nix: Vec<nix::PublicKey>,
}

impl TrustedKeys {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.guix.is_empty() && self.nix.is_empty()
    }

    /// Checks a narinfo's signatures: one right signature by a trusted key is enough.
    ///
    /// # Errors
    /// [`TrustError`], the gravest that was found.
    pub fn verify(&self, info: Unverified<NarInfo>) -> Result<Verified<NarInfo>, TrustError> {
        self.check(&info.0)?;
        Ok(Verified(info.0))
    }

    fn check(&self, info: &NarInfo) -> Result<(), TrustError> {
        let mut fault = TrustError::Unsigned;
        for result in self
            .guix_result(info)
            .into_iter()
            .chain(self.nix_results(info))
        {
            match result {
                Ok(()) => return Ok(()),
                Err(TrustError::Bad { signer }) => fault = TrustError::Bad { signer },
                Err(error) if !matches!(fault, TrustError::Bad { .. }) => fault = error,
                Err(_) => {}
            }
        }
        Err(fault)
    }

    fn guix_result(&self, info: &NarInfo) -> Option<Result<(), TrustError>> {
        let (value, text) = info.guix_signature().zip(info.signed_text())?;
        let Ok(signature) = guix::Signature::parse(value) else {
            return Some(Err(TrustError::Malformed));
        };
        let signer = signature.key().fingerprint();
        Some(match self.guix.iter().find(|key| *key == signature.key()) {
            None => Err(TrustError::UnknownKey { signer }),
            Some(key) => key
                .verify(text.as_bytes(), &signature)
                .map_err(|_| TrustError::Bad { signer }),
        })
    }

    fn nix_results<'a>(
        &'a self,
        info: &'a NarInfo,
    ) -> impl Iterator<Item = Result<(), TrustError>> + 'a {
        let fingerprint = info.fingerprint();
        info.signatures().iter().map(move |value| {
            let signature = nix::Signature::parse(value).map_err(|_| TrustError::Malformed)?;
            let signer: String = signature
                .name()
                .chars()
                .filter(|c| !c.is_control())
                .collect();
            let mut keys = self
                .nix
                .iter()
                .filter(|key| key.name() == signature.name())
                .peekable();
            if keys.peek().is_none() {
                return Err(TrustError::UnknownKey { signer });
            }
            let right = keys.any(|key| key.verify(fingerprint.as_bytes(), &signature).is_ok());
            if right {
                Ok(())
            } else {
                Err(TrustError::Bad { signer })
            }
        })
    }
}
