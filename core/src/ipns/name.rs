//! IPNS names in the forms that people and gateways write.

use super::IpnsError;
use crate::cid::{self, Cid};
use crate::dag_pb::protobuf::{Fields, Value};
use ::cid::multihash::Multihash;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use ed25519_dalek::VerifyingKey;

/// libp2p's number for Ed25519 keys.
const ED25519: u64 = 1;

/// An IPNS name: an Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name {
    key: VerifyingKey,
}

impl Name {
    /// Parses a name: a CID in any base or a peer ID, each optionally after `ipns://` or `/ipns/`.
    ///
    /// # Errors
    /// [`IpnsError::Name`] if the text is not a name, [`IpnsError::Key`] if its key isn't Ed25519.
    pub fn parse(text: &str) -> Result<Self, IpnsError> {
        let text = ["ipns://", "/ipns/"]
            .iter()
            .find_map(|prefix| text.strip_prefix(prefix))
            .unwrap_or(text);
        let text = text.strip_suffix('/').unwrap_or(text);
        if text.starts_with("12D3") {
            let bytes = cid::decode_58(text).ok_or(IpnsError::Name)?;
            let hash = Multihash::<64>::from_bytes(&bytes).map_err(|_| IpnsError::Name)?;
            return Self::of_hash(&hash);
        }
        let cid = cid::parse(text).map_err(|_| IpnsError::Name)?;
        // Old writers used the codec dag-pb.
        if cid.version() == cid::Version::V0
            || !matches!(cid.codec(), cid::LIBP2P_KEY | cid::DAG_PB)
        {
            return Err(IpnsError::Name);
        }
        Self::of_hash(cid.hash())
    }

    fn of_hash(hash: &Multihash<64>) -> Result<Self, IpnsError> {
        if hash.code() != cid::IDENTITY {
            return Err(IpnsError::Key);
        }
        Self::of_key(&Bytes::copy_from_slice(hash.digest()))
    }

    /// Makes the name of a key in libp2p's protobuf encoding.
    pub(super) fn of_key(message: &Bytes) -> Result<Self, IpnsError> {
        let mut fields = Fields::new(message);
        let mut next = || fields.next().map_err(|_| IpnsError::Key);
        let (kind, data, end) = (next()?, next()?, next()?);
        match (kind, data, end) {
            (Some((1, Value::Varint(ED25519))), Some((2, Value::Bytes(key))), None) => {
                let key: [u8; 32] = key.as_ref().try_into().map_err(|_| IpnsError::Key)?;
                Self::of_bytes(&key)
            }
            _ => Err(IpnsError::Key),
        }
    }

    /// Makes the name of a public key.
    ///
    /// # Errors
    /// [`IpnsError::Key`] if the bytes are not a valid key.
    pub fn of_bytes(key: &[u8; 32]) -> Result<Self, IpnsError> {
        let key = VerifyingKey::from_bytes(key).map_err(|_| IpnsError::Key)?;
        Ok(Self { key })
    }

    pub(super) fn key(&self) -> &VerifyingKey {
        &self.key
    }

    fn message(&self) -> Vec<u8> {
        let mut message = Vec::from([8, 1, 0x12, 32]);
        message.extend_from_slice(self.key.as_bytes());
        message
    }

    /// Returns the name as a CID.
    #[must_use]
    pub fn cid(&self) -> Cid {
        // 36 bytes fit in every multihash.
        let hash = Multihash::wrap(cid::IDENTITY, &self.message()).unwrap_or_default();
        Cid::new_v1(cid::LIBP2P_KEY, hash)
    }

    /// Returns the name as a peer ID, `12D3Koo…`.
    #[must_use]
    pub fn peer_id(&self) -> String {
        cid::encode_58(&self.cid().hash().to_bytes())
    }
}

/// Writes `k51…`, as Kubo does.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&cid::text_36(&self.cid()))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
