//! IPNS: names that are public keys, and the signed records that say what they lead to now.
//!
//! ```text
//! name   = CIDv1, codec libp2p-key, identity multihash of    "k51…" in base 36, or the multihash alone in base 58, "12D3…"
//! key    = protobuf { 1: 1 (Ed25519), 2: 32 bytes }
//! record = protobuf { 8: signatureV2, 9: data, 7: the key; 1 value, 2 signatureV1, 3 type, 4 validity, 5 sequence, 6 ttl of version 1 }
//! data   = DAG-CBOR { "TTL": ns, "Value": "/ipfs/<cid>", "Sequence": n, "Validity": time, "ValidityType": 0, … }
//! time   = RFC 3339, in UTC ("2027-11-25T06:26:30.515338964Z")
//! ```
//! The signature is over `ipns-signature:` and `data`; what else is in a record counts only in that it mustn't contradict it. Source: the IPNS record
//! specification.
//!
//! Restrictions: Ed25519 keys only (Kubo's default; RSA keys don't stand in their names), records of at most [`MAX_RECORD`] bytes, and
//! at most [`MAX_EXTRA`] keys in `data` beside those above.
//!
//! ```
//! use interplanar_core::ipns::{IpnsError, Name, Record};
//! let name = Name::parse("k51qzi5uqu5djvcneae7gp0ii0k4yy5yc5fb78ujkxmrscdpm7x4uvv9o2bxtt").unwrap();
//! assert_eq!(Name::parse(&name.peer_id()), Ok(name));
//! assert_eq!(Record::verify(&name, b"forged".as_slice()), Err(IpnsError::Malformed { at: 0 }));
//! ```

mod name;
mod record;
#[cfg(test)]
mod tests;
mod time;

pub use name::Name;
pub use record::Record;

/// Bytes of a record (the IPNS record specification: 10 KiB).
pub const MAX_RECORD: usize = 10 << 10;
/// Keys in a record's data that this program doesn't know. The specification sets no limit; its own use of them is a handful.
pub const MAX_EXTRA: u64 = 256;

/// Why a name is none, or a record not one of this name.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IpnsError {
    /// Not a name in any of its forms.
    #[error("not a name of IPNS: expected k51… or 12D3Koo…, as `ipfs key list -l` gives it")]
    Name,
    /// The name of a key that isn't Ed25519.
    #[error("the name is not that of an Ed25519 key; make one by `ipfs key gen --type=ed25519`")]
    Key,
    /// Longer than [`MAX_RECORD`].
    #[error("a record of {0} bytes is too long")]
    TooLong(usize),
    /// Not the protobuf of a record, at this byte.
    #[error("malformed record at byte {at}")]
    Malformed {
        /// Offset in the record.
        at: usize,
    },
    /// There is no signature of version 2, or no data that it would be over.
    #[error("the record has no signature of version 2")]
    Unsigned,
    /// The record brings another key than the name's.
    #[error("the record's key is not the name's")]
    OtherKey,
    /// The signature is not one of this key over this data.
    #[error("the record's signature is wrong")]
    Signature,
    /// The data is not what records have.
    #[error("the record's data at byte {at}: expected {expected}")]
    Data {
        /// Offset in the data.
        at: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// What stands outside of the data, for readers of version 1, contradicts it.
    #[error("the record contradicts itself")]
    Contradiction,
    /// The value is no `/ipfs/…` or `/ipns/…` path.
    #[error("the record's value is no path")]
    Value,
}
