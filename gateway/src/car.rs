//! CAR streams: first the blocks on the path, then the DAG below it as far as the scope says, depth
//! first.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use interplanar_core::car;
use interplanar_core::cid::{self, Cid};
use interplanar_core::unixfs::NodeType;

use crate::car_query::{CarQuery, Scope};
use crate::dag::{Dag, Node, PbNode, decode};
use crate::file::FileWalk;
use crate::hamt::{self, HamtEntry};
use crate::refusal::Refusal;
use crate::resolve::Resolved;
use crate::stop::Stop;

/// Root of a CAR that proves that a path doesn't exist: the empty identity CID.
const NO_ROOT: &str = "bafkqaaa";

/// The deepest DAG that is walked.
const MAX_DEPTH: usize = 4096;

/// The blocks that a CAR still has to send, beginning with the block at the end of the path.
#[derive(Debug)]
enum CarWalk {
    /// The block at the end of the path.
    Terminal(Cid),
    /// Links that are not followed yet, one list for each level.
    All(Vec<std::vec::IntoIter<Cid>>),
    File(Box<FileWalk>),
    Shards(Vec<std::vec::IntoIter<Cid>>),
    End,
}

/// The bytes of a CAR, produced step by step.
#[derive(Debug)]
pub struct CarBody {
    dag: Dag,
    query: CarQuery,
    root: Cid,
    ready: VecDeque<Bytes>,
    /// Blocks on the path that are not sent yet.
    path: VecDeque<Cid>,
    walk: CarWalk,
    /// Multihashes that were sent, unless the client wants duplicates.
    sent: HashSet<Vec<u8>>,
    /// Links that were followed, unless the client wants duplicates.
    followed: HashSet<Cid>,
}

impl CarBody {
    /// Creates the CAR that a query asks for, for a resolved path.
    pub(crate) fn new(dag: Dag, query: CarQuery, resolved: &Resolved) -> Self {
        let path = resolved.visited.clone();
        Self::with(
            dag,
            query,
            resolved.cid,
            path,
            CarWalk::Terminal(resolved.cid),
        )
    }

    /// Creates a CAR with the blocks that prove that a path doesn't exist.
    pub(crate) fn proof(dag: Dag, query: CarQuery, visited: Vec<Cid>) -> Result<Self, Refusal> {
        let root = cid::parse(NO_ROOT).map_err(|_| Refusal::malformed("CID"))?;
        Ok(Self::with(dag, query, root, visited, CarWalk::End))
    }

    fn with(dag: Dag, query: CarQuery, root: Cid, path: Vec<Cid>, walk: CarWalk) -> Self {
        Self {
            dag,
            query,
            root,
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
        // The data of an identity block is in its CID.
        if !known && cid::identity_data(cid).is_none() {
            self.ready
                .push_back(car::block_prefix(cid, data.len()).into());
            self.ready.push_back(data);
        }
    }

    /// Returns the path and query of the same blocks at another gateway.
    #[must_use]
    pub fn as_car(&self) -> String {
        format!("/ipfs/{}?format=car{}", self.root, self.query.scope_query())
    }

    /// Returns the next bytes.
    pub(crate) fn next(&mut self) -> Option<Result<Bytes, Stop>> {
        loop {
            match self.ready.pop_front() {
                Some(bytes) if bytes.is_empty() => continue,
                Some(bytes) => return Some(Ok(bytes)),
                None => {}
            }
            match self.step() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(stop) => {
                    if matches!(stop, Stop::Refused(_)) {
                        self.walk = CarWalk::End;
                        self.path.clear();
                    }
                    return Some(Err(stop));
                }
            }
        }
    }

