//! What a trusted key's signature proves about a store item, and what a narinfo only hints at.
//!
//! [`TrustedKeys::verify`] turns a correct signature into [`Signed`], which is built from the signed
//! bytes alone:
//!
//! - Guix signs the text above the `Signature` line. StorePath, NarHash, NarSize and References must
//!   each stand in it. Guix has the same rule, except for NarSize (`%mandatory-fields` in
//!   guix/narinfo.scm).
//! - Nix signs the [fingerprint](NarInfo::fingerprint), which consists of these four fields.
//!
//! All other fields of a narinfo are [`Hints`].
//!
//! ```
//! use interplanar_core::narinfo::NarInfo;
//! use interplanar_core::trust::{TrustError, TrustedKeys};
//! let text = "StorePath: /nix/store/bnfap3gvj3v0k345a5zkxwyd38m1f2s5-tree\n\
//!     URL: nar/x.nar\nCompression: none\n\
//!     NarHash: sha256:0dzcznf6ic1ia641rv82ihgq0dhps4k8rva4ryl327416ygfvpww\n\
//!     NarSize: 1272\nReferences: \n";
//! let info = NarInfo::parse(text.as_bytes()).unwrap();
//! assert_eq!(TrustedKeys::default().verify(&info), Err(TrustError::Unsigned));
//! ```

#[cfg(test)]
mod tests;

use crate::hash::Sha256;
use crate::narinfo::{Dialect, Entry, NarInfo, NarInfoError, SignedFields};
use crate::signature::{guix, nix};
use crate::store_path::StorePath;
use alloc::string::String;
use alloc::vec::Vec;

/// What a trusted key signed about a store item. Only [`TrustedKeys::verify`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    fields: SignedFields,
    dialect: Dialect,
    signer: String,
}

impl Signed {
    /// Returns the path of the store item.
    #[must_use]
    pub fn store_path(&self) -> &StorePath {
        &self.fields.store_path
    }

    /// Returns the SHA-256 of the uncompressed NAR.
    #[must_use]
    pub fn nar_hash(&self) -> Sha256 {
        self.fields.nar_hash
    }

    /// Returns the number of bytes of the uncompressed NAR.
    #[must_use]
    pub fn nar_size(&self) -> u64 {
        self.fields.nar_size
    }

    /// Returns the base names of the store items that this one refers to.
    #[must_use]
    pub fn references(&self) -> &[String] {
        &self.fields.references
    }

    /// Returns the base name of the derivation that built the item, if the signature covers it. No
    /// Nix signature does.
    #[must_use]
    pub fn deriver(&self) -> Option<&str> {
        self.fields.deriver.as_deref()
    }

    /// Returns the dialect of the signature.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Returns the name of the Nix key, or the fingerprint of the Guix key, that made the
    /// signature; printable.
    #[must_use]
    pub fn signer(&self) -> &str {
        &self.signer
    }
}

/// The parts of a narinfo that may be wrong without harm, because no signature has to cover them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hints(NarInfo);

impl Hints {
    /// Takes the hints of a narinfo.
    #[must_use]
    pub fn new(narinfo: NarInfo) -> Self {
        Self(narinfo)
    }

    /// Returns where the NAR can be downloaded.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        self.0.entries()
    }

    /// Returns the base name of the derivation that may have built the item.
    #[must_use]
    pub fn deriver(&self) -> Option<&str> {
        self.0.deriver()
    }

    /// Returns the value of a field that stock clients don't know: the first with this key.
    #[must_use]
    pub fn extra(&self, key: &str) -> Option<&str> {
        self.0.extra(key)
    }

    /// Returns the text of the narinfo, byte for byte as it was read.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.as_str()
    }

    /// Returns the whole narinfo, to write it in another form.
    pub(crate) fn narinfo(&self) -> &NarInfo {
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
    /// A trusted key made the signature, but the text that it signed lacks this field.
    #[error("the signature doesn't cover {field}, so it proves nothing about the item")]
    Incomplete {
        /// The field's key.
        field: &'static str,
    },
}

impl TrustError {
    /// Of several signatures, the error of highest rank is reported.
    fn rank(&self) -> u8 {
        match self {
            Self::Unsigned => 0,
            Self::UnknownKey { .. } | Self::Malformed => 1,
            Self::Incomplete { .. } => 2,
            Self::Bad { .. } => 3,
        }
    }
}

/// One signature of a narinfo and the result of its check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedSignature {
    /// The name of the Nix key, or the fingerprint of the Guix key; printable. Empty if the
    /// signature can't be parsed.
    pub signer: String,
    /// `Ok` if a trusted key made the signature, and it covers the fields that it must cover.
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

impl TrustedKeys {
    /// Returns whether there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.guix.is_empty() && self.nix.is_empty()
    }

    /// Checks the signatures of a narinfo, and returns what the first correct one by a trusted key
    /// proves.
    ///
    /// # Errors
    /// [`TrustError`]. A wrong signature in the name of a trusted key takes precedence over one that
    /// doesn't cover the required fields, and both over other errors.
    pub fn verify(&self, info: &NarInfo) -> Result<Signed, TrustError> {
        let mut worst = TrustError::Unsigned;
        for (dialect, signature) in self.checked(info) {
            let proved = signature.result.and_then(|()| covered(info, dialect));
            match proved {
                Ok(fields) => {
                    return Ok(Signed {
                        fields,
                        dialect,
                        signer: signature.signer,
                    });
                }
                Err(error) if error.rank() >= worst.rank() => worst = error,
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
        self.checked(info).map(|(dialect, mut signature)| {
            if dialect == Dialect::Guix && signature.result.is_ok() {
                signature.result = covered(info, dialect).map(drop);
            }
            signature
        })
    }

    /// Checks who made each signature.
    fn checked<'a>(
        &'a self,
        info: &'a NarInfo,
    ) -> impl Iterator<Item = (Dialect, CheckedSignature)> + 'a {
        let guix = info.guix_signature().zip(info.signed_text());
        let guix = guix.map(|(value, text)| (Dialect::Guix, self.guix_result(value, text)));
        let fingerprint = info.fingerprint();
        let nix = info.signatures().iter();
        let nix = nix.map(move |value| (Dialect::Nix, self.nix_result(value, &fingerprint)));
        guix.into_iter().chain(nix)
    }

    fn guix_result(&self, value: &str, text: &str) -> CheckedSignature {
        let Ok(signature) = guix::Signature::parse(value) else {
            return malformed();
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
            return malformed();
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

/// Returns the fields that a correct signature covers.
fn covered(info: &NarInfo, dialect: Dialect) -> Result<SignedFields, TrustError> {
    info.signed_fields(dialect).map_err(|error| match error {
        NarInfoError::Missing { field } => TrustError::Incomplete { field },
        // The whole narinfo was parsed, so each of its lines is well-formed.
        _ => TrustError::Malformed,
    })
}

fn malformed() -> CheckedSignature {
    CheckedSignature {
        signer: String::new(),
        result: Err(TrustError::Malformed),
    }
}
