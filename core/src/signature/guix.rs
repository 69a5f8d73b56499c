//! Guix's signatures: libgcrypt's ECDSA over the curve Ed25519, in s-expressions.
//!
//! ```text
//! Signature line := "1;" host ";" base64(signature)
//! signature      := (signature (data (flags rfc6979) (hash sha256 #…#))
//!                              (sig-val (ecdsa (r #…#) (s #…#))) (public-key …))
//! public key     := (public-key (ecc (curve Ed25519) (q #…#)))
//! secret key     := (key-data (public-key …) private key) | private key
//! private key    := (private-key (ecc (curve Ed25519) (q #…#) (d #…#)))
//! ACL            := (acl (entry (public-key …) (tag (guix import)))*)
//! ```
//! Only keys of an ACL with the tag `(guix import)` are trusted. Sources: guix/pki.scm and
//! guix/narinfo.scm of Guix 1.5.0.
//!
//! ```
//! use interplanar_core::signature::guix::{SecretKey, Signature};
//! let key = SecretKey::from_seed(&[7; 32]).unwrap();
//! let line = key.sign("host", b"text").to_string();
//! let signature = Signature::parse(&line).unwrap();
//! assert_eq!(key.public_key().verify(b"text", &signature), Ok(()));
//! ```

use super::sexp::{Sexp, hex};
use super::{SignatureError, ecdsa};
use crate::hash::Sha256;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use curve25519_dalek::{EdwardsPoint, Scalar};
use data_encoding::BASE64;

/// A key that checks signatures.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    q: [u8; 32],
    point: EdwardsPoint,
}

/// A key that signs.
pub struct SecretKey {
    d: Scalar,
    /// The secret number as in the key file, big-endian.
    raw: [u8; 32],
    public: PublicKey,
}

/// The value of a `Signature` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    host: String,
    hash: Sha256,
    r: Scalar,
    s: Scalar,
    key: PublicKey,
}

/// The keys that a machine trusts for substitutes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acl {
    /// The keys in the order of the file.
    pub keys: Vec<PublicKey>,
}

fn form(expected: &'static str) -> SignatureError {
    SignatureError::Form { expected }
}

impl PublicKey {
    /// Parses `(public-key …)`, as in /etc/guix/signing-key.pub.
    ///
    /// # Errors
    /// [`SignatureError`] if the text has another form, another curve, or no point of the curve.
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        Self::from_sexp(&Sexp::parse(text.as_bytes())?)
    }

    fn from_sexp(sexp: &Sexp) -> Result<Self, SignatureError> {
        let parts = sexp.list("public-key").ok_or(form("(public-key …)"))?;
        let q = Sexp::find(ecc(parts)?, "q")
            .and_then(<[Sexp]>::first)
            .and_then(Sexp::atom);
        let q = q.ok_or(form("(q #…#)"))?;
        let q: [u8; 32] = q.try_into().map_err(|_| SignatureError::Length {
            expected: 32,
            actual: q.len(),
        })?;
        Ok(Self {
            q,
            point: ecdsa::point(&q)?,
        })
    }

    /// Returns the compressed point as hexadecimal digits, for people to compare.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        data_encoding::HEXUPPER.encode(&self.q)
    }

    /// Checks a signature over a text with this key. Ignores the key that the signature names.
    ///
    /// # Errors
    /// [`SignatureError::WrongHash`] if the signature is over another text, [`SignatureError::Bad`]
    /// if the key did not make it.
    pub fn verify(&self, text: &[u8], signature: &Signature) -> Result<(), SignatureError> {
        if Sha256::of(text) != signature.hash {
            return Err(SignatureError::WrongHash);
        }
        ecdsa::verify(
            &self.point,
            signature.hash.as_bytes(),
            &signature.r,
            &signature.s,
        )
    }
}

/// Writes the form of /etc/guix/signing-key.pub.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let q = hex(&self.q);
        write!(
            f,
            "(public-key \n (ecc \n  (curve Ed25519)\n  (q {q})\n  )\n )\n"
        )
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

