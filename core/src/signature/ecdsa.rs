//! ECDSA over the twisted Edwards curve Ed25519, as libgcrypt does it for `(ecdsa …)` with `(curve
//! Ed25519)`.
//!
//! n is the order of the base point G, and Q = d·G. z is the SHA-256 digest as a big-endian number,
//! shifted right by 3 bits. A signature (r, s) is valid if the affine x of R = (z/s)·G + (r/s)·Q
//! equals r modulo n. The nonce is that of RFC 6979, over the same z and n. Source: docs/design.md,
//! checked on real signatures; RFC 6979 §3.2.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "the operators of scalars and field elements reduce their results and can't overflow"
)]

use super::SignatureError;
use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U256};
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::{EdwardsPoint, Scalar};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

type HmacSha256 = Hmac<Sha256>;

/// p = 2^255 - 19.
const P: U256 =
    U256::from_be_hex("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed");
/// (p - 5) / 8, the exponent of the square root.
const ROOT: U256 =
    U256::from_be_hex("0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffd");
/// (p - 1) / 4: 2 to this power is a square root of -1.
const QUARTER: U256 =
    U256::from_be_hex("1ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffb");
/// The curve's d = -121665/121666.
const D: U256 =
    U256::from_be_hex("52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3");

/// Decodes a public key: a point that is not of small order.
pub(super) fn point(bytes: &[u8; 32]) -> Result<EdwardsPoint, SignatureError> {
    let point = CompressedEdwardsY(*bytes)
        .decompress()
        .ok_or(SignatureError::Point)?;
    if point.is_small_order() {
        Err(SignatureError::Point)
    } else {
        Ok(point)
    }
}

/// Decodes a big-endian number from 1 to n - 1, with or without leading zeros.
pub(super) fn scalar(bytes: &[u8]) -> Result<Scalar, SignatureError> {
    Option::from(Scalar::from_canonical_bytes(little_endian(bytes)?)).ok_or(SignatureError::Scalar)
}

/// Decodes a secret number as libgcrypt makes it. It has 255 bits, so it may exceed n. The
/// signature uses it modulo n, the nonce uses its bytes unchanged.
pub(super) fn secret(bytes: &[u8]) -> Result<(Scalar, [u8; 32]), SignatureError> {
    let mut raw = little_endian(bytes)?;
    let d = Scalar::from_bytes_mod_order(raw);
    raw.reverse();
    if d == Scalar::ZERO {
        Err(SignatureError::Scalar)
    } else {
        Ok((d, raw))
    }
}

/// Reverses a big-endian number of at most 32 bytes; zero is an error.
fn little_endian(bytes: &[u8]) -> Result<[u8; 32], SignatureError> {
    let start = bytes
        .iter()
        .position(|byte| *byte != 0)
        .ok_or(SignatureError::Scalar)?;
    let digits = bytes.get(start..).unwrap_or_default();
    let mut little = [0_u8; 32];
    if digits.len() > little.len() {
        return Err(SignatureError::Scalar);
    }
    for (to, from) in little.iter_mut().zip(digits.iter().rev()) {
        *to = *from;
    }
    Ok(little)
}

/// Returns the number that is signed: the first 253 bits of the digest, little-endian.
fn truncate(digest: &[u8; 32]) -> [u8; 32] {
    let mut little = *digest;
    little.reverse();
    let mut carry = 0_u8;
    for byte in little.iter_mut().rev() {
        let next = *byte << 5;
        *byte = *byte >> 3 | carry;
        carry = next;
    }
    little
}

/// Checks a signature over a digest.
pub(super) fn verify(
    q: &EdwardsPoint,
    digest: &[u8; 32],
    r: &Scalar,
    s: &Scalar,
) -> Result<(), SignatureError> {
    let z = Scalar::from_bytes_mod_order(truncate(digest));
    let w = s.invert();
    let point = EdwardsPoint::vartime_double_scalar_mul_basepoint(&(r * w), q, &(z * w));
    let x = affine_x(&point).ok_or(SignatureError::Bad)?;
    if Scalar::from_bytes_mod_order(x) == *r {
        Ok(())
    } else {
        Err(SignatureError::Bad)
    }
}

/// Signs a digest; returns r and s. `raw` is the secret number as the key file has it.
pub(super) fn sign(d: &Scalar, raw: &[u8; 32], digest: &[u8; 32]) -> (Scalar, Scalar) {
    let z = Scalar::from_bytes_mod_order(truncate(digest));
    let mut nonces = Nonces::new(raw, &z);
    loop {
        let k = nonces.next();
        let Some(x) = affine_x(&EdwardsPoint::mul_base(&k)) else {
            continue;
        };
        let r = Scalar::from_bytes_mod_order(x);
        let s = k.invert() * (z + r * d);
        if r != Scalar::ZERO && s != Scalar::ZERO {
            return (r, s);
        }
    }
}

