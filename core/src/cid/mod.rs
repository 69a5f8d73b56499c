//! Content identifiers, and the URLs that carry them.
//!
//! A [`Cid`] names a block by version (0 or 1), codec and hash. Here only SHA-256, SHA-512 and `identity` hashes are used, and only the codecs
//! `raw` and `dag-pb` are walked; CIDs with other codecs are still verified as blocks.
//!
//! Restrictions: identity digests ≤ 128 bytes, other digests ≥ 20 bytes (the trustless gateway specification); blocks ≤ 2 MiB
//! (Bitswap's and Kubo's limit).
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
/// Codec of a libp2p key: what names of IPNS are.
pub const LIBP2P_KEY: u64 = 0x72;
/// Codec of a [`crate::dag_pb`] node.
pub const DAG_PB: u64 = 0x70;
/// Hash code of SHA-256.
pub const SHA2_256: u64 = 0x12;
/// Hash code of SHA-512.
pub const SHA2_512: u64 = 0x13;
/// "Hash" code of data that stands in the CID itself.
pub const IDENTITY: u64 = 0x00;
/// Longest block, in bytes (Bitswap).
pub const MAX_BLOCK: usize = 2 << 20;
/// Longest data of an identity CID, in bytes (boxo).
pub const MAX_IDENTITY: usize = 128;
/// Shortest digest of any other hash, in bytes (boxo).
pub const MIN_DIGEST: usize = 20;
/// Longest text of a CID that is looked at, in bytes: base 2 of the longest identity CID stays below.
const MAX_TEXT: usize = 2048;

/// Why something is no usable CID, or not the content of one.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CidError {
    /// Not a CID in any base.
    #[error("not a CID")]
    Syntax,
    /// Longer than any CID.
    #[error("text of {0} bytes is too long for a CID")]
    TooLong(usize),
    /// A hash function that is not SHA-256 or identity.
    #[error("hash function {0:#x} is not supported: expected sha2-256, sha2-512 or identity")]
    Hash(u64),
    /// A digest outside of the limits for its function.
    #[error("digest of {0} bytes is out of bounds")]
    Digest(usize),
    /// A block longer than [`MAX_BLOCK`].
    #[error("block of {0} bytes is too long")]
    BlockTooLong(usize),
    /// The bytes are not those that the CID names.
    #[error("the block's hash is not its CID's")]
    WrongHash,
    /// Not one of the URL forms of [`IpfsUrl`].
    #[error("expected ipfs:<cid>, ipfs://<cid>[/path] or /ipfs/<cid>[/path]")]
    Url,
    /// A `%` without two hexadecimal digits, at this byte of the path.
    #[error("bad percent-encoding at byte {0}")]
    Percent(usize),
}

/// Parses the text of a CID in any base, and checks its limits.
///
/// # Errors
/// [`CidError`] for anything but a CID with a supported hash within its limits.
pub fn parse(text: &str) -> Result<Cid, CidError> {
    if text.len() > MAX_TEXT {
        return Err(CidError::TooLong(text.len()));
    }
    let cid = base::decode(text).ok_or(CidError::Syntax)?;
    check(&cid)?;
    Ok(cid)
}

/// Checks that a CID's hash is a supported one within its limits.
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

/// Checks that `data` is what `cid` names.
///
/// # Errors
/// [`CidError::WrongHash`], or why the CID or the block can't be used.
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

/// As [`verify`], with the SHA-256 of `data`, which counts only where the CID's hash is one.
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

/// The data of an identity CID.
#[must_use]
pub fn identity_data(cid: &Cid) -> Option<&[u8]> {
    (cid.hash().code() == IDENTITY).then(|| cid.hash().digest())
}

/// The CID of a block by its SHA-256. Version 0 is only for [`DAG_PB`]; other codecs get version 1.
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

/// The CID's usual text: base58btc for version 0, base32 for version 1.
#[must_use]
pub fn text(cid: &Cid) -> String {
    base::encode(cid)
}

/// A CID of version 1 in base 36, which fits into a label of a host name.
pub(crate) fn text_36(cid: &Cid) -> String {
    base::base_36(&cid.to_bytes())
}

/// Bytes in base 58, without a prefix.
pub(crate) fn encode_58(bytes: &[u8]) -> String {
    base::base_58(bytes)
}

/// The bytes of a text in base 58; `None` if it isn't one or too long for any CID.
pub(crate) fn decode_58(text: &str) -> Option<alloc::vec::Vec<u8>> {
    Some(text)
        .filter(|text| text.len() <= MAX_TEXT)
        .and_then(base::decode_58)
}

#[cfg(test)]
mod tests;
