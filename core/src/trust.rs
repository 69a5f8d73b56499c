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

/// One signature of a narinfo, and what comes of checking it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The name of a Nix key, or the fingerprint of a Guix key; printable. Empty of a signature that can't be read.
    pub signer: String,
    /// Whether a trusted key made it.
    pub result: Result<(), TrustError>,
}

/// The keys whose signatures count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedKeys {
    /// Of Guix.
    pub guix: Vec<guix::PublicKey>,
    /// Of Nix.
    pub nix: Vec<nix::PublicKey>,
}

impl Checked {
    fn malformed() -> Self {
        Self {
            signer: String::new(),
            result: Err(TrustError::Malformed),
        }
    }
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
        for checked in self.signatures(info) {
            match checked.result {
                Ok(()) => return Ok(()),
                Err(TrustError::Bad { signer }) => fault = TrustError::Bad { signer },
                Err(error) if !matches!(fault, TrustError::Bad { .. }) => fault = error,
                Err(_) => {}
            }
        }
        Err(fault)
    }

    /// Checks each signature of a narinfo by itself, for whoever shows them: that of Guix first, then those of Nix in their order.
    pub fn signatures<'a>(&'a self, info: &'a NarInfo) -> impl Iterator<Item = Checked> + 'a {
        let guix = info.guix_signature().zip(info.signed_text());
        let guix = guix.map(|(value, text)| self.guix_result(value, text));
        let fingerprint = info.fingerprint();
        let nix = info.signatures().iter();
        let nix = nix.map(move |value| self.nix_result(value, &fingerprint));
        guix.into_iter().chain(nix)
    }

    fn guix_result(&self, value: &str, text: &str) -> Checked {
        let Ok(signature) = guix::Signature::parse(value) else {
            return Checked::malformed();
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
        Checked { signer, result }
    }

    fn nix_result(&self, value: &str, fingerprint: &str) -> Checked {
        let Ok(signature) = nix::Signature::parse(value) else {
            return Checked::malformed();
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
            let right = keys.any(|key| key.verify(fingerprint.as_bytes(), &signature).is_ok());
            if right {
                Ok(())
            } else {
                Err(TrustError::Bad { signer })
            }
        };
        let result = check(signer.clone());
        Checked { signer, result }
    }
}
