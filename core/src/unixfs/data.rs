//! The UnixFS message in the data of a dag-pb node.
//!
//! ```text
//! message Data { required DataType Type = 1;
//!                optional bytes Data = 2;
//!                optional uint64 filesize = 3;
//!                repeated uint64 blocksizes = 4;
//!                optional uint64 hashType = 5;
//!                optional uint64 fanout = 6;
//!                optional uint32 mode = 7;
//!                optional UnixTime mtime = 8; }
//! enum DataType { Raw = 0; Directory = 1; File = 2; Metadata = 3; Symlink = 4; HAMTShard = 5; }
//! ```
//! Source: the UnixFS specification. `blocksizes` may be packed or not. Unknown fields are ignored,
//! as usual in protobuf.

use super::UnixFsError;
use crate::dag_pb::protobuf::{Fields, Value, put_bytes, put_number, varint};
use alloc::vec::Vec;
use bytes::Bytes;

/// The type of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeType {
    /// Plain bytes, in leaves of old DAGs.
    Raw,
    /// A directory whose links are its entries.
    Directory,
    /// A file.
    File,
    /// Metadata; no implementation uses it.
    Metadata,
    /// A symbolic link; the data is its target.
    Symlink,
    /// A part of a sharded directory.
    HamtShard,
}

impl NodeType {
    fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::Raw,
            1 => Self::Directory,
            2 => Self::File,
            3 => Self::Metadata,
            4 => Self::Symlink,
            5 => Self::HamtShard,
            _ => return None,
        })
    }

    fn number(self) -> u64 {
        match self {
            Self::Raw => 0,
            Self::Directory => 1,
            Self::File => 2,
            Self::Metadata => 3,
            Self::Symlink => 4,
            Self::HamtShard => 5,
        }
    }
}

/// The UnixFS message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// Type of the node.
    pub kind: NodeType,
    /// File content in this node, target of a symlink, or bit field of a shard.
    pub data: Option<Bytes>,
    /// Bytes of content in this node and below it.
    pub filesize: Option<u64>,
    /// Bytes of content below each link.
    pub blocksizes: Vec<u64>,
    /// Multihash code of the hash that assigns names to the slots of a shard.
    pub hash_type: Option<u64>,
    /// Number of slots of a shard.
    pub fanout: Option<u64>,
}

impl Data {
    /// Creates a message with a type and no other fields.
    #[must_use]
    pub fn new(kind: NodeType) -> Self {
        Self {
            kind,
            data: None,
            filesize: None,
            blocksizes: Vec::new(),
            hash_type: None,
            fanout: None,
        }
    }

    /// Decodes the data of a node. Byte fields are slices of it.
    ///
    /// # Errors
    /// [`UnixFsError::Malformed`], or [`UnixFsError::UnknownKind`] for a type that UnixFS doesn't
    /// have.
    pub fn decode(message: &Bytes) -> Result<Self, UnixFsError> {
        let mut kind = None;
        let mut decoded = Self::new(NodeType::Raw);
        let mut fields = Fields::new(message);
        while let Some((number, value)) = fields
            .next()
            .map_err(|e| UnixFsError::Malformed { at: e.at })?
        {
            match (number, value) {
                (1, Value::Varint(number)) => {
                    kind = Some(
                        NodeType::from_number(number).ok_or(UnixFsError::UnknownKind { number })?,
                    );
                }
                (2, Value::Bytes(data)) => decoded.data = Some(data),
                (3, Value::Varint(size)) => decoded.filesize = Some(size),
                (4, Value::Varint(size)) => decoded.blocksizes.push(size),
                (4, Value::Bytes(packed)) => unpack(&packed, &mut decoded.blocksizes)?,
                (5, Value::Varint(code)) => decoded.hash_type = Some(code),
                (6, Value::Varint(fanout)) => decoded.fanout = Some(fanout),
                (1..=6, _) => return Err(UnixFsError::Malformed { at: 0 }),
                _ => {}
            }
        }
        decoded.kind = kind.ok_or(UnixFsError::Malformed { at: message.len() })?;
        Ok(decoded)
    }

    /// Encodes the message as Kubo does: fields in their order, `blocksizes` not packed.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        put_number(&mut out, 1, self.kind.number());
        if let Some(data) = &self.data {
            put_bytes(&mut out, 2, data);
        }
        if let Some(size) = self.filesize {
            put_number(&mut out, 3, size);
        }
        for size in &self.blocksizes {
            put_number(&mut out, 4, *size);
        }
        if let Some(code) = self.hash_type {
            put_number(&mut out, 5, code);
        }
        if let Some(fanout) = self.fanout {
            put_number(&mut out, 6, fanout);
        }
        out.into()
    }
}

fn unpack(mut packed: &[u8], sizes: &mut Vec<u64>) -> Result<(), UnixFsError> {
    while !packed.is_empty() {
        let (size, length) = varint(packed).ok_or(UnixFsError::Malformed { at: 0 })?;
        sizes.push(size);
        packed = packed.get(length..).unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn a_message_reads_back() {
        let message = Data {
            data: Some("x".into()),
            filesize: Some(300),
            blocksizes: vec![1, 299],
            hash_type: Some(0x22),
            fanout: Some(256),
            ..Data::new(NodeType::File)
        };
        assert_eq!(Data::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn a_message_without_a_known_type_is_an_error() {
        assert_eq!(
            Data::decode(&Bytes::new()),
            Err(UnixFsError::Malformed { at: 0 })
        );
        assert_eq!(
            Data::decode(&Bytes::from_static(&[8, 9])),
            Err(UnixFsError::UnknownKind { number: 9 })
        );
    }

    #[test]
    fn packed_sizes_are_read_too() {
        let packed = Bytes::from_static(&[8, 2, 0x22, 3, 1, 0xac, 2]);
        assert_eq!(
            Data::decode(&packed).map(|data| data.blocksizes),
            Ok(vec![1, 300])
        );
    }
}
