//! The text form of CIDs, in every base of the multibase table.
//!
//! ```text
//! text = base58btc(multihash)              version 0: 46 characters, "Qm…"
//!      | prefix encoded(CID)               version 1: "b" base 32, "z" base 58, "k" base 36, …
//! ```
//! Two decoders cover the table: one for bases whose digits are groups of bits, one for bases that
//! write the bytes as one number. The `multibase` crate has a decoder for each base and takes ten
//! times the code, too much for a browser to load. Sources: the multibase table, RFC 4648, RFC
//! 9285.
//!
//! Restriction: padding is accepted only at the end.

use super::{Cid, Version};
use alloc::string::String;
use alloc::vec::Vec;

const BASE_32: &str = "abcdefghijklmnopqrstuvwxyz234567";
const BASE_36: &str = "0123456789abcdefghijklmnopqrstuvwxyz";
const BASE_58: &str = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const BASE_64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE_64_URL: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const EMOJI: &str = include_str!("emoji.txt");

/// Whether upper and lower case letters mean the same digit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Strict,
    Any,
}

/// Decodes the text of a CID. It doesn't check the CID's limits.
pub(super) fn decode(text: &str) -> Option<Cid> {
    let text = after_ipfs(text).unwrap_or(text);
    let bytes = if text.len() == 46 && text.starts_with("Qm") {
        decode_number(text, BASE_58, Case::Strict)?
    } else {
        let prefix = text.chars().next()?;
        multibase(prefix, text.get(prefix.len_utf8()..)?)?
    };
    Cid::try_from(bytes.as_slice()).ok()
}

/// Returns the text after `/ipfs/`, as the cid crate does for gateway paths. The comparison works
/// byte by byte, because a substring search adds two kilobytes of code.
fn after_ipfs(text: &str) -> Option<&str> {
    const IPFS: &[u8] = b"/ipfs/";
    let mut windows = text.as_bytes().windows(IPFS.len());
    let at = windows.position(|window| window == IPFS)?;
    text.get(at.saturating_add(IPFS.len())..)
}

fn multibase(prefix: char, text: &str) -> Option<Vec<u8>> {
    use Case::{Any, Strict};
    const BASE_32_HEX: &str = "0123456789abcdefghijklmnopqrstuv";
    match prefix {
        '\0' => Some(text.as_bytes().to_vec()),
        '0' => decode_bits(text, "01", 1, Strict),
        '7' => decode_bits(text, "01234567", 3, Strict),
        'f' | 'F' => decode_bits(text, "0123456789abcdef", 4, Any),
        'b' | 'B' => decode_bits(text, BASE_32, 5, Any),
        'c' | 'C' => decode_bits(unpadded(text, 8)?, BASE_32, 5, Any),
        'v' | 'V' => decode_bits(text, BASE_32_HEX, 5, Any),
        't' | 'T' => decode_bits(unpadded(text, 8)?, BASE_32_HEX, 5, Any),
        'h' => decode_bits(text, "ybndrfg8ejkmcpqxot1uwisza345h769", 5, Strict),
        'm' => decode_bits(text, BASE_64, 6, Strict),
        'M' => decode_bits(unpadded(text, 4)?, BASE_64, 6, Strict),
        'u' => decode_bits(text, BASE_64_URL, 6, Strict),
        'U' => decode_bits(unpadded(text, 4)?, BASE_64_URL, 6, Strict),
        '\u{1f680}' => decode_bits(text, EMOJI, 8, Strict),
        '9' => decode_number(text, "0123456789", Strict),
        'k' | 'K' => decode_number(text, BASE_36, Any),
        'z' => decode_number(text, BASE_58, Strict),
        'Z' => decode_number(
            text,
            "123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ",
            Strict,
        ),
        'R' => base_45(text),
        _ => None,
    }
}

/// Returns the value of a character.
fn digit(character: char, alphabet: &str, case: Case) -> Option<u32> {
    let character = match case {
        Case::Strict => character,
        Case::Any => character.to_ascii_lowercase(),
    };
    let at = alphabet.chars().position(|own| own == character)?;
    u32::try_from(at).ok()
}