impl SecretKey {
    /// Parses `(private-key …)` or `(key-data …)`, as in /etc/guix/signing-key.sec.
    ///
    /// # Errors
    /// [`SignatureError`] if the text has another form, [`SignatureError::Mismatch`] if the public
    /// key in it is not the secret key's.
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        let sexp = Sexp::parse(text.as_bytes())?;
        let parts = match sexp.list("key-data") {
            Some(parts) => Sexp::find(parts, "private-key"),
            None => sexp.list("private-key"),
        };
        let parts = ecc(parts.ok_or(form("(private-key …)"))?)?;
        let atom = |name: &str| {
            Sexp::find(parts, name)
                .and_then(<[Sexp]>::first)
                .and_then(Sexp::atom)
        };
        let key = Self::from_number(atom("d").ok_or(form("(d #…#)"))?)?;
        match atom("q") {
            Some(q) if q != key.public.q => Err(SignatureError::Mismatch),
            _ => Ok(key),
        }
    }

    /// Derives a key from 32 secret random bytes.
    ///
    /// # Errors
    /// [`SignatureError::Scalar`] if the bytes yield zero.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, SignatureError> {
        Self::from_number(Sha256::of(seed).as_bytes())
    }

    fn from_number(number: &[u8]) -> Result<Self, SignatureError> {
        let (d, raw) = ecdsa::secret(number)?;
        let q = EdwardsPoint::mul_base(&d).compress().to_bytes();
        let point = ecdsa::point(&q).map_err(|_| SignatureError::Scalar)?;
        Ok(Self {
            d,
            raw,
            public: PublicKey { q, point },
        })
    }

    /// Returns the key that checks signatures made by this one.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a text. `host` names the signer.
    #[must_use]
    pub fn sign(&self, host: &str, text: &[u8]) -> Signature {
        let hash = Sha256::of(text);
        let (r, s) = ecdsa::sign(&self.d, &self.raw, hash.as_bytes());
        // A semicolon or a line feed would end the field.
        let host = host
            .chars()
            .filter(|c| !c.is_control() && *c != ';')
            .collect();
        Signature {
            host,
            hash,
            r,
            s,
            key: self.public.clone(),
        }
    }

    /// Returns the text that [`SecretKey::parse`] reads.
    #[must_use]
    pub fn expose(&self) -> String {
        let (q, d) = (hex(&self.public.q), hex(&self.raw));
        format!(
            "(key-data \n (public-key \n  (ecc \n   (curve Ed25519)\n   (q {q})\n   )\n  )\n \
             (private-key \n  (ecc \n   (curve Ed25519)\n   (q {q})\n   (d {d})\n   )\n  )\n )\n"
        )
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        // Safe code can't do more: the compiler may have made copies.
        self.d = Scalar::ZERO;
        self.raw = [0; 32];
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.public.fingerprint())
    }
}

impl Signature {
    /// Parses the value of a `Signature` line.
    ///
    /// # Errors
    /// [`SignatureError`] if the value has another form or a number is out of range.
    pub fn parse(value: &str) -> Result<Self, SignatureError> {
        let mut fields = value.split(';');
        let (version, host, base64) = (fields.next(), fields.next(), fields.next());
        let (Some("1"), Some(host), Some(base64), None) = (version, host, base64, fields.next())
        else {
            return Err(form("1;host;base64"));
        };
        let sexp = BASE64
            .decode(base64.trim_end().as_bytes())
            .map_err(|_| SignatureError::Base64)?;
        let sexp = Sexp::parse(&sexp)?;
        let parts = sexp.list("signature").ok_or(form("(signature …)"))?;
        let values = Sexp::find(parts, "sig-val")
            .and_then(|values| Sexp::find(values, "ecdsa"))
            .ok_or(form("(sig-val (ecdsa …))"))?;
        let number = |name: &str, expected| {
            let atom = Sexp::find(values, name)
                .and_then(<[Sexp]>::first)
                .and_then(Sexp::atom);
            ecdsa::scalar(atom.ok_or(form(expected))?)
        };
        let key = parts.iter().find(|part| part.list("public-key").is_some());
        Ok(Self {
            host: String::from(host),
            hash: hash(parts)?,
            r: number("r", "(r #…#)")?,
            s: number("s", "(s #…#)")?,
            key: PublicKey::from_sexp(key.ok_or(form("(public-key …)"))?)?,
        })
    }

