//! CAR streams: the blocks on the way to what a path names, then the DAG below it as far as the scope goes, depth first.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use interplanar_core::car;
use interplanar_core::cid::{self, Cid};
use interplanar_core::unixfs::Kind;

use crate::car_query::{CarQuery, Scope};
use crate::dag::{Dag, Node, PbNode, decode};
use crate::file::FileWalk;
use crate::hamt::{self, Entry};
use crate::refusal::Refusal;
use crate::resolve::Resolved;
use crate::stop::Stop;

/// The root of a CAR that proves that a path leads nowhere: the empty identity CID.
const NO_ROOT: &str = "bafkqaaa";

/// The deepest DAG that a walk follows.
const MAX_DEPTH: usize = 4096;

/// The blocks below a terminal block, in order.
#[derive(Debug)]
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
#[derive(Debug)]
pub struct CarBody {
    dag: Dag,
    query: CarQuery,
    root: Cid,
    ready: VecDeque<Bytes>,
    /// Blocks on the path, not sent yet.
    path: VecDeque<Cid>,
    walk: Walk,
    /// Multihashes that were sent, unless duplicates are wanted.
    sent: HashSet<Vec<u8>>,
    /// Links that a walk of everything has followed, unless duplicates are wanted.
    followed: HashSet<Cid>,
}

impl CarBody {
    /// What a query asks for below a resolved path.
    pub(crate) fn new(dag: Dag, query: CarQuery, resolved: &Resolved) -> Self {
        let path = resolved.visited.clone();
        Self::with(dag, query, resolved.cid, path, Walk::Terminal(resolved.cid))
    }

    /// The blocks that prove that a path leads nowhere.
    pub(crate) fn proof(dag: Dag, query: CarQuery, visited: Vec<Cid>) -> Result<Self, Refusal> {
        let root = cid::parse(NO_ROOT).map_err(|_| Refusal::malformed("CID"))?;
        Ok(Self::with(dag, query, root, visited, Walk::End))
    }

    fn with(dag: Dag, query: CarQuery, root: Cid, path: Vec<Cid>, walk: Walk) -> Self {
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
        // Identity blocks are in their CIDs.
        if !known && cid::identity_data(cid).is_none() {
            self.ready
                .push_back(car::block_prefix(cid, data.len()).into());
            self.ready.push_back(data);
        }
    }

    /// The path and query by which another gateway gives the same blocks.
    #[must_use]
    pub fn as_car(&self) -> String {
        format!("/ipfs/{}?format=car{}", self.root, self.query.scope_query())
    }

    /// The next bytes.
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
                        self.walk = Walk::End;
                        self.path.clear();
                    }
                    return Some(Err(stop));
                }
            }
        }
    }

    /// Walks one block further; `false` at the end. A step that is [`Stop::Pending`] changes nothing.
    fn step(&mut self) -> Result<bool, Stop> {
        if let Some(cid) = self.path.front().copied() {
            let data = self.dag.load(&cid)?;
            self.path.pop_front();
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
            Walk::Shards(levels) => {
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

    /// What comes behind the terminal block.
    fn below(&self, cid: Cid, data: &Bytes) -> Result<Walk, Stop> {
        match self.query.scope {
            Scope::Block => Ok(Walk::End),
            Scope::All => Ok(Walk::All(vec![decode(&cid, data)?.links().into_iter()])),
            Scope::Entity => match decode(&cid, data)? {
                Node::Raw | Node::Tree(_) => Ok(Walk::End),
                Node::Pb(node) => self.entity(cid, &node),
            },
        }
    }

    fn entity(&self, cid: Cid, node: &PbNode) -> Result<Walk, Stop> {
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

/// The next link to follow, which stays the next one until [`take_link`].
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
