//! Converts errors to JavaScript: an `Error` with a `code`, and optionally `at` and `cause`.
//!
//! A code names the format and the fault: `NAR_TRUNCATED`, `CID_WRONG_HASH`, `FETCH_NOT_FOUND`. The
//! fault is the name of the variant in `interplanar_core`. Deriving it from `Debug` would add 10 KB
//! to the package.

use interplanar_core::cid::CidError;
use interplanar_core::fetch::{Fault, FetchError, GatewayUrlError};
use interplanar_core::unixfs::UnixFsError;
use std::fmt::Display;
use wasm_bindgen::JsValue;

/// An error of one of the formats.
pub(crate) trait Coded: Display {
    /// Code of the error. For variants that this table doesn't know yet, the format alone.
    fn code(&self) -> &'static str;

    /// Position of the error: a byte of the input, or a line.
    fn at(&self) -> Option<u64> {
        None
    }

    /// The error that caused this one.
    fn cause(&self) -> Option<JsValue> {
        None
    }
}

/// Converts an error to JavaScript.
pub(crate) fn to_js(error: &impl Coded) -> JsValue {
    make(&error.to_string(), error.code(), error.at(), error.cause())
}

/// Does the same as [`to_js`], for `map_err`.
pub(crate) fn js(error: impl Coded) -> JsValue {
    to_js(&error)
}

/// Creates an error that has no type in core.
pub(crate) fn make(message: &str, code: &str, at: Option<u64>, cause: Option<JsValue>) -> JsValue {
    let error = js_sys::Error::new(message);
    let mut fields = vec![("code", JsValue::from_str(code))];
    fields.extend(at.map(|at| ("at", JsValue::from_f64(at as f64))));
    fields.extend(cause.map(|cause| ("cause", cause)));
    for (name, value) in fields {
        // Only frozen objects refuse, and this one is new.
        let _ = js_sys::Reflect::set(&error, &JsValue::from_str(name), &value);
    }
    error.into()
}

impl Coded for FetchError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoGateways { .. } => "FETCH_NO_GATEWAYS",
            Self::NotFound { .. } => "FETCH_NOT_FOUND",
            Self::Unavailable { .. } => "FETCH_UNAVAILABLE",
            Self::NoRequestsLeft { .. } => "FETCH_NO_REQUESTS_LEFT",
            Self::Walk(..) => "FETCH_WALK",
            Self::Cid(..) => "FETCH_CID",
            _ => "FETCH",
        }
    }

    fn cause(&self) -> Option<JsValue> {
        match self {
            Self::Unavailable { last, .. } => last.as_deref().map(to_js),
            Self::Walk(error) => Some(to_js(error)),
            Self::Cid(error) => Some(to_js(error)),
            _ => None,
        }
    }
}

impl Coded for Fault {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(..) => "GATEWAY_NOT_FOUND",
            Self::CarRefused(..) => "GATEWAY_CAR_REFUSED",
            Self::FileRefused(..) => "GATEWAY_FILE_REFUSED",
            Self::Status(..) => "GATEWAY_STATUS",
            Self::WrongHash(..) => "GATEWAY_WRONG_HASH",
            Self::Truncated => "GATEWAY_TRUNCATED",
            Self::NotCar => "GATEWAY_NOT_CAR",
            Self::NotBlock => "GATEWAY_NOT_BLOCK",
            Self::TooLarge => "GATEWAY_TOO_LARGE",
            Self::Unasked => "GATEWAY_UNASKED",
            Self::Stalled => "GATEWAY_STALLED",
            Self::TooSlow => "GATEWAY_TOO_SLOW",
            Self::Outrun => "GATEWAY_OUTRUN",
            Self::Connect => "GATEWAY_CONNECT",
            Self::Timeout => "GATEWAY_TIMEOUT",
            Self::Io => "GATEWAY_IO",
            _ => "GATEWAY",
        }
    }
}