/// Decodes digits of `width` bits, most significant first. The bits left over at the end must be
/// zero and fewer than one digit.
fn decode_bits(text: &str, alphabet: &str, width: u32, case: Case) -> Option<Vec<u8>> {
    let (mut bytes, mut held, mut count) = (Vec::new(), 0_u32, 0_u32);
    for character in text.chars() {
        held = held << width | digit(character, alphabet, case)?;
        count = count.saturating_add(width);
        if count >= 8 {
            count = count.saturating_sub(8);
            bytes.push(u8::try_from(held >> count & 0xff).ok()?);
            held &= !(u32::MAX << count);
        }
    }
    (held == 0 && count < width).then_some(bytes)
}

/// Removes the padding that fills the last block of `block` characters. Returns `None` if the
/// padding is wrong.
fn unpadded(text: &str, block: usize) -> Option<&str> {
    let plain = text.trim_end_matches('=');
    let padding = text.len().saturating_sub(plain.len());
    let whole = text.len().is_multiple_of(block);
    (whole && padding < block).then_some(plain)
}

/// Decodes all digits as one number. Each leading zero digit is one zero byte.
fn decode_number(text: &str, alphabet: &str, case: Case) -> Option<Vec<u8>> {
    let base = u32::try_from(alphabet.len()).ok()?;
    let (mut little, mut zeros, mut started) = (Vec::new(), 0_usize, false);
    for character in text.chars() {
        let value = digit(character, alphabet, case)?;
        started |= value > 0;
        zeros = zeros.saturating_add(usize::from(!started));
        multiply_add(&mut little, base, value, 0x100);
    }
    little.extend(core::iter::repeat_n(0, zeros));
    Some(little.into_iter().rev().collect())
}

/// Computes `little × factor + add` on a number with digits in base `base`, lowest digit first.
/// Neither `factor` nor `add` has more than eight bits.
fn multiply_add(little: &mut Vec<u8>, factor: u32, add: u32, base: u32) {
    let mut carry = add;
    for place in little.iter_mut() {
        carry = carry.saturating_add(u32::from(*place).saturating_mul(factor));
        *place = low_digit(carry, base);
        carry = carry.checked_div(base).unwrap_or(0);
    }
    while carry > 0 {
        little.push(low_digit(carry, base));
        carry = carry.checked_div(base).unwrap_or(0);
    }
}

fn low_digit(value: u32, base: u32) -> u8 {
    let rest = value.checked_rem(base).unwrap_or(0);
    u8::try_from(rest).unwrap_or(u8::MAX)
}

/// Decodes three characters to two bytes, and two final characters to one byte, lowest digit first.
fn base_45(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &str = "0123456789abcdefghijklmnopqrstuvwxyz $%*+-./:";
    let digits: Option<Vec<u32>> = text
        .chars()
        .map(|character| digit(character, ALPHABET, Case::Any))
        .collect();
    let mut bytes = Vec::new();
    for group in digits?.chunks(3) {
        let value = group.iter().rev();
        let value = value.fold(0_u32, |value, digit| {
            value.saturating_mul(45).saturating_add(*digit)
        });
        match group.len() {
            3 => bytes.extend_from_slice(&u16::try_from(value).ok()?.to_be_bytes()),
            2 => bytes.push(u8::try_from(value).ok()?),
            _ => return None,
        }
    }
    Some(bytes)
}

/// Encodes the CID in its usual base: base58btc for version 0, base32 for version 1.
pub(super) fn encode(cid: &Cid) -> String {
    match cid.version() {
        Version::V0 => base_58(&cid.to_bytes()),
        Version::V1 => base_32(&cid.to_bytes()),
    }
}

fn base_32(bytes: &[u8]) -> String {
    let mut text = String::from("b");
    let (mut held, mut count) = (0_u32, 0_u32);
    let mut push = |value: u32| {
        let at = usize::try_from(value & 31).unwrap_or(0);
        text.extend(BASE_32.get(at..=at));
    };
    for byte in bytes {
        held = (held & 31) << 8 | u32::from(*byte);
        count = count.saturating_add(8);
        while count >= 5 {
            count = count.saturating_sub(5);
            push(held >> count);
        }
    }
    if count > 0 {
        push(held << (5_u32.saturating_sub(count)));
    }
    text
}

