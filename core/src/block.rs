//! A [`Block`]: bytes together with the CID that they were verified against.
//!
//! The only way to make a block is to hash its bytes, so code that takes a `Block` need not hash
//! again.
//!
//! ```
//! use interplanar_core::block::Block;
//! let block = Block::raw("hello".into());
//! assert!(Block::verify(*block.cid(), "hellO".into()).is_err());
//! ```

use crate::cid::{self, Cid, CidError, Version};
use crate::hash::Sha256;
use bytes::Bytes;

/// Bytes whose hash is the one in their CID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    cid: Cid,
    data: Bytes,
}

impl Block {
    /// Verifies bytes against the CID for which they were received.
    ///
    /// # Errors
    /// [`CidError`] if the bytes don't match the CID, or if its hash can't be checked.
    pub fn verify(cid: Cid, data: Bytes) -> Result<Self, CidError> {
        cid::verify(&cid, &data)?;
        Ok(Self { cid, data })
    }

    /// As [`Self::verify`], with the SHA-256 of `data` that the caller has already computed, for
    /// example with a faster implementation. The digest is used only if the CID's hash is SHA-256.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn verify_hashed(cid: Cid, data: Bytes, digest: &Sha256) -> Result<Self, CidError> {
        cid::verify_hashed(&cid, &data, digest)?;
        Ok(Self { cid, data })
    }

    /// Makes a block of plain bytes (CIDv1, raw, SHA-256).
    #[must_use]
    pub fn raw(data: Bytes) -> Self {
        Self::new(Version::V1, cid::RAW, data)
    }

    /// Makes a block from an encoded [`crate::dag_pb`] node.
    #[must_use]
    pub fn dag_pb(data: Bytes, version: Version) -> Self {
        Self::new(version, cid::DAG_PB, data)
    }

    /// Makes a block from encoded DAG-CBOR (CIDv1, SHA-256).
    #[must_use]
    pub fn dag_cbor(data: Bytes) -> Self {
        Self::new(Version::V1, cid::DAG_CBOR, data)
    }

    fn new(version: Version, codec: u64, data: Bytes) -> Self {
        let cid = cid::of_sha256(version, codec, &Sha256::of(&data));
        Self { cid, data }
    }

    /// The CID of the bytes.
    #[must_use]
    pub fn cid(&self) -> &Cid {
        &self.cid
    }

    /// The bytes.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// Returns the CID and the bytes.
    #[must_use]
    pub fn into_parts(self) -> (Cid, Bytes) {
        (self.cid, self.data)
    }
}