impl Coded for GatewayUrlError {
    fn code(&self) -> &'static str {
        match self {
            Self::Scheme => "GATEWAY_URL_SCHEME",
            Self::Host => "GATEWAY_URL_HOST",
            Self::Character(..) => "GATEWAY_URL_CHARACTER",
            Self::TooLong => "GATEWAY_URL_TOO_LONG",
            _ => "GATEWAY_URL",
        }
    }

    fn at(&self) -> Option<u64> {
        match self {
            Self::Character(at) => Some(*at as u64),
            _ => None,
        }
    }
}

impl Coded for CidError {
    fn code(&self) -> &'static str {
        match self {
            Self::Syntax => "CID_SYNTAX",
            Self::TooLong(..) => "CID_TOO_LONG",
            Self::Hash(..) => "CID_HASH",
            Self::Digest(..) => "CID_DIGEST",
            Self::BlockTooLong(..) => "CID_BLOCK_TOO_LONG",
            Self::WrongHash => "CID_WRONG_HASH",
            Self::Url => "CID_URL",
            Self::Percent(..) => "CID_PERCENT",
            _ => "CID",
        }
    }

    fn at(&self) -> Option<u64> {
        match self {
            Self::Percent(at) => Some(*at as u64),
            _ => None,
        }
    }
}

impl Coded for UnixFsError {
    fn code(&self) -> &'static str {
        match self {
            Self::DagPb(..) => "UNIXFS_DAG_PB",
            Self::Malformed { .. } => "UNIXFS_MALFORMED",
            Self::UnknownKind { .. } => "UNIXFS_UNKNOWN_KIND",
            Self::NoData => "UNIXFS_NO_DATA",
            Self::Codec { .. } => "UNIXFS_CODEC",
            Self::Sizes => "UNIXFS_SIZES",
            Self::NotAFile { .. } => "UNIXFS_NOT_A_FILE",
            Self::NotADirectory { .. } => "UNIXFS_NOT_A_DIRECTORY",
            Self::Shard => "UNIXFS_SHARD",
            Self::Name => "UNIXFS_NAME",
            Self::NotFound { .. } => "UNIXFS_NOT_FOUND",
            Self::Unexpected => "UNIXFS_UNEXPECTED",
            Self::BudgetBlocks => "UNIXFS_BUDGET_BLOCKS",
            Self::BudgetDepth => "UNIXFS_BUDGET_DEPTH",
            Self::BudgetOutput => "UNIXFS_BUDGET_OUTPUT",
            Self::BudgetNodes => "UNIXFS_BUDGET_NODES",
            Self::BudgetEntries => "UNIXFS_BUDGET_ENTRIES",
            Self::BudgetNames => "UNIXFS_BUDGET_NAMES",
            _ => "UNIXFS",
        }
    }

    fn at(&self) -> Option<u64> {
        match self {
            Self::Malformed { at } => Some(*at as u64),
            Self::NotFound { index } => Some(*index as u64),
            _ => None,
        }
    }
}

/// Errors of the formats that only the full package reads.
#[cfg(feature = "full")]
mod full {
    use super::Coded;
    use interplanar_core::nar::NarError;
    use interplanar_core::narinfo::NarInfoError;
    use interplanar_core::signature::SignatureError;
    use interplanar_core::trust::TrustError;

    impl Coded for NarInfoError {
        fn code(&self) -> &'static str {
            match self {
                Self::TooLong(..) => "NARINFO_TOO_LONG",
                Self::Utf8(..) => "NARINFO_UTF8",
                Self::Syntax { .. } => "NARINFO_SYNTAX",
                Self::Value { .. } => "NARINFO_VALUE",
                Self::Repeated { .. } => "NARINFO_REPEATED",
                Self::NoUrl => "NARINFO_NO_URL",
                Self::Missing { .. } => "NARINFO_MISSING",
                Self::TooMany { .. } => "NARINFO_TOO_MANY",
                _ => "NARINFO",
            }
        }

