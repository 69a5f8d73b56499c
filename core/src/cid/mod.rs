//! Content identifiers (CIDs), and the URLs that contain them.
//!
//! A [`Cid`] names a block by version (0 or 1), codec and hash. This crate supports SHA-256,
//! SHA-512 and `identity` hashes. It walks only the codecs `raw` and `dag-pb`, but it verifies
//! blocks of any codec.
//!
//! Restrictions: identity digests ≤ 128 bytes, other digests ≥ 20 bytes (the trustless gateway
//! specification); blocks ≤ 2 MiB (the limit of Bitswap and Kubo).
//!
//! ```
//! use interplanar_core::cid::{self, Cid};
//! let empty = cid::parse("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku").unwrap();
//! assert!(cid::verify(&empty, b"").is_ok());
//! assert_eq!(cid::verify(&empty, b"x"), Err(cid::CidError::WrongHash));
//! ```

mod base;
mod url;

pub use ::cid::{Cid, Version};
pub use url::{IpfsUrl, MAX_URL, encode as percent_encode};

use crate::hash::Sha256;
use ::cid::multihash::Multihash;
use alloc::string::String;
use sha2::{Digest, Sha512};

/// Codec of a block of plain bytes.
pub const RAW: u64 = 0x55;
/// Codec of a DAG-CBOR block.
pub const DAG_CBOR: u64 = 0x71;
/// Codec of a libp2p key, which IPNS names use.
pub const LIBP2P_KEY: u64 = 0x72;
/// Codec of a [`crate::dag_pb`] node.
pub const DAG_PB: u64 = 0x70;
/// Hash code of SHA-256.
pub const SHA2_256: u64 = 0x12;
/// Hash code of SHA-512.
pub const SHA2_512: u64 = 0x13;
/// "Hash" code of data that the CID itself contains.
pub const IDENTITY: u64 = 0x00;
/// Maximum length of a block, in bytes (Bitswap).
pub const MAX_BLOCK: usize = 2 << 20;
/// Maximum length of the data in an identity CID, in bytes (boxo).
pub const MAX_IDENTITY: usize = 128;
/// Minimum length of any other digest, in bytes (boxo).
pub const MIN_DIGEST: usize = 20;
/// Maximum length of a CID's text, in bytes. The longest identity CID in base 2 is shorter.
const MAX_TEXT: usize = 2048;

/// Why a CID can't be used, or doesn't match a block.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CidError {
    /// The text is not a CID in any base.
    #[error("not a CID")]
    Syntax,
    /// The text is longer than any CID.
    #[error("a text of {0} bytes is too long for a CID")]
    TooLong(usize),
    /// The hash function is not SHA-256, SHA-512 or identity.
    #[error("hash function {0:#x} is not supported: expected sha2-256, sha2-512 or identity")]
    Hash(u64),
    /// The digest has the wrong length for its hash function.
    #[error("a digest of {0} bytes has the wrong length for its hash function")]
    Digest(usize),
    /// The block is longer than [`MAX_BLOCK`].
    #[error("a block of {0} bytes is longer than 2 MiB")]
    BlockTooLong(usize),
    /// The block's hash is not the one in the CID.
    #[error("the block's hash doesn't match its CID")]
    WrongHash,
    /// The text is not one of the URL forms of [`IpfsUrl`].
    #[error("expected ipfs:<cid>, ipfs://<cid>[/path] or /ipfs/<cid>[/path]")]
    Url,
    /// A `%` isn't followed by two hexadecimal digits, at this byte of the path segment.
    #[error("bad percent-encoding at byte {0}")]
    Percent(usize),
}

/// Parses the text of a CID in any base and checks its limits.
///
/// # Errors
/// [`CidError`] if the text is not a CID, or its hash is unsupported or outside the limits.
pub fn parse(text: &str) -> Result<Cid, CidError> {
    if text.len() > MAX_TEXT {
        return Err(CidError::TooLong(text.len()));
    }
    let cid = base::decode(text).ok_or(CidError::Syntax)?;
    check(&cid)?;
    Ok(cid)
}