/// The nonces of RFC 6979.
struct Nonces {
    k: [u8; 32],
    v: [u8; 32],
}

impl Nonces {
    fn new(d: &[u8; 32], z: &Scalar) -> Self {
        let z = big_endian(z);
        let mut nonces = Self {
            k: [0; 32],
            v: [1; 32],
        };
        for separator in [0, 1] {
            nonces.k = nonces.mac(&[&nonces.v, &[separator], d, &z]);
            nonces.v = nonces.mac(&[&nonces.v]);
        }
        nonces
    }

    fn next(&mut self) -> Scalar {
        loop {
            self.v = self.mac(&[&self.v]);
            let candidate: Option<Scalar> = Scalar::from_canonical_bytes(truncate(&self.v)).into();
            if let Some(k) = candidate.filter(|k| *k != Scalar::ZERO) {
                return k;
            }
            self.k = self.mac(&[&self.v, &[0]]);
            self.v = self.mac(&[&self.v]);
        }
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        // HMAC accepts keys of any length, so this never fails.
        let Ok(mut mac) = HmacSha256::new_from_slice(&self.k) else {
            return self.k;
        };
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }
}

/// Returns a scalar as 32 big-endian bytes.
pub(super) fn big_endian(scalar: &Scalar) -> [u8; 32] {
    let mut bytes = scalar.to_bytes();
    bytes.reverse();
    bytes
}

/// Returns the affine x of a point, little-endian. The compressed form holds y and the parity of x.
fn affine_x(point: &EdwardsPoint) -> Option<[u8; 32]> {
    let mut compressed = point.compress().to_bytes();
    let last = compressed.last_mut()?;
    let odd = *last >> 7 == 1;
    *last &= 0x7f;
    let params = FixedMontyParams::new_vartime(Option::<Odd<U256>>::from(Odd::new(P))?);
    let field = |number: &U256| FixedMontyForm::new(number, &params);
    let one = FixedMontyForm::one(&params);
    let y = field(&U256::from_le_slice(&compressed));
    // x² = u / v with u = y² - 1 and v = d·y² + 1; a candidate for x is u·v³·(u·v⁷)^((p-5)/8).
    let square = y * y;
    let (u, v) = (square - one, field(&D) * square + one);
    let cube = v * v * v;
    let power = (u * cube * cube * v).pow(&ROOT);
    let mut x = u * cube * power;
    if v * x * x != u {
        x *= field(&U256::from_u8(2)).pow(&QUARTER);
    }
    if v * x * x != u {
        return None;
    }
    let is_odd = |x: &FixedMontyForm<{ U256::LIMBS }>| {
        x.retrieve()
            .to_le_bytes()
            .as_ref()
            .first()
            .is_some_and(|byte| byte & 1 == 1)
    };
    if is_odd(&x) != odd {
        x = -x;
    }
    x.retrieve().to_le_bytes().as_ref().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_point_has_the_published_x() {
        let x = affine_x(&EdwardsPoint::mul_base(&Scalar::ONE)).unwrap();
        assert_eq!(
            U256::from_le_slice(&x),
            U256::from_be_hex("216936d3cd6e53fec0a4e231fdd6dc5c692cc7609525a7b2c9562d608f25d51a")
        );
    }

    #[test]
    fn only_the_signed_text_verifies() {
        for seed in 1..20_u64 {
            let d = Scalar::from(seed).invert();
            let q = EdwardsPoint::mul_base(&d);
            let (raw, digest) = (big_endian(&d), crate::hash::Sha256::of(&seed.to_le_bytes()));
            let (r, s) = sign(&d, &raw, digest.as_bytes());
            assert_eq!((r, s), sign(&d, &raw, digest.as_bytes()));
            assert_eq!(verify(&q, digest.as_bytes(), &r, &s), Ok(()));
            assert_eq!(verify(&q, &[7; 32], &r, &s), Err(SignatureError::Bad));
            assert_eq!(
                verify(&q, digest.as_bytes(), &s, &r),
                Err(SignatureError::Bad)
            );
            assert_eq!(
                verify(&(q + q), digest.as_bytes(), &r, &s),
                Err(SignatureError::Bad)
            );
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let n = crypto_bigint::U256::from_be_hex(
            "1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed",
        );
        assert_eq!(
            scalar(n.to_be_bytes().as_ref()),
            Err(SignatureError::Scalar)
        );
        assert_eq!(scalar(&[0; 32]), Err(SignatureError::Scalar));
        assert_eq!(scalar(&[1; 40]), Err(SignatureError::Scalar));
        assert_eq!(scalar(&[0, 0, 5]), Ok(Scalar::from(5_u8)));
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(point(&identity).unwrap_err(), SignatureError::Point);
    }
}
