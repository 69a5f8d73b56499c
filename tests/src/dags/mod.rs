//! DAGs of every shape that a gateway serves, each with a name: built by our own builders, and by the real Kubo.
//!
//! | family | shapes |
//! |---|---|
//! | [`files`] | every chunker; balanced and trickle; raw leaves and not; CIDv0 and CIDv1; inline |
//! | [`directories`] | plain ones: nested, with an index, with odd names, with links of every kind, empty |
//! | [`sharded`] | HAMTs with 8 to 1024 places to a shard |
//! | [`documents`] | DAG-CBOR and DAG-JSON with links, plain CBOR and JSON |
//! | [`incomplete`] | DAGs that lack a leaf, a child, a shard or a linked document |
//! | [`wrong`] | CARs with a block that isn't what its CID names; they are not among [`Dags`] |
//! | [`golden`] | the DAG of `tests/fixtures/kubo-0.43.0/shapes.car` |
//!
//! All are the same in each run. Where both makers build a shape, they must build the same root.

pub mod directories;
pub mod documents;
pub mod files;
pub mod golden;
pub mod incomplete;
pub mod sharded;
mod with_kubo;
pub mod wrong;

use crate::kubo::Repo;
use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::car;
use interplanar_core::cid::{self, Cid};
use interplanar_core::dag_pb;
use interplanar_core::hash::Sha256;
use std::collections::BTreeMap;

/// One DAG.
#[derive(Debug, Clone)]
pub struct Dag {
    /// Name of its shape: family, then what sets it apart.
    pub name: String,
    /// CID of its root.
    pub root: Cid,
    /// Paths below the root that are worth a request, percent-encoded, each with its first slash.
    pub paths: Vec<String>,
}

/// Many DAGs and the blocks of all of them.
#[derive(Debug, Default)]
pub struct Dags {
    dags: Vec<Dag>,
    blocks: BTreeMap<Cid, Bytes>,
}

impl Dags {
    /// Builds those that our own builders can build.
    #[must_use]
    pub fn own() -> Self {
        let mut dags = Self::default();
        files::build(&mut dags);
        directories::build(&mut dags);
        sharded::build(&mut dags);
        documents::build(&mut dags);
        incomplete::build(&mut dags);
        dags
    }

    /// Builds all: our own, and those of the real Kubo.
    ///
    /// # Panics
    /// When Kubo fails, or builds another root than ours for a shape.
    #[must_use]
    pub fn all() -> Self {
        let mut dags = Self::own();
        let repo = Repo::new();
        files::build_with_kubo(&mut dags, &repo);
        directories::build_with_kubo(&mut dags, &repo);
        sharded::build_with_kubo(&mut dags, &repo);
        documents::build_with_kubo(&mut dags, &repo);
        golden::build_with_kubo(&mut dags, &repo);
        incomplete::build_with_kubo(&mut dags, &repo);
        dags
    }

    /// The DAGs, in the order in which they were built.
    #[must_use]
    pub fn list(&self) -> &[Dag] {
        &self.dags
    }

    /// All blocks, each once, in the order of their CIDs.
    #[must_use]
    pub fn blocks(&self) -> Vec<(Cid, Bytes)> {
        let blocks = self.blocks.iter();
        blocks.map(|(cid, data)| (*cid, data.clone())).collect()
    }

    /// The listed paths of all DAGs, `/ipfs/<root>/…`.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        let paths = self.dags.iter().flat_map(|dag| {
            let root = format!("/ipfs/{}", dag.root);
            dag.paths.iter().map(move |path| format!("{root}{path}"))
        });
        paths.collect()
    }

    /// A CAR of all blocks, with the first DAG's root.
    #[must_use]
    pub fn car(&self) -> Vec<u8> {
        let root = self.dags.first().map(|dag| dag.root);
        write(root, self.blocks.iter())
    }

    /// A CAR of one DAG.
    ///
    /// # Panics
    /// When a block is no dag-pb node though its CID says so.
    #[must_use]
    pub fn car_of(&self, dag: &Dag) -> Vec<u8> {
        write(Some(dag.root), self.blocks_of(dag).iter())
    }

    /// The CIDs of one DAG: its root, whether that block is stored or not, and its blocks.
    ///
    /// # Panics
    /// When a block is no dag-pb node though its CID says so.
    #[must_use]
    pub fn cids_of(&self, dag: &Dag) -> Vec<Cid> {
        let mut cids = vec![dag.root];
        cids.extend(self.blocks_of(dag).into_keys());
        cids
    }

    /// Bytes of all blocks of one DAG.
    ///
    /// # Panics
    /// When a block is no dag-pb node though its CID says so.
    #[must_use]
    pub fn size_of(&self, dag: &Dag) -> usize {
        self.blocks_of(dag).values().map(Bytes::len).sum()
    }

    /// The blocks to which dag-pb links lead from a root.
    fn blocks_of(&self, dag: &Dag) -> BTreeMap<Cid, Bytes> {
        let (mut next, mut found) = (vec![dag.root], BTreeMap::new());
        while let Some(cid) = next.pop() {
            let Some(data) = self.blocks.get(&cid) else {
                continue;
            };
            if found.insert(cid, data.clone()).is_none() && cid.codec() == cid::DAG_PB {
                let node = dag_pb::Node::decode(data).expect("a node");
                next.extend(node.links.iter().map(|link| link.cid));
            }
        }
        found
    }

    /// Adds a DAG whose blocks were or will be stored.
    ///
    /// # Panics
    /// When its shape has a root already, and it is another.
    fn add(&mut self, name: &str, root: Cid, paths: &[&str]) {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        if let Some(known) = self.dags.iter().find(|dag| dag.name == name) {
            assert_eq!(known.root, root, "{name} has another root");
        } else {
            let name = name.to_owned();
            self.dags.push(Dag { name, root, paths });
        }
    }

    /// Stores a block; this is where builders send theirs.
    fn keep(&mut self, block: Block) {
        self.put(block);
    }

    /// Stores a block.
    fn put(&mut self, block: Block) -> Cid {
        let (cid, data) = block.into_parts();
        self.blocks.insert(cid, data);
        cid
    }

    /// Stores a block with the SHA-256 of its bytes and any codec.
    fn put_as(&mut self, codec: u64, data: impl Into<Bytes>) -> Cid {
        let data = data.into();
        let cid = cid::of_sha256(cid::Version::V1, codec, &Sha256::of(&data));
        self.put(Block::verify(cid, data).expect("its own hash"))
    }
}

fn write<'a>(root: Option<Cid>, blocks: impl Iterator<Item = (&'a Cid, &'a Bytes)>) -> Vec<u8> {
    let roots: Vec<Cid> = root.into_iter().collect();
    let mut out = car::header(&roots);
    for (cid, data) in blocks {
        out.extend(car::block_prefix(cid, data.len()));
        out.extend_from_slice(data);
    }
    out
}

/// Lines of text with the numbers from `first`, cut to `length` bytes.
fn lines(first: usize, length: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(length + 16);
    let mut number = first;
    while text.len() < length {
        text.extend(format!("line {number}\n").bytes());
        number += 1;
    }
    text.truncate(length);
    text
}

/// Percent-encodes one segment of a path.
#[must_use]
pub fn escape(name: &[u8]) -> String {
    let escaped = name.iter().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
            char::from(*byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    });
    escaped.collect()
}
