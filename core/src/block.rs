//! A [`Block`]: bytes together with the CID that they were checked against.
//!
//! There is no way to make one without hashing its bytes, so code that takes a `Block` needn't hash again.
//!
//! ```
//! use interplanar_core::block::Block;
//! let block = Block::raw("hello".into());
//! assert!(Block::verify(*block.cid(), "hellO".into()).is_err());
//! ```

use crate::cid::{self, Cid, CidError, Version};
use crate::hash::Sha256;
use bytes::Bytes;

/// Bytes that are what their CID names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    cid: Cid,
    data: Bytes,
}

impl Block {
    /// Checks bytes against the CID that they came for.
    ///
    /// # Errors
    /// [`CidError`] where they are not its content or can't be checked.
    pub fn verify(cid: Cid, data: Bytes) -> Result<Self, CidError> {
        cid::verify(&cid, &data)?;
        Ok(Self { cid, data })
    }

    /// As [`Self::verify`], with the SHA-256 of `data` that the caller has computed over these very bytes, by whatever is fastest
    /// where it runs. It counts only where the CID's hash is SHA-256.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn verify_hashed(cid: Cid, data: Bytes, digest: &Sha256) -> Result<Self, CidError> {
        cid::verify_hashed(&cid, &data, digest)?;
        Ok(Self { cid, data })
    }

    /// A block of plain bytes (CIDv1, raw, SHA-256).
    #[must_use]
    pub fn raw(data: Bytes) -> Self {
        Self::new(Version::V1, cid::RAW, data)
    }

    /// A block that is a [`crate::dag_pb`] node.
    #[must_use]
    pub fn dag_pb(data: Bytes, version: Version) -> Self {
        Self::new(version, cid::DAG_PB, data)
    }

    /// A block of DAG-CBOR (CIDv1, SHA-256).
    #[must_use]
    pub fn dag_cbor(data: Bytes) -> Self {
        Self::new(Version::V1, cid::DAG_CBOR, data)
    }

    fn new(version: Version, codec: u64, data: Bytes) -> Self {
        let cid = cid::of_sha256(version, codec, &Sha256::of(&data));
        Self { cid, data }
    }

    /// What names the bytes.
    #[must_use]
    pub fn cid(&self) -> &Cid {
        &self.cid
    }

    /// The bytes.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// The CID and the bytes.
    #[must_use]
    pub fn into_parts(self) -> (Cid, Bytes) {
        (self.cid, self.data)
    }
}
