//! Records. The only way to make one is from bytes that the name's key signed.

use super::{IpnsError, MAX_EXTRA, MAX_RECORD, Name, time};
use crate::cid::{Cid, IpfsUrl};
use crate::dag_cbor::{Reader, Unexpected};
use crate::dag_pb::protobuf::{Fields, Value};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;

/// Prefix of the signed bytes.
const CONTEXT: &[u8] = b"ipns-signature:";

/// The path that an IPNS name means now, signed by the name's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    value: String,
    sequence: u64,
    ttl: Duration,
    valid_until: u64,
}

impl Record {
    /// Decodes a record and checks that the key of `name` signed it. [`Self::is_valid_at`] tells
    /// whether it is still valid, and [`Self::sequence`] which of two records is newer.
    ///
    /// # Errors
    /// [`IpnsError`] if the record is malformed or not signed by the name's key.
    pub fn verify(name: &Name, bytes: &[u8]) -> Result<Self, IpnsError> {
        if bytes.len() > MAX_RECORD {
            return Err(IpnsError::TooLong(bytes.len()));
        }
        let parts = RecordFields::read(&Bytes::copy_from_slice(bytes))?;
        if let Some(key) = parts.key.as_ref().filter(|key| !key.is_empty())
            && Name::of_key(key)? != *name
        {
            return Err(IpnsError::OtherKey);
        }
        let signature = parts.signature.as_ref().filter(|bytes| !bytes.is_empty());
        let data = parts.data.as_ref().filter(|bytes| !bytes.is_empty());
        let (Some(signature), Some(data)) = (signature, data) else {
            return Err(IpnsError::Unsigned);
        };
        let signature = ed25519_dalek::Signature::from_slice(signature);
        let signature = signature.map_err(|_| IpnsError::Signature)?;
        let mut signed = Vec::from(CONTEXT);
        signed.extend_from_slice(data);
        name.key()
            .verify_strict(&signed, &signature)
            .map_err(|_| IpnsError::Signature)?;
        let read = SignedData::read(data)?;
        parts.check_version_1(&read)?;
        read.record()
    }

    /// The path that the name means, `/ipfs/…` or `/ipns/…`.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The value as a URL, if it is an `/ipfs/` path and not another name.
    #[must_use]
    pub fn ipfs(&self) -> Option<IpfsUrl> {
        IpfsUrl::parse(&self.value).ok()
    }

    /// Sequence number. Of two records of a name, the one with the greater number is newer.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// How long a client may keep the record before it asks for a newer one.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Time at which the record expires, in seconds since 1970.
    #[must_use]
    pub fn valid_until(&self) -> u64 {
        self.valid_until
    }

    /// Whether the record is valid at `now`, in seconds since 1970.
    #[must_use]
    pub fn is_valid_at(&self, now: u64) -> bool {
        now <= self.valid_until
    }
}

/// The fields of the protobuf message.
#[derive(Default)]
struct RecordFields {
    value: Option<Bytes>,
    signature_v1: Option<Bytes>,
    validity_type: Option<u64>,
    validity: Option<Bytes>,
    sequence: Option<u64>,
    ttl: Option<u64>,
    key: Option<Bytes>,
    signature: Option<Bytes>,
    data: Option<Bytes>,
}

impl RecordFields {
    fn read(message: &Bytes) -> Result<Self, IpnsError> {
        let mut parts = Self::default();
        let mut fields = Fields::new(message);
        let malformed = |at| IpnsError::Malformed { at };
        while let Some((number, value)) = fields.next().map_err(|fault| malformed(fault.at))? {
            let repeated = match (number, value) {
                (1, Value::Bytes(bytes)) => parts.value.replace(bytes).is_some(),
                (2, Value::Bytes(bytes)) => parts.signature_v1.replace(bytes).is_some(),
                (3, Value::Varint(number)) => parts.validity_type.replace(number).is_some(),
                (4, Value::Bytes(bytes)) => parts.validity.replace(bytes).is_some(),
                (5, Value::Varint(number)) => parts.sequence.replace(number).is_some(),
                (6, Value::Varint(number)) => parts.ttl.replace(number).is_some(),
                (7, Value::Bytes(bytes)) => parts.key.replace(bytes).is_some(),
                (8, Value::Bytes(bytes)) => parts.signature.replace(bytes).is_some(),
                (9, Value::Bytes(bytes)) => parts.data.replace(bytes).is_some(),
                (1..=9, _) => return Err(malformed(0)),
                // A field that a later specification may define.
                _ => false,
            };
            if repeated {
                return Err(malformed(0));
            }
        }
        Ok(parts)
    }