    /// Walks to the next block. Returns `false` at the end. A [`Stop::Pending`] step changes
    /// nothing.
    fn step(&mut self) -> Result<bool, Stop> {
        if let Some(cid) = self.path.front().copied() {
            let data = self.dag.load(&cid)?;
            self.path.pop_front();
            self.send(&cid, data);
            return Ok(true);
        }
        match &mut self.walk {
            CarWalk::End => return Ok(false),
            CarWalk::Terminal(cid) => {
                let cid = *cid;
                let data = self.dag.load(&cid)?;
                self.walk = self.walk_below(cid, &data)?;
                self.send(&cid, data);
            }
            CarWalk::File(walk) => match walk.next() {
                Some(visit) => {
                    let visit = visit?;
                    self.send(&visit.cid, visit.data);
                }
                None => return Ok(false),
            },
            CarWalk::All(levels) => {
                let Some(cid) = next_link(levels) else {
                    return Ok(false);
                };
                if !self.query.duplicates && self.followed.contains(&cid) {
                    take_link(levels);
                    return Ok(true);
                }
                let data = self.dag.load(&cid)?;
                let links = decode(&cid, &data)?.links();
                take_link(levels);
                push_level(levels, links)?;
                if !self.query.duplicates {
                    self.followed.insert(cid);
                }
                self.send(&cid, data);
            }
            CarWalk::Shards(levels) => {
                let Some(cid) = next_link(levels) else {
                    return Ok(false);
                };
                let data = self.dag.load(&cid)?;
                let Node::Pb(node) = decode(&cid, &data)? else {
                    return Err(Refusal::malformed("directory shard").into());
                };
                let deeper = shards(&node)?;
                take_link(levels);
                push_level(levels, deeper)?;
                self.send(&cid, data);
            }
        }
        Ok(true)
    }

    /// Returns the walk that follows the block at the end of the path.
    fn walk_below(&self, cid: Cid, data: &Bytes) -> Result<CarWalk, Stop> {
        match self.query.scope {
            Scope::Block => Ok(CarWalk::End),
            Scope::All => Ok(CarWalk::All(vec![decode(&cid, data)?.links().into_iter()])),
            Scope::Entity => match decode(&cid, data)? {
                Node::Raw | Node::Document(_) => Ok(CarWalk::End),
                Node::Pb(node) => self.entity(cid, &node),
            },
        }
    }

    fn entity(&self, cid: Cid, node: &PbNode) -> Result<CarWalk, Stop> {
        let Some(unixfs) = &node.unixfs else {
            return Ok(CarWalk::End);
        };
        match unixfs.kind {
            NodeType::HamtShard => Ok(CarWalk::Shards(vec![shards(node)?.into_iter()])),
            NodeType::File => {
                let size = unixfs.filesize.unwrap_or(0);
                let range = match self.query.bytes {
                    None => Some(0..size),
                    Some(bytes) => bytes.resolve(size),
                };
                let Some(range) = range.filter(|range| !range.is_empty()) else {
                    return Ok(CarWalk::End);
                };
                let mut walk = FileWalk::new(self.dag.clone(), cid, range);
                if !self.query.duplicates {
                    walk = walk.without_repeats();
                }
                // The root was already sent.
                walk.next().transpose()?;
                Ok(CarWalk::File(Box::new(walk)))
            }
            NodeType::Directory | NodeType::Symlink | NodeType::Raw | NodeType::Metadata => {
                Ok(CarWalk::End)
            }
        }
    }
}

/// Returns the child shards of a shard.
fn shards(node: &PbNode) -> Result<Vec<Cid>, Refusal> {
    let entries = hamt::entries(node)?.into_iter();
    Ok(entries
        .filter_map(|entry| match entry {
            HamtEntry::Shard(cid) => Some(cid),
            HamtEntry::Named { .. } => None,
        })
        .collect())
}

/// Returns the next link to follow. It stays the next one until [`take_link`].
fn next_link(levels: &mut Vec<std::vec::IntoIter<Cid>>) -> Option<Cid> {
    loop {
        match levels.last()?.as_slice().first() {
            Some(cid) => return Some(*cid),
            None => levels.pop(),
        };
    }
}

fn take_link(levels: &mut [std::vec::IntoIter<Cid>]) {
    levels.last_mut().and_then(Iterator::next);
}

fn push_level(levels: &mut Vec<std::vec::IntoIter<Cid>>, links: Vec<Cid>) -> Result<(), Refusal> {
    if levels.len() >= MAX_DEPTH {
        return Err(Refusal::malformed("DAG: it is too deep"));
    }
    levels.push(links.into_iter());
    Ok(())
}
