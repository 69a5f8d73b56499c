//! Signatures of narinfos: Nix's ([`nix`], Ed25519) and Guix's ([`guix`], ECDSA over the curve
//! Ed25519).
//!
//! Both verify and sign. Secret keys are wiped when dropped, and `Debug` never shows them.

mod ecdsa;
pub mod guix;
pub mod nix;
mod sexp;

pub use sexp::{MAX_DEPTH, MAX_SEXP};

/// Why a key or a signature can't be used.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The text is not `name:base64`.
    #[error("expected name:base64, such as cache.example.org-1:…")]
    Named,
    /// The base-64 has a wrong length or invalid characters.
    #[error("malformed base-64")]
    Base64,
    /// A key or signature has the wrong length.
    #[error("expected {expected} bytes, not {actual}")]
    Length {
        /// Expected number of bytes.
        expected: usize,
        /// Actual number of bytes.
        actual: usize,
    },
    /// The s-expression is not the one that is expected here.
    #[error("expected {expected}")]
    Form {
        /// The expected s-expression.
        expected: &'static str,
    },
    /// The text is not an s-expression, at this byte.
    #[error("malformed s-expression at byte {at}")]
    Sexp {
        /// Offset in the text.
        at: usize,
    },
    /// The text is longer than [`MAX_SEXP`], or its lists are nested deeper than [`MAX_DEPTH`].
    #[error("the s-expression is longer than 1 MiB or nested deeper than 16 lists")]
    TooLarge,
    /// The public key is not a point of the curve, or has small order.
    #[error("not a valid public key: no point of the curve, or one of small order")]
    Point,
    /// A number is zero, or not below the order of the group.
    #[error("a number in the signature or key is out of range")]
    Scalar,
    /// The secret key doesn't belong to its public key.
    #[error("the secret key does not belong to the public key in the same file")]
    Mismatch,
    /// The hash in the signature is not that of the text.
    #[error("the signature is over another text")]
    WrongHash,
    /// The key did not make this signature.
    #[error("the signature does not match the text and the key")]
    Bad,
}