    /// Checks that the fields for readers of version 1, if present, equal the signed data.
    fn check_version_1(&self, data: &SignedData<'_>) -> Result<(), IpnsError> {
        let is_set = |bytes: &Option<Bytes>| bytes.as_ref().is_some_and(|bytes| !bytes.is_empty());
        if !is_set(&self.signature_v1) && !is_set(&self.value) {
            return Ok(());
        }
        let same = self.value.as_deref().unwrap_or_default() == data.value
            && self.validity.as_deref().unwrap_or_default() == data.validity
            && self.validity_type.unwrap_or_default() == data.validity_type
            && self.sequence.unwrap_or_default() == data.sequence
            && self.ttl.unwrap_or_default() == data.ttl;
        if same {
            Ok(())
        } else {
            Err(IpnsError::Contradiction)
        }
    }
}

/// The signed data.
struct SignedData<'a> {
    value: &'a [u8],
    sequence: u64,
    ttl: u64,
    validity: &'a [u8],
    validity_type: u64,
}

impl<'a> SignedData<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, IpnsError> {
        const MAP: &str = "a map";
        const KEYS: &str = "the keys TTL, Value, Sequence, Validity and ValidityType";
        let wrong = |Unexpected { at, expected }| IpnsError::Data { at, expected };
        let mut cbor = Reader::new(bytes);
        let too_many = cbor.wrong("fewer keys");
        let count = cbor.map(MAP).map_err(wrong)?;
        if count > MAX_EXTRA.saturating_add(5) {
            return Err(wrong(too_many));
        }
        let (mut value, mut validity) = (None, None);
        let (mut sequence, mut ttl, mut validity_type) = (None, None, None);
        for _ in 0..count {
            let repeated = cbor.wrong("each key once");
            let again = match cbor.text("a key").map_err(wrong)? {
                b"Value" => value.replace(cbor.bytes("bytes").map_err(wrong)?).is_some(),
                b"Validity" => validity
                    .replace(cbor.bytes("bytes").map_err(wrong)?)
                    .is_some(),
                b"Sequence" => sequence
                    .replace(cbor.uint("a number").map_err(wrong)?)
                    .is_some(),
                b"TTL" => ttl.replace(cbor.uint("a number").map_err(wrong)?).is_some(),
                b"ValidityType" => validity_type
                    .replace(cbor.uint("a number").map_err(wrong)?)
                    .is_some(),
                _ => {
                    cbor.skip("a value").map_err(wrong)?;
                    false
                }
            };
            if again {
                return Err(wrong(repeated));
            }
        }
        cbor.end("the end of the data").map_err(wrong)?;
        let missing = wrong(cbor.wrong(KEYS));
        let (Some(value), Some(validity)) = (value, validity) else {
            return Err(missing);
        };
        let (Some(sequence), Some(validity_type)) = (sequence, validity_type) else {
            return Err(missing);
        };
        Ok(Self {
            value,
            sequence,
            ttl: ttl.ok_or(missing)?,
            validity,
            validity_type,
        })
    }

    fn record(&self) -> Result<Record, IpnsError> {
        const TIME: &str = "ValidityType 0 and a Validity in RFC 3339, in UTC";
        let valid_until = time::parse(self.validity).filter(|_| self.validity_type == 0);
        let valid_until = valid_until.ok_or(IpnsError::Data {
            at: 0,
            expected: TIME,
        })?;
        let value = match (self.value.first(), Cid::try_from(self.value)) {
            (Some(b'/'), _) => core::str::from_utf8(self.value)
                .ok()
                .filter(|path| path.starts_with("/ipfs/") || path.starts_with("/ipns/"))
                .map(String::from),
            // Some writers store the CID itself in place of a path.
            (_, Ok(cid)) => Some(alloc::format!("/ipfs/{}", crate::cid::text(&cid))),
            (_, Err(_)) => None,
        };
        Ok(Record {
            value: value.ok_or(IpnsError::Value)?,
            sequence: self.sequence,
            ttl: Duration::from_nanos(self.ttl),
            valid_until,
        })
    }
}