/// Checks that the CID's hash function is supported and its digest has a valid length.
///
/// # Errors
/// [`CidError::Hash`] and [`CidError::Digest`].
pub fn check(cid: &Cid) -> Result<(), CidError> {
    let size = cid.hash().digest().len();
    match cid.hash().code() {
        IDENTITY if size <= MAX_IDENTITY => Ok(()),
        SHA2_256 if size == 32 => Ok(()),
        SHA2_512 if size == 64 => Ok(()),
        IDENTITY | SHA2_256 | SHA2_512 => Err(CidError::Digest(size)),
        _ if size < MIN_DIGEST => Err(CidError::Digest(size)),
        code => Err(CidError::Hash(code)),
    }
}

/// Checks that `data` is the block that `cid` names.
///
/// # Errors
/// [`CidError::WrongHash`] if it is not, or another error if the CID or the block can't be used.
pub fn verify(cid: &Cid, data: &[u8]) -> Result<(), CidError> {
    check(cid)?;
    if data.len() > MAX_BLOCK {
        return Err(CidError::BlockTooLong(data.len()));
    }
    let right = match identity_data(cid) {
        Some(own) => own == data,
        None if cid.hash().code() == SHA2_512 => {
            cid.hash().digest() == Sha512::digest(data).as_slice()
        }
        None => cid.hash().digest() == Sha256::of(data).as_bytes(),
    };
    if right {
        Ok(())
    } else {
        Err(CidError::WrongHash)
    }
}

/// As [`verify`], with the SHA-256 of `data`. The digest is used only if the CID's hash is SHA-256.
///
/// # Errors
/// As [`verify`].
pub fn verify_hashed(cid: &Cid, data: &[u8], digest: &Sha256) -> Result<(), CidError> {
    if cid.hash().code() != SHA2_256 || data.len() > MAX_BLOCK {
        return verify(cid, data);
    }
    check(cid)?;
    if cid.hash().digest() == digest.as_bytes() {
        Ok(())
    } else {
        Err(CidError::WrongHash)
    }
}

/// Returns the data inside an identity CID, and `None` for other CIDs.
#[must_use]
pub fn identity_data(cid: &Cid) -> Option<&[u8]> {
    (cid.hash().code() == IDENTITY).then(|| cid.hash().digest())
}

/// Returns eight bytes of a digest: cheap to compare, and distinct for nearly all CIDs.
pub(crate) fn prefix(cid: &Cid) -> u64 {
    let digest = cid.hash().digest().iter().take(8);
    digest.fold(0, |value, byte| value.rotate_left(8) ^ u64::from(*byte))
}

/// Makes the CID of a block from its SHA-256. Version 0 applies only to [`DAG_PB`]; other codecs
/// get version 1.
#[must_use]
pub fn of_sha256(version: Version, codec: u64, digest: &Sha256) -> Cid {
    // 32 bytes fit in every multihash, so the default is never taken.
    let hash = Multihash::wrap(SHA2_256, digest.as_bytes()).unwrap_or_default();
    match version {
        Version::V0 if codec == DAG_PB => {
            Cid::new_v0(hash).unwrap_or_else(|_| Cid::new_v1(codec, hash))
        }
        Version::V0 | Version::V1 => Cid::new_v1(codec, hash),
    }
}

/// Encodes the CID in its usual base: base58btc for version 0, base32 for version 1.
#[must_use]
pub fn text(cid: &Cid) -> String {
    base::encode(cid)
}

/// Encodes a CID of version 1 in base 36, whose text fits into one label of a host name.
pub(crate) fn text_36(cid: &Cid) -> String {
    base::base_36(&cid.to_bytes())
}

/// Encodes bytes in base 58, without a prefix.
pub(crate) fn encode_58(bytes: &[u8]) -> String {
    base::base_58(bytes)
}

/// Decodes a base 58 text. Returns `None` if the text is invalid or longer than any CID.
pub(crate) fn decode_58(text: &str) -> Option<alloc::vec::Vec<u8>> {
    Some(text)
        .filter(|text| text.len() <= MAX_TEXT)
        .and_then(base::decode_58)
}

#[cfg(test)]
mod tests;
