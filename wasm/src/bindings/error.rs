//! Errors as JavaScript has them: an `Error` with `code`, where it is known `at`, and where there is one `cause`.
//!
//! A code is what went wrong with which format: `NAR_TRUNCATED`, `CID_WRONG_HASH`, `FETCH_NOT_FOUND`. Its second half is the
//! name of the variant in `interplanar_core`, so that it needs no table that could lag behind.

use interplanar_core::cid::CidError;
use interplanar_core::fetch::{Fault, FetchError, GatewayUrlError};
use interplanar_core::unixfs::UnixFsError;
use std::fmt::{self, Debug, Display, Write};
use wasm_bindgen::JsValue;

/// An error of one of the formats.
pub(crate) trait Coded: Debug + Display {
    /// The first half of its code.
    const FORMAT: &'static str;

    /// Where it is: a byte of the input or a line, from what the variant says.
    fn at(&self) -> Option<u64> {
        None
    }

    /// The error behind it.
    fn cause(&self) -> Option<JsValue> {
        None
    }
}

/// The error for JavaScript.
pub(crate) fn to_js(error: &impl Coded) -> JsValue {
    make(&error.to_string(), &code(error), error.at(), error.cause())
}

/// As [`to_js`], for `map_err`.
pub(crate) fn js(error: impl Coded) -> JsValue {
    to_js(&error)
}

/// An error that has no type in core.
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

/// `FORMAT_VARIANT_NAME`.
fn code<E: Coded>(error: &E) -> String {
    let mut name = Name(E::FORMAT.to_owned());
    // Stops at the end of the variant's name.
    let _ = write!(name, "{error:?}");
    name.0
}

/// Takes `VariantName` of `VariantName { field: …` and writes it as `_VARIANT_NAME`.
struct Name(String);

impl Write for Name {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if !character.is_ascii_alphanumeric() {
                return Err(fmt::Error);
            }
            if character.is_ascii_uppercase() {
                self.0.push('_');
            }
            self.0.push(character.to_ascii_uppercase());
        }
        Ok(())
    }
}

impl Coded for FetchError {
    const FORMAT: &'static str = "FETCH";

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
    const FORMAT: &'static str = "GATEWAY";
}

impl Coded for GatewayUrlError {
    const FORMAT: &'static str = "GATEWAY_URL";

    fn at(&self) -> Option<u64> {
        match self {
            Self::Character(at) => Some(*at as u64),
            _ => None,
        }
    }
}

impl Coded for CidError {
    const FORMAT: &'static str = "CID";

    fn at(&self) -> Option<u64> {
        match self {
            Self::Percent(at) => Some(*at as u64),
            _ => None,
        }
    }
}

impl Coded for UnixFsError {
    const FORMAT: &'static str = "UNIXFS";

    fn at(&self) -> Option<u64> {
        match self {
            Self::Malformed { at } => Some(*at as u64),
            Self::NotFound { index } => Some(*index as u64),
            _ => None,
        }
    }
}

/// Those of what the full package reads.
#[cfg(feature = "full")]
mod full {
    use super::Coded;
    use interplanar_core::nar::NarError;
    use interplanar_core::narinfo::NarInfoError;
    use interplanar_core::signature::SignatureError;
    use interplanar_core::trust::TrustError;

    impl Coded for NarInfoError {
        const FORMAT: &'static str = "NARINFO";

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
        const FORMAT: &'static str = "NAR";

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
        const FORMAT: &'static str = "SIGNATURE";

        fn at(&self) -> Option<u64> {
            match self {
                Self::Sexp { at } => Some(*at as u64),
                _ => None,
            }
        }
    }

    impl Coded for TrustError {
        const FORMAT: &'static str = "TRUST";
    }
}

#[cfg(feature = "zstd")]
impl Coded for interplanar_core::decompress::DecompressError {
    const FORMAT: &'static str = "DECOMPRESS";

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
        assert_eq!(code(&CidError::WrongHash), "CID_WRONG_HASH");
        assert_eq!(code(&CidError::Digest(3)), "CID_DIGEST");
        assert_eq!(code(&Fault::NotCar), "GATEWAY_NOT_CAR");
        assert_eq!(code(&UnixFsError::Malformed { at: 7 }), "UNIXFS_MALFORMED");
        assert_eq!(code(&FetchError::Cid(CidError::Syntax)), "FETCH_CID");
    }
}
