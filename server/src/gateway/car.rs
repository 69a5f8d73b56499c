//! CAR streams: the blocks on the way to what a path names, then the DAG below it as far as the scope goes, depth first.

use std::collections::{HashSet, VecDeque};
use std::io;

use bytes::Bytes;
use interplanar_core::car;
use interplanar_core::cid::{self, Cid};
use interplanar_core::unixfs::Kind;

use super::car_query::{CarQuery, Scope};
use super::dag::{Dag, Node, PbNode, decode};
use super::file::{FileWalk, broken};
use super::hamt::{self, Entry};
use super::refusal::Refusal;
use super::resolve::Resolved;

/// The root of a CAR that proves that a path leads nowhere: the empty identity CID.
const NO_ROOT: &str = "bafkqaaa";

/// The deepest DAG that a walk follows.
const MAX_DEPTH: usize = 4096;

/// The blocks below a terminal block, in order.
enum Walk {
    /// The terminal block itself comes first.
    Terminal(Cid),
    /// Links not followed yet, one list for each level.
    All(Vec<std::vec::IntoIter<Cid>>),
    File(Box<FileWalk>),
    Shards(Vec<std::vec::IntoIter<Cid>>),
    End,
}

/// The bytes of a CAR.
pub(super) struct CarStream {
    dag: Dag,
    query: CarQuery,
    ready: VecDeque<Bytes>,
    /// Blocks on the path, not sent yet.
    path: VecDeque<Cid>,
    walk: Walk,
    /// Multihashes that were sent, unless duplicates are wanted.
    sent: HashSet<Vec<u8>>,
    /// Links that a walk of everything has followed, unless duplicates are wanted.
    followed: HashSet<Cid>,
}

impl CarStream {
    /// What a query asks for below a resolved path.
    pub(super) fn new(dag: Dag, query: CarQuery, resolved: &Resolved) -> Self {
        let path = resolved.visited.clone();
        Self::with(dag, query, resolved.cid, path, Walk::Terminal(resolved.cid))
    }

    /// The blocks that prove that a path leads nowhere.
    pub(super) fn proof(dag: Dag, query: CarQuery, visited: Vec<Cid>) -> Result<Self, Refusal> {
        let root = cid::parse(NO_ROOT).map_err(|_| Refusal::malformed("CID"))?;
        Ok(Self::with(dag, query, root, visited, Walk::End))
    }

    fn with(dag: Dag, query: CarQuery, root: Cid, path: Vec<Cid>, walk: Walk) -> Self {
        Self {
            dag,
            query,
            ready: VecDeque::from([Bytes::from(car::header(&[root]))]),
            path: path.into(),
            walk,
            sent: HashSet::new(),
            followed: HashSet::new(),
        }
    }

    /// Queues a block, unless it was sent before.
    fn send(&mut self, cid: &Cid, data: Bytes) {
        let known = !self.query.duplicates && !self.sent.insert(cid.hash().to_bytes());
        // Identity blocks are in their CIDs.
        if !known && cid::identity_data(cid).is_none() {
            self.ready
                .push_back(car::block_prefix(cid, data.len()).into());
            self.ready.push_back(data);
        }
    }

    /// Walks one block further; `false` at the end.
    fn step(&mut self) -> Result<bool, Refusal> {
        if let Some(cid) = self.path.pop_front() {
            let data = self.dag.load(&cid)?;
            self.send(&cid, data);
            return Ok(true);
        }
        match &mut self.walk {
            Walk::End => return Ok(false),
            Walk::Terminal(cid) => {
                let cid = *cid;
                let data = self.dag.load(&cid)?;
                self.walk = self.below(cid, &data)?;
                self.send(&cid, data);
            }
            Walk::File(walk) => match walk.next() {
                Some(visit) => {
                    let visit = visit?;
                    self.send(&visit.cid, visit.data);
                }
                None => return Ok(false),
            },
            Walk::All(levels) => {
                let Some(cid) = next_link(levels) else {
                    return Ok(false);
                };
                if self.query.duplicates || self.followed.insert(cid) {
                    let data = self.dag.load(&cid)?;
                    push_level(levels, decode(&cid, &data)?.links())?;
                    self.send(&cid, data);
                }
            }
            Walk::Shards(levels) => {
                let Some(cid) = next_link(levels) else {
                    return Ok(false);
                };
                let data = self.dag.load(&cid)?;
                match decode(&cid, &data)? {
                    Node::Pb(node) => push_level(levels, shards(&node)?)?,
                    Node::Raw | Node::Tree(_) => return Err(Refusal::malformed("directory shard")),
                }
                self.send(&cid, data);
            }
        }
        Ok(true)
    }

    /// What comes behind the terminal block.
    fn below(&self, cid: Cid, data: &Bytes) -> Result<Walk, Refusal> {
        match self.query.scope {
            Scope::Block => Ok(Walk::End),
            Scope::All => Ok(Walk::All(vec![decode(&cid, data)?.links().into_iter()])),
            Scope::Entity => match decode(&cid, data)? {
                Node::Raw | Node::Tree(_) => Ok(Walk::End),
                Node::Pb(node) => self.entity(cid, &node),
            },
        }
    }

    fn entity(&self, cid: Cid, node: &PbNode) -> Result<Walk, Refusal> {
        let Some(unixfs) = &node.unixfs else {
            return Ok(Walk::End);
        };
        match unixfs.kind {
            Kind::HamtShard => Ok(Walk::Shards(vec![shards(node)?.into_iter()])),
            Kind::File => {
                let size = unixfs.filesize.unwrap_or(0);
                let range = match self.query.bytes {
                    None => Some(0..size),
                    Some(bytes) => bytes.resolve(size),
                };
                let Some(range) = range.filter(|range| !range.is_empty()) else {
                    return Ok(Walk::End);
                };
                let mut walk = FileWalk::new(self.dag.clone(), cid, range);
                if !self.query.duplicates {
                    walk = walk.without_repeats();
                }
                // The root is sent as the terminal block.
                walk.next().transpose()?;
                Ok(Walk::File(Box::new(walk)))
            }
            Kind::Directory | Kind::Symlink | Kind::Raw | Kind::Metadata => Ok(Walk::End),
        }
    }
}

/// The deeper shards of a shard.
fn shards(node: &PbNode) -> Result<Vec<Cid>, Refusal> {
    let entries = hamt::entries(node)?.into_iter();
    Ok(entries
        .filter_map(|entry| match entry {
            Entry::Shard(cid) => Some(cid),
            Entry::Named { .. } => None,
        })
        .collect())
}

fn next_link(levels: &mut Vec<std::vec::IntoIter<Cid>>) -> Option<Cid> {
    loop {
        match levels.last_mut()?.next() {
            Some(cid) => return Some(cid),
            None => levels.pop(),
        };
    }
}

fn push_level(levels: &mut Vec<std::vec::IntoIter<Cid>>, links: Vec<Cid>) -> Result<(), Refusal> {
    if levels.len() >= MAX_DEPTH {
        return Err(Refusal::malformed("DAG: it is too deep"));
    }
    levels.push(links.into_iter());
    Ok(())
}

impl Iterator for CarStream {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(Ok(bytes));
            }
            match self.step() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(refusal) => {
                    self.walk = Walk::End;
                    self.path.clear();
                    return Some(Err(broken(refusal)));
                }
            }
        }
    }
}
