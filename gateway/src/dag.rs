//! Reads blocks and decodes them by codec.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use interplanar_core::cid::{self, Cid, DAG_PB, RAW};
use interplanar_core::dag_pb;
use interplanar_core::unixfs;

use crate::document::Document;
use crate::refusal::Refusal;
use crate::source::{BlockSource, Lookup};
use crate::stop::Stop;

/// Reads the blocks of a source.
#[derive(Clone)]
pub(crate) struct Dag(pub(crate) Arc<dyn BlockSource>);

/// A block, decoded by its codec.
#[derive(Debug)]
pub(crate) enum Node {
    /// Plain bytes.
    Raw,
    /// Links, usually with UnixFS data.
    Pb(PbNode),
    /// A document.
    Document(Document),
}

#[derive(Debug)]
pub(crate) struct PbNode {
    pub(crate) links: Vec<dag_pb::Link>,
    /// `None` if the data is not UnixFS.
    pub(crate) unixfs: Option<unixfs::Data>,
}

impl Dag {
    /// Returns a block. A missing block is a 404.
    pub(crate) fn load(&self, cid: &Cid) -> Result<Bytes, Stop> {
        let found = self.find(cid)?;
        Ok(found
            .ok_or_else(|| Refusal::not_found(format!("this gateway doesn't have block {cid}")))?)
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
            "can't read the block store",
        )
        .into()),
    }
}

/// Decodes a block by the codec of its CID.
pub(crate) fn decode(cid: &Cid, data: &Bytes) -> Result<Node, Refusal> {
    let document = match cid.codec() {
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
        0x51 => Document::cbor(data, false),
        0x71 => Document::cbor(data, true),
        0x0129 => Document::json(data, true),
        0x0200 => Document::json(data, false),
        _ => return Err(Refusal::malformed("block: its codec is unknown")),
    };
    document
        .map(Node::Document)
        .ok_or_else(|| Refusal::malformed("document"))
}

impl Node {
    /// Returns all links, in order.
    pub(crate) fn links(&self) -> Vec<Cid> {
        match self {
            Self::Raw => Vec::new(),
            Self::Pb(node) => node.links.iter().map(|link| link.cid).collect(),
            Self::Document(document) => document.links(),
        }
    }
}