    /// Returns the signer's name for itself. It is not trustworthy.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the key that the signature names as its maker.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = hex(self.hash.as_bytes());
        let (r, s, q) = (
            hex(&number(&self.r)),
            hex(&number(&self.s)),
            hex(&self.key.q),
        );
        let sexp = format!(
            "(signature \n (data \n  (flags rfc6979)\n  (hash sha256 {hash})\n  )\n \
             (sig-val \n  (ecdsa \n   (r {r})\n   (s {s})\n   )\n  )\n \
             (public-key \n  (ecc \n   (curve Ed25519)\n   (q {q})\n   )\n  )\n )\n"
        );
        write!(f, "1;{};{}", self.host, BASE64.encode(sexp.as_bytes()))
    }
}

impl Acl {
    /// Parses an ACL, as in /etc/guix/acl. Leaves out entries with other tags or other kinds of
    /// keys, because they are not trusted.
    ///
    /// # Errors
    /// [`SignatureError`] if the text is not an ACL.
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        let sexp = Sexp::parse(text.as_bytes())?;
        let entries = sexp.list("acl").ok_or(form("(acl …)"))?;
        let key = |entry: &Sexp| {
            let parts = entry.list("entry")?;
            let tag = Sexp::find(parts, "tag")?;
            let import = Sexp::find(tag, "guix")?;
            let allowed = import
                .iter()
                .any(|permission| permission.atom() == Some(b"import"));
            let key = parts
                .iter()
                .find(|part| part.list("public-key").is_some())?;
            PublicKey::from_sexp(key).ok().filter(|_| allowed)
        };
        Ok(Self {
            keys: entries.iter().filter_map(key).collect(),
        })
    }
}

/// Returns the parts of `(ecc (curve Ed25519) …)`.
fn ecc(parts: &[Sexp]) -> Result<&[Sexp], SignatureError> {
    let parts = Sexp::find(parts, "ecc").ok_or(form("(ecc …)"))?;
    let curve = Sexp::find(parts, "curve")
        .and_then(<[Sexp]>::first)
        .and_then(Sexp::atom);
    if curve == Some(b"Ed25519") {
        Ok(parts)
    } else {
        Err(form("(curve Ed25519)"))
    }
}

fn hash(parts: &[Sexp]) -> Result<Sha256, SignatureError> {
    let data = Sexp::find(parts, "data").ok_or(form("(data …)"))?;
    match Sexp::find(data, "hash") {
        Some([Sexp::Atom(name), Sexp::Atom(digest)]) if name == b"sha256" => {
            let actual = digest.len();
            let digest: Result<[u8; 32], _> = digest.as_slice().try_into();
            digest
                .map(Sha256::from_bytes)
                .map_err(|_| SignatureError::Length {
                    expected: 32,
                    actual,
                })
        }
        _ => Err(form("(hash sha256 #…#)")),
    }
}

