//! dag-pb: the nodes of UnixFS DAGs, with named links to other blocks and optional data.
//!
//! ```text
//! message PBLink { optional bytes Hash = 1; optional string Name = 2; optional uint64 Tsize = 3; }
//! message PBNode { repeated PBLink Links = 2; optional bytes Data = 1; }   (links first)
//! ```
//! Source: the IPLD dag-pb specification. Restrictions: the block limit of 2 MiB bounds the number
//! of links; every link has a hash. Links and data may come in either order, because old writers
//! put the data first.
//!
//! ```
//! use interplanar_core::dag_pb::Node;
//! let node = Node { links: vec![], data: Some("x".into()) };
//! assert_eq!(Node::decode(&node.encode()), Ok(node));
//! ```

pub(crate) mod protobuf;

use crate::cid::{self, Cid};
use alloc::vec::Vec;
use bytes::Bytes;
use protobuf::{Fields, Malformed, Value, put_bytes, put_number};

/// Why a block is not a dag-pb node.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DagPbError {
    /// The message is not valid protobuf, or a field has the wrong type.
    #[error("malformed protobuf at byte {at}")]
    Malformed {
        /// Byte offset in the node, or in the link for a link's message.
        at: usize,
    },
    /// The message has a field that dag-pb doesn't define.
    #[error("unknown field {number}")]
    UnknownField {
        /// Number of the field.
        number: u64,
    },
    /// A field that may occur once occurs twice.
    #[error("field {number} is repeated")]
    Repeated {
        /// Number of the field.
        number: u64,
    },
    /// The link has no hash, or its hash is not a valid CID.
    #[error("link {index} has no valid CID")]
    Link {
        /// Index of the link, from 0.
        index: usize,
    },
}

impl From<Malformed> for DagPbError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed { at: malformed.at }
    }
}

/// A link to another block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// CID of the linked block.
    pub cid: Cid,
    /// Name of a directory entry; empty otherwise. It holds bytes, since UnixFS names need not be
    /// UTF-8.
    pub name: Bytes,
    /// Total bytes of all blocks below the link, as claimed by the writer. Not verified.
    pub tsize: u64,
}

/// A node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Links, in order.
    pub links: Vec<Link>,
    /// Data; in UnixFS nodes a [`crate::unixfs::Data`].
    pub data: Option<Bytes>,
}

impl Node {
    /// Decodes a block. Names and data are slices of it, not copies.
    ///
    /// # Errors
    /// [`DagPbError`] for the first error in the block.
    pub fn decode(block: &Bytes) -> Result<Self, DagPbError> {
        let mut node = Self::default();
        let mut fields = Fields::new(block);
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (1, Value::Bytes(data)) if node.data.is_none() => node.data = Some(data),
                (1, Value::Bytes(_)) => return Err(DagPbError::Repeated { number }),
                (2, Value::Bytes(link)) => {
                    let index = node.links.len();
                    node.links.push(decode_link(&link, index)?);
                }
                (1 | 2, Value::Varint(_)) => return Err(DagPbError::Malformed { at: 0 }),
                _ => return Err(DagPbError::UnknownField { number }),
            }
        }
        Ok(node)
    }

    /// Encodes the node in its canonical form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        let mut link = Vec::new();
        for each in &self.links {
            link.clear();
            put_bytes(&mut link, 1, &each.cid.to_bytes());
            put_bytes(&mut link, 2, &each.name);
            put_number(&mut link, 3, each.tsize);
            put_bytes(&mut out, 2, &link);
        }
        if let Some(data) = &self.data {
            put_bytes(&mut out, 1, data);
        }
        out.into()
    }
}

fn decode_link(message: &Bytes, index: usize) -> Result<Link, DagPbError> {
    let (mut hash, mut name, mut tsize) = (None, None, None);
    let mut fields = Fields::new(message);
    while let Some((number, value)) = fields.next()? {
        let repeated = match (number, value) {
            (1, Value::Bytes(bytes)) => hash.replace(bytes).is_some(),
            (2, Value::Bytes(bytes)) => name.replace(bytes).is_some(),
            (3, Value::Varint(size)) => tsize.replace(size).is_some(),
            (1..=3, _) => return Err(DagPbError::Malformed { at: 0 }),
            _ => return Err(DagPbError::UnknownField { number }),
        };
        if repeated {
            return Err(DagPbError::Repeated { number });
        }
    }
    let cid = hash
        .and_then(|bytes| Cid::try_from(bytes.as_ref()).ok())
        .filter(|cid| cid::check(cid).is_ok())
        .ok_or(DagPbError::Link { index })?;
    Ok(Link {
        cid,
        name: name.unwrap_or_default(),
        tsize: tsize.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Block;
    use alloc::vec;

    fn node() -> Node {
        let cid = *Block::raw("x".into()).cid();
        let link = |name: &'static str| Link {
            cid,
            name: name.into(),
            tsize: 300,
        };
        Node {
            links: vec![link("a"), link("")],
            data: Some("data".into()),
        }
    }

    #[test]
    fn a_node_reads_back() {
        assert_eq!(Node::decode(&node().encode()), Ok(node()));
        assert_eq!(Node::decode(&Bytes::new()), Ok(Node::default()));
    }

    #[test]
    fn old_writers_put_data_first() {
        let mut bytes = vec![];
        put_bytes(&mut bytes, 1, b"data");
        bytes.extend_from_slice(
            &Node {
                data: None,
                ..node()
            }
            .encode(),
        );
        assert_eq!(Node::decode(&bytes.into()), Ok(node()));
    }

    #[test]
    fn a_truncated_node_never_decodes_to_the_whole_node() {
        let whole = node().encode();
        for end in 0..whole.len() {
            let cut = Node::decode(&whole.slice(..end));
            assert!(cut.is_err() || cut != Ok(node()), "{end}");
        }
    }

    #[test]
    fn errors_name_what_is_wrong_with_a_node() {
        let mut unknown = vec![];
        put_number(&mut unknown, 9, 1);
        assert_eq!(
            Node::decode(&unknown.into()),
            Err(DagPbError::UnknownField { number: 9 })
        );
        let mut twice = vec![];
        put_bytes(&mut twice, 1, b"a");
        put_bytes(&mut twice, 1, b"b");
        assert_eq!(
            Node::decode(&twice.into()),
            Err(DagPbError::Repeated { number: 1 })
        );
        let mut no_hash = vec![];
        put_bytes(&mut no_hash, 2, &[]);
        assert_eq!(
            Node::decode(&no_hash.into()),
            Err(DagPbError::Link { index: 0 })
        );
        assert_eq!(
            Node::decode(&Bytes::from_static(&[0x0b])),
            Err(DagPbError::Malformed { at: 0 })
        );
    }
}
