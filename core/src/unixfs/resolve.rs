//! Resolves a path: from a root to the CID at the end of the path, through plain and sharded
//! directories.
//!
//! ```
//! use interplanar_core::block::Block;
//! use interplanar_core::cid::Version;
//! use interplanar_core::unixfs::{Budget, DirectoryBuilder, Resolver};
//! let (file, mut blocks) = (Block::raw("hello".into()), vec![]);
//! let mut builder = DirectoryBuilder::new(Version::V1);
//! builder.add("a".into(), *file.cid(), 5);
//! let directory = builder.finish(&mut |block| blocks.push(block)).unwrap();
//!
//! let mut resolver = Resolver::new(directory.cid, vec!["a".into()], Budget::default());
//! assert_eq!(resolver.wants(), Some(directory.cid));
//! resolver.push(blocks.remove(0)).unwrap();
//! assert_eq!(resolver.resolved().unwrap().cid, *file.cid());
//! ```

use super::{Budget, Content, UnixFsError, hamt};
use crate::block::Block;
use crate::cid::{self, Cid};
use crate::dag_pb::Link;
use crate::murmur3;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// The end of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// CID at the end of the path.
    pub cid: Cid,
    /// Roots of the directories on the path, then `cid` itself: one more than the path has parts.
    pub roots: Vec<Cid>,
}

/// Resolves one path. Doesn't follow symlinks.
#[derive(Debug, Clone)]
pub struct Resolver {
    path: Vec<String>,
    /// Index of the path's part that is being looked up.
    index: usize,
    /// The wanted block.
    at: Cid,
    /// Level of shards in the current directory.
    level: u32,
    roots: Vec<Cid>,
    budget: Budget,
}

impl Resolver {
    /// Starts at a root.
    #[must_use]
    pub fn new(root: Cid, path: Vec<String>, budget: Budget) -> Self {
        Self {
            path,
            index: 0,
            at: root,
            level: 0,
            roots: Vec::from([root]),
            budget,
        }
    }

    /// Returns the block that is needed next. Returns `None` if the path is resolved.
    #[must_use]
    pub fn wants(&self) -> Option<Cid> {
        (self.index < self.path.len()).then_some(self.at)
    }

    /// Returns the end of the path, if it is resolved.
    #[must_use]
    pub fn resolved(&self) -> Option<Resolved> {
        self.wants().is_none().then(|| Resolved {
            cid: self.at,
            roots: self.roots.clone(),
        })
    }

    /// Adds the wanted block.
    ///
    /// # Errors
    /// [`UnixFsError::Unexpected`] if the block is not wanted; [`UnixFsError::NotFound`] if the
    /// path has no such entry; other errors if the DAG is faulty.
    pub fn push(&mut self, block: Block) -> Result<(), UnixFsError> {
        if self.wants() != Some(*block.cid()) {
            return Err(UnixFsError::Unexpected);
        }
        self.advance(Content::decode(&block)?)?;
        // Identity CIDs contain their data.
        while let Some(wanted) = self.wants()
            && let Some(data) = cid::identity_data(&wanted)
        {
            let content = Content::decode_as(wanted.codec(), &Bytes::copy_from_slice(data))?;
            self.advance(content)?;
        }
        Ok(())
    }

    fn advance(&mut self, content: Content) -> Result<(), UnixFsError> {
        self.budget.spend_blocks(1)?;
        let not_found = UnixFsError::NotFound { index: self.index };
        let name = self
            .path
            .get(self.index)
            .ok_or(UnixFsError::Unexpected)?
            .as_bytes();
        match content {
            Content::Directory(links) => {
                let link = links
                    .into_iter()
                    .find(|link| link.name == name)
                    .ok_or(not_found)?;
                self.enter(link.cid);
            }
            Content::Shard { fanout, links } => {
                match find_in_shard(fanout, &links, name, self.level)? {
                    Some(ShardMatch::Entry(cid)) => self.enter(cid),
                    Some(ShardMatch::Subshard(cid)) => {
                        self.at = cid;
                        self.level = self.level.saturating_add(1);
                    }
                    None => return Err(not_found),
                }
            }
            other => return Err(UnixFsError::NotADirectory { kind: other.kind() }),
        }
        Ok(())
    }

    fn enter(&mut self, cid: Cid) {
        self.at = cid;
        self.level = 0;
        self.index = self.index.saturating_add(1);
        self.roots.push(cid);
    }
}

enum ShardMatch {
    Entry(Cid),
    Subshard(Cid),
}

fn find_in_shard(
    fanout: u32,
    links: &[Link],
    name: &[u8],
    level: u32,
) -> Result<Option<ShardMatch>, UnixFsError> {
    let slot = hamt::slot_index(murmur3::hash(name), fanout, level).ok_or(UnixFsError::Shard)?;
    for link in links {
        match hamt::split(fanout, link)? {
            (at, None) if at == slot => return Ok(Some(ShardMatch::Subshard(link.cid))),
            (at, Some(entry)) if at == slot && entry == name => {
                return Ok(Some(ShardMatch::Entry(link.cid)));
            }
            _ => {}
        }
    }
    Ok(None)
}