/// Returns a number as libgcrypt writes it in a signature: unsigned, without leading zeros.
fn number(scalar: &Scalar) -> Vec<u8> {
    let bytes = ecdsa::big_endian(scalar);
    let digits = bytes.iter().skip_while(|byte| **byte == 0);
    digits.copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn keys_and_signatures_read_back_and_verify() {
        let secret = SecretKey::from_seed(&[1; 32]).unwrap();
        let again = SecretKey::parse(&secret.expose()).unwrap();
        assert_eq!(again.public_key(), secret.public_key());
        assert_eq!(
            PublicKey::parse(&secret.public_key().to_string()).as_ref(),
            Ok(secret.public_key())
        );
        let signature = secret.sign("ho;st", b"text");
        assert_eq!(signature.host(), "host");
        assert_eq!(
            Signature::parse(&signature.to_string()).as_ref(),
            Ok(&signature)
        );
        assert_eq!(signature.key().verify(b"text", &signature), Ok(()));
        assert_eq!(
            signature.key().verify(b"texT", &signature),
            Err(SignatureError::WrongHash)
        );
        assert!(!std::format!("{secret:?}").contains(&secret.expose()[100..]));
    }

    #[test]
    fn numbers_are_unsigned_as_guix_writes_them() {
        // Written by guix publish 1.5.0: r has 31 bytes, and its first byte is 8a.
        let written = concat!(
            "1;vm;KHNpZ25hdHVyZSAKIChkYXRhIAogIChmbGFncyByZmM2OTc5KQogIChoYXNoIHNoYTI1NiAjMDIyMDMzMTk1NjJFRjQwQkQ1RkFGMTBFODRCQTM1ODM1RDQzMEQ2QTA0NTM4QzA4ODBD",
            "RTRBRUE1ODg4MkVGQSMpCiAgKQogKHNpZy12YWwgCiAgKGVjZHNhIAogICAociAjOEEyQzlCMDMyMDI2NDA2NzI1RDMwOTQyMkQ3QThFMzA0RTExNThCMDEzRUQ5NDlFRDdBNjFFQzM0NTAwNTAj",
            "KQogICAocyAjMDM3NTgyRjI1NDdDQUUzNzgyQTJCNUJEQ0IxRDZCRTAwODZDNzZBMDY1NUU4MUY5QkJDMDI5MUJDQzkwQTZGNSMpCiAgICkKICApCiAocHVibGljLWtleSAKICAoZWNjIAogICAo",
            "Y3VydmUgRWQyNTUxOSkKICAgKHEgI0JDN0E0RkZBQ0Q2MzBBMkJBQ0UxRDIxRkU2MjhGNTE0NzdFNjE2N0RBNTYyODQxMUY0MDNGMEMxQ0RDRTA2RDcjKQogICApCiAgKQogKQo=",
        );
        assert_eq!(Signature::parse(written).unwrap().to_string(), written);
    }

    #[test]
    fn a_secret_key_must_belong_to_its_public_key() {
        let (one, two) = (
            SecretKey::from_seed(&[1; 32]).unwrap(),
            SecretKey::from_seed(&[2; 32]).unwrap(),
        );
        let mixed = one
            .expose()
            .replace(&one.public.fingerprint(), &two.public.fingerprint());
        assert_eq!(
            SecretKey::parse(&mixed).unwrap_err(),
            SignatureError::Mismatch
        );
    }

    #[test]
    fn only_keys_that_may_import_are_trusted() {
        let key = |seed| {
            SecretKey::from_seed(&[seed; 32])
                .unwrap()
                .public_key()
                .clone()
        };
        let acl = std::format!(
            "(acl (entry {} (tag (guix import))) (entry {} (tag (guix export))) \
             (entry (public-key (rsa)) (tag (guix import))))",
            key(1),
            key(2),
        );
        assert_eq!(Acl::parse(&acl).unwrap().keys, [key(1)]);
        assert_eq!(Acl::parse("(acl)").unwrap().keys, []);
        assert_eq!(Acl::parse("(lca)").unwrap_err(), form("(acl …)"));
    }

    #[test]
    fn malformed_signatures_give_exact_errors() {
        let parse = |text: &str| Signature::parse(text).unwrap_err();
        assert_eq!(parse("2;host;x"), form("1;host;base64"));
        assert_eq!(parse("1;host"), form("1;host;base64"));
        assert_eq!(parse("1;host;~"), SignatureError::Base64);
        let sexp = |text: &str| parse(&std::format!("1;h;{}", BASE64.encode(text.as_bytes())));
        assert_eq!(sexp("(signature)"), form("(sig-val (ecdsa …))"));
        assert_eq!(sexp("(signature (sig-val (ecdsa)))"), form("(data …)"));
    }
}
