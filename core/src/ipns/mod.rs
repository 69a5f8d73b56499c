//! IPNS: names that are public keys, and the signed records that say which CID a name means now.
//!
//! ```text
//! name   = CIDv1, codec libp2p-key, identity multihash of the key: "k51…" in base 36,
//!          or the multihash alone in base 58: "12D3…"
//! key    = protobuf { 1: 1 (Ed25519), 2: 32 bytes }
//! record = protobuf { 8: signatureV2, 9: data, 7: key, and the fields of version 1:
//!                     1: value, 2: signatureV1, 3: type, 4: validity, 5: sequence, 6: ttl }
//! data   = DAG-CBOR { "TTL": ns, "Value": "/ipfs/<cid>", "Sequence": n, "Validity": time,
//!                     "ValidityType": 0, … }
//! time   = RFC 3339, in UTC ("2027-11-25T06:26:30.515338964Z")
//! ```
//! The signature covers `ipns-signature:` followed by `data`. The other fields of a record are
//! ignored, except that they must not contradict `data`. Source: the IPNS record specification.
//!
//! Restrictions: Ed25519 keys only (Kubo's default; names of RSA keys don't contain the key),
//! records of at most [`MAX_RECORD`] bytes, and at most [`MAX_EXTRA`] keys in `data` beside those
//! above.
//!
//! ```
//! use interplanar_core::ipns::{IpnsError, Name, Record};
//! let name = "k51qzi5uqu5djvcneae7gp0ii0k4yy5yc5fb78ujkxmrscdpm7x4uvv9o2bxtt";
//! let name = Name::parse(name).unwrap();
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

/// Maximum length of a record in bytes (the IPNS record specification: 10 KiB).
pub const MAX_RECORD: usize = 10 << 10;
/// Maximum number of unknown keys in a record's data. The specification sets no limit, and itself
/// defines only a few.
pub const MAX_EXTRA: u64 = 256;

/// Why a text is not an IPNS name, or why a record is not a valid record of a name.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IpnsError {
    /// The text is not a name in any supported form.
    #[error("not an IPNS name: expected k51… or 12D3Koo…, as `ipfs key list -l` prints it")]
    Name,
    /// The name belongs to a key that isn't Ed25519.
    #[error("the name's key is not an Ed25519 key; make one with `ipfs key gen --type=ed25519`")]
    Key,
    /// The record is longer than [`MAX_RECORD`].
    #[error("the record has {0} bytes, more than the limit of 10 KiB")]
    TooLong(usize),
    /// The record is not a valid protobuf message.
    #[error("the record is malformed at byte {at}")]
    Malformed {
        /// Byte offset in the record.
        at: usize,
    },
    /// The record has no signature of version 2, or no data for it to cover.
    #[error("the record has no signature of version 2")]
    Unsigned,
    /// The record contains a key other than the name's key.
    #[error("the record's key is not the name's key")]
    OtherKey,
    /// The name's key did not sign this data.
    #[error("the record's signature is wrong")]
    Signature,
    /// The data lacks a key, or a value has the wrong form.
    #[error("the record's data is invalid at byte {at}: expected {expected}")]
    Data {
        /// Byte offset in the data.
        at: usize,
        /// What the format requires at this offset.
        expected: &'static str,
    },
    /// The fields for readers of version 1 contradict the signed data.
    #[error("the record's fields of version 1 contradict its signed data")]
    Contradiction,
    /// The value is not a path that starts with `/ipfs/` or `/ipns/`.
    #[error("the record's value is not an /ipfs/ or /ipns/ path")]
    Value,
}
