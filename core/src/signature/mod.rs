//! Signatures of narinfos: Nix's ([`nix`], Ed25519) and Guix's ([`guix`], ECDSA over the curve Ed25519).
//!
//! Both verify and sign. Secret keys are wiped when dropped and never shown by `Debug`.

mod ecdsa;
pub mod guix;
pub mod nix;
mod sexp;

pub use sexp::{MAX_DEPTH, MAX_SEXP};

/// Why a key or a signature can't be used.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not `name:base64`.
    #[error("expected name:base64")]
    Named,
    /// Base-64 of the wrong length or with other characters.
    #[error("malformed base-64")]
    Base64,
    /// A key or signature of the wrong length.
    #[error("expected {expected} bytes, not {actual}")]
    Length {
        /// Bytes there should be.
        expected: usize,
        /// Bytes there are.
        actual: usize,
    },
    /// Not the s-expression that is expected here.
    #[error("expected {expected}")]
    Form {
        /// What should be there.
        expected: &'static str,
    },
    /// Not an s-expression, at this byte.
    #[error("malformed s-expression at byte {at}")]
    Sexp {
        /// Offset in the text.
        at: usize,
    },
    /// A text longer than [`MAX_SEXP`], or lists deeper than [`MAX_DEPTH`].
    #[error("s-expression is too large")]
    TooLarge,
    /// Not a point of the curve, or one of small order.
    #[error("not a public key")]
    Point,
    /// A number that is zero or not below the order of the group.
    #[error("a number of the signature or key is out of range")]
    Scalar,
    /// A secret key that doesn't belong to its public key.
    #[error("the secret key is not that of its public key")]
    Mismatch,
    /// The signature is over another hash than that of the text.
    #[error("the signature is over another text")]
    WrongHash,
    /// The signature is not right.
    #[error("bad signature")]
    Bad,
}
