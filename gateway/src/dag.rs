//! Blocks and what their codecs say.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use interplanar_core::cid::{self, Cid, DAG_PB, RAW};
use interplanar_core::dag_pb;
use interplanar_core::unixfs;

use crate::refusal::Refusal;
use crate::source::{BlockSource, Lookup};
use crate::stop::Stop;
use crate::tree::Tree;

/// Where the gateway's blocks are.
#[derive(Clone)]
pub(crate) struct Dag(pub(crate) Arc<dyn BlockSource>);

/// A block, read by its codec.
#[derive(Debug)]
pub(crate) enum Node {
    /// Bytes.
    Raw,
    /// Links, and perhaps UnixFS data.
    Pb(PbNode),
    /// A document.
    Tree(Tree),
}

#[derive(Debug)]
pub(crate) struct PbNode {
    pub(crate) links: Vec<dag_pb::Link>,
    /// `None` if the data is none of UnixFS.
    pub(crate) unixfs: Option<unixfs::Data>,
}

impl Dag {
    /// A block; one that isn't there is a 404.
    pub(crate) fn load(&self, cid: &Cid) -> Result<Bytes, Stop> {
        let found = self.find(cid)?;
        Ok(found.ok_or_else(|| Refusal::not_found(format!("block {cid} is not here")))?)
    }

    pub(crate) fn find(&self, cid: &Cid) -> Result<Option<Bytes>, Stop> {
        match cid::identity_data(cid) {
            Some(data) => Ok(Some(Bytes::copy_from_slice(data))),
            None => found(cid, self.0.get(cid)),
        }
    }

    pub(crate) fn has(&self, cid: &Cid) -> Result<bool, Stop> {
        Ok(cid::identity_data(cid).is_some() || found(cid, self.0.has(cid))?.is_some())
    }

    pub(crate) fn node(&self, cid: &Cid) -> Result<Node, Stop> {
        Ok(decode(cid, &self.load(cid)?)?)
    }
}

impl std::fmt::Debug for Dag {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Dag")
    }
}

fn found<T>(cid: &Cid, lookup: Lookup<T>) -> Result<Option<T>, Stop> {
    match lookup {
        Lookup::Here(found) => Ok(Some(found)),
        Lookup::Absent => Ok(None),
        Lookup::Pending => Err(Stop::Pending(*cid)),
        Lookup::Failed => Err(Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the blocks cannot be read",
        )
        .into()),
    }
}

/// Reads a block by the codec of its CID.
pub(crate) fn decode(cid: &Cid, data: &Bytes) -> Result<Node, Refusal> {
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
    pub(crate) fn links(&self) -> Vec<Cid> {
        match self {
            Self::Raw => Vec::new(),
            Self::Pb(node) => node.links.iter().map(|link| link.cid).collect(),
            Self::Tree(tree) => tree.links(),
        }
    }
}