pub(super) fn base_58(bytes: &[u8]) -> String {
    encode_number(bytes, BASE_58)
}

/// Encodes bytes in multibase's base 36 with its prefix, as IPNS names are written.
pub(super) fn base_36(bytes: &[u8]) -> String {
    let mut text = String::from("k");
    text.push_str(&encode_number(bytes, BASE_36));
    text
}

/// Decodes a base 58 text without a prefix, as peer IDs are written.
pub(super) fn decode_58(text: &str) -> Option<Vec<u8>> {
    decode_number(text, BASE_58, Case::Strict)
}

fn encode_number(bytes: &[u8], alphabet: &str) -> String {
    let base = u32::try_from(alphabet.len()).unwrap_or(u32::MAX);
    let mut little = Vec::new();
    for byte in bytes {
        multiply_add(&mut little, 0x100, u32::from(*byte), base);
    }
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    little.extend(core::iter::repeat_n(0, zeros));
    let digits = little.iter().rev();
    digits
        .filter_map(|digit| {
            let at = usize::from(*digit);
            alphabet.get(at..=at)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cid::{IDENTITY, SHA2_256, SHA2_512};
    use ::cid::multibase::Base;
    use ::cid::multihash::Multihash;
    use alloc::string::ToString;
    use std::vec;

    const BASES: [Base; 24] = [
        Base::Identity,
        Base::Base2,
        Base::Base8,
        Base::Base10,
        Base::Base16Lower,
        Base::Base16Upper,
        Base::Base32Lower,
        Base::Base32Upper,
        Base::Base32PadLower,
        Base::Base32PadUpper,
        Base::Base32HexLower,
        Base::Base32HexUpper,
        Base::Base32HexPadLower,
        Base::Base32HexPadUpper,
        Base::Base32Z,
        Base::Base36Lower,
        Base::Base36Upper,
        Base::Base45,
        Base::Base58Flickr,
        Base::Base58Btc,
        Base::Base64,
        Base::Base64Pad,
        Base::Base64Url,
        Base::Base256Emoji,
    ];

    fn cids() -> Vec<Cid> {
        let mut cids = vec![];
        for length in [0_usize, 1, 2, 3, 4, 5, 31, 32, 64] {
            for seed in 0..20_u8 {
                let digest: Vec<u8> = (0..length)
                    .map(|at| {
                        seed.wrapping_mul(37)
                            .wrapping_add((at as u8).wrapping_mul(11))
                    })
                    .collect();
                for code in [IDENTITY, SHA2_256, SHA2_512] {
                    let hash = Multihash::wrap(code, &digest).unwrap();
                    cids.push(Cid::new_v1(0x55, hash));
                    cids.extend(Cid::new_v0(hash).ok());
                }
            }
        }
        cids
    }

    #[test]
    fn texts_equal_those_of_the_cid_crate_and_decode_to_the_same_cid() {
        for cid in cids() {
            assert_eq!(encode(&cid), cid.to_string());
            assert_eq!(decode(&cid.to_string()), Some(cid));
        }
    }

    #[test]
    fn every_base_of_the_table_is_read() {
        for cid in cids()
            .into_iter()
            .filter(|cid| cid.version() == Version::V1)
        {
            for base in BASES.into_iter().chain([Base::Base64UrlPad]) {
                let bytes = cid.to_bytes();
                if base == Base::Identity && core::str::from_utf8(&bytes).is_err() {
                    continue;
                }
                let text = cid.to_string_of_base(base).unwrap();
                assert_eq!(decode(&text), Some(cid), "{base:?} {text}");
                // A text with a changed, missing or doubled character must decode as in the cid
                // crate, if it decodes.
                let last = text.char_indices().last().unwrap().0;
                for other in [
                    std::format!("{}!", &text[..last]),
                    text[..last].to_string(),
                    std::format!("{text}{}", &text[last..]),
                    text.to_ascii_uppercase(),
                    text.to_ascii_lowercase(),
                ] {
                    let theirs = Cid::try_from(other.as_str()).ok();
                    assert_eq!(decode(&other), theirs, "{base:?} {other}");
                }
            }
        }
    }
}