        fn at(&self) -> Option<u64> {
            match self {
                Self::Syntax { line } | Self::Value { line, .. } | Self::Repeated { line, .. } => {
                    Some(*line as u64)
                }
                Self::Utf8(at) => Some(*at as u64),
                _ => None,
            }
        }
    }

    impl Coded for NarError {
        fn code(&self) -> &'static str {
            match self {
                Self::Token { .. } => "NAR_TOKEN",
                Self::Padding { .. } => "NAR_PADDING",
                Self::Name { .. } => "NAR_NAME",
                Self::Order { .. } => "NAR_ORDER",
                Self::Target { .. } => "NAR_TARGET",
                Self::Depth { .. } => "NAR_DEPTH",
                Self::Trailing { .. } => "NAR_TRAILING",
                Self::Truncated { .. } => "NAR_TRUNCATED",
                Self::TooMany { .. } => "NAR_TOO_MANY",
                Self::Misplaced { .. } => "NAR_MISPLACED",
                _ => "NAR",
            }
        }

        fn at(&self) -> Option<u64> {
            match self {
                Self::Token { at, .. }
                | Self::Padding { at }
                | Self::Name { at }
                | Self::Order { at }
                | Self::Target { at }
                | Self::Depth { at }
                | Self::Trailing { at }
                | Self::Truncated { at }
                | Self::TooMany { at }
                | Self::Misplaced { at } => Some(*at),
                _ => None,
            }
        }
    }

    impl Coded for SignatureError {
        fn code(&self) -> &'static str {
            match self {
                Self::Named => "SIGNATURE_NAMED",
                Self::Base64 => "SIGNATURE_BASE64",
                Self::Length { .. } => "SIGNATURE_LENGTH",
                Self::Form { .. } => "SIGNATURE_FORM",
                Self::Sexp { .. } => "SIGNATURE_SEXP",
                Self::TooLarge => "SIGNATURE_TOO_LARGE",
                Self::Point => "SIGNATURE_POINT",
                Self::Scalar => "SIGNATURE_SCALAR",
                Self::Mismatch => "SIGNATURE_MISMATCH",
                Self::WrongHash => "SIGNATURE_WRONG_HASH",
                Self::Bad => "SIGNATURE_BAD",
                _ => "SIGNATURE",
            }
        }

        fn at(&self) -> Option<u64> {
            match self {
                Self::Sexp { at } => Some(*at as u64),
                _ => None,
            }
        }
    }

    impl Coded for TrustError {
        fn code(&self) -> &'static str {
            match self {
                Self::Unsigned => "TRUST_UNSIGNED",
                Self::UnknownKey { .. } => "TRUST_UNKNOWN_KEY",
                Self::Bad { .. } => "TRUST_BAD",
                Self::Malformed => "TRUST_MALFORMED",
                Self::Incomplete { .. } => "TRUST_INCOMPLETE",
                _ => "TRUST",
            }
        }
    }
}

#[cfg(feature = "zstd")]
impl Coded for interplanar_core::decompress::DecompressError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unsupported(..) => "DECOMPRESS_UNSUPPORTED",
            Self::UnsupportedFeature { .. } => "DECOMPRESS_UNSUPPORTED_FEATURE",
            Self::Malformed { .. } => "DECOMPRESS_MALFORMED",
            Self::Mismatch { .. } => "DECOMPRESS_MISMATCH",
            Self::Truncated { .. } => "DECOMPRESS_TRUNCATED",
            Self::OutputLimit { .. } => "DECOMPRESS_OUTPUT_LIMIT",
            Self::WindowLimit { .. } => "DECOMPRESS_WINDOW_LIMIT",
            _ => "DECOMPRESS",
        }
    }

    fn at(&self) -> Option<u64> {
        match self {
            Self::UnsupportedFeature { at, .. }
            | Self::Malformed { at, .. }
            | Self::Mismatch { at, .. }
            | Self::Truncated { at } => Some(*at),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_format_and_the_variant() {
        assert_eq!(CidError::WrongHash.code(), "CID_WRONG_HASH");
        assert_eq!(CidError::Digest(3).code(), "CID_DIGEST");
        assert_eq!(Fault::NotCar.code(), "GATEWAY_NOT_CAR");
        assert_eq!(UnixFsError::Malformed { at: 7 }.code(), "UNIXFS_MALFORMED");
        assert_eq!(FetchError::Cid(CidError::Syntax).code(), "FETCH_CID");
    }
}
