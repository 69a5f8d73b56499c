//! Blocks and what their codecs say.

use std::sync::Arc;

use bytes::Bytes;
use interplanar_core::cid::{self, Cid, DAG_PB, RAW};
use interplanar_core::dag_pb;
use interplanar_core::unixfs;

use super::refusal::Refusal;
use super::tree::Tree;
use crate::blocks::BlockSource;

/// Where the gateway's blocks are.
#[derive(Clone)]
pub(super) struct Dag(pub(super) Arc<dyn BlockSource>);

/// A block, read by its codec.
#[derive(Debug)]
pub(super) enum Node {
    /// Bytes.
    Raw,
    /// Links, and perhaps UnixFS data.
    Pb(PbNode),
    /// A document.
    Tree(Tree),
}

#[derive(Debug)]
pub(super) struct PbNode {
    pub(super) links: Vec<dag_pb::Link>,
    /// `None` if the data is none of UnixFS.
    pub(super) unixfs: Option<unixfs::Data>,
}

impl Dag {
    /// A block; one that isn't there is a 404.
    pub(super) fn load(&self, cid: &Cid) -> Result<Bytes, Refusal> {
        self.find(cid)?
            .ok_or_else(|| Refusal::not_found(format!("block {cid} is not here")))
    }

    pub(super) fn find(&self, cid: &Cid) -> Result<Option<Bytes>, Refusal> {
        match cid::identity_data(cid) {
            Some(data) => Ok(Some(Bytes::copy_from_slice(data))),
            None => Ok(self.0.get(cid)?),
        }
    }

    pub(super) fn has(&self, cid: &Cid) -> Result<bool, Refusal> {
        Ok(cid::identity_data(cid).is_some() || self.0.has(cid)?)
    }

    pub(super) fn node(&self, cid: &Cid) -> Result<Node, Refusal> {
        decode(cid, &self.load(cid)?)
    }
}

/// Reads a block by the codec of its CID.
pub(super) fn decode(cid: &Cid, data: &Bytes) -> Result<Node, Refusal> {
    let tree = match cid.codec() {
        RAW => return Ok(Node::Raw),
        DAG_PB => {
            let node = dag_pb::Node::decode(data).map_err(|_| Refusal::malformed("dag-pb"))?;
            let unixfs = node
                .data
                .as_ref()
                .and_then(|data| unixfs::Data::decode(data).ok());
            return Ok(Node::Pb(PbNode {
                links: node.links,
                unixfs,
            }));
        }
        0x51 => Tree::cbor(data, false),
        0x71 => Tree::cbor(data, true),
        0x0129 => Tree::json(data, true),
        0x0200 => Tree::json(data, false),
        _ => return Err(Refusal::malformed("block: its codec is unknown")),
    };
    tree.map(Node::Tree)
        .ok_or_else(|| Refusal::malformed("document"))
}

impl Node {
    /// What it links to, in order.
    pub(super) fn links(&self) -> Vec<Cid> {
        match self {
            Self::Raw => Vec::new(),
            Self::Pb(node) => node.links.iter().map(|link| link.cid).collect(),
            Self::Tree(tree) => tree.links(),
        }
    }
}
