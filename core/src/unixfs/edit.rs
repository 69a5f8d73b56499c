//! A directory that changes entry by entry: only the nodes on the way to what changed are read and written.
//!
//! Its blocks are at every moment those that [`DirectoryBuilder`] (and so `ipfs add`) makes of the same entries: plain up to
//! [`MAX_PLAIN_DIRECTORY`], sharded above; a shard that one entry is left of gives it to the shard above, as boxo's hamt does.
//!
//! Restrictions: shards of 256 places, Kubo's. Changes are held in memory until [`Directory::finish`], so a batch costs each node once.
//!
//! ```
//! use interplanar_core::block::Block;
//! use interplanar_core::cid::Version;
//! use interplanar_core::unixfs::Directory;
//! let (mut blocks, file) = (vec![], Block::raw("hello".into()));
//! let mut directory = Directory::empty(Version::V1);
//! directory.put("a".into(), *file.cid(), 5, &mut |_| None)?;
//! let built = directory.finish(&mut |_| None, &mut |block| blocks.push(block))?;
//! assert_eq!(blocks.last().map(Block::cid), Some(&built.cid));
//! # Ok::<(), interplanar_core::unixfs::DirectoryError>(())
//! ```

use super::directory::{FANOUT, estimate, shard};
use super::{Built, Content, DirectoryBuilder, MAX_PLAIN_DIRECTORY, UnixFsError, hamt};
use crate::block::Block;
use crate::cid::{Cid, Version};
use crate::dag_pb::Link;
use crate::murmur3;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;

/// Levels of shards: the hash has 64 bits, each level takes eight.
const MAX_LEVEL: u32 = 8;

/// Why a directory can't be read or changed; it is as it was.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// A node that the look-up doesn't have.
    #[error("block {cid} of the directory is missing")]
    Missing {
        /// Which one.
        cid: Cid,
    },
    /// A node is malformed, or no directory.
    #[error(transparent)]
    UnixFs(#[from] UnixFsError),
}

/// A directory and what was changed in it since [`Self::finish`].
#[derive(Debug, Clone)]
pub struct Directory {
    root: Root,
    version: Version,
}

#[derive(Debug, Clone)]
enum Root {
    Plain(DirectoryBuilder),
    Sharded {
        shard: Shard,
        /// An entry went, or one grew shorter: it may be plain now.
        shrunk: bool,
    },
}

#[derive(Debug, Clone, Default)]
struct Shard {
    slots: BTreeMap<u32, Slot>,
}

#[derive(Debug, Clone)]
enum Slot {
    Entry(Link),
    /// A shard that nothing changed in: its CID and Tsize.
    Stored(Cid, u64),
    Changed(Box<Shard>),
}

impl Directory {
    /// One without entries.
    #[must_use]
    pub fn empty(version: Version) -> Self {
        Self {
            root: Root::Plain(DirectoryBuilder::new(version)),
            version,
        }
    }

    /// One that is there.
    ///
    /// # Errors
    /// [`DirectoryError`] where its root is missing, or is no directory.
    pub fn open(
        cid: &Cid,
        blocks: &mut impl FnMut(&Cid) -> Option<Block>,
    ) -> Result<Self, DirectoryError> {
        let version = cid.version();
        let root = match content(cid, blocks)? {
            Content::Directory(links) => {
                let mut plain = DirectoryBuilder::new(version);
                for link in links {
                    plain.add(link.name, link.cid, link.tsize);
                }
                Root::Plain(plain)
            }
            content => Root::Sharded {
                shard: Shard::of(content)?,
                shrunk: false,
            },
        };
        Ok(Self { root, version })
    }

    /// The CID and the Tsize of an entry.
    ///
    /// # Errors
    /// [`DirectoryError`] where a node on its way can't be read.
    pub fn get(
        &self,
        name: &[u8],
        blocks: &mut impl FnMut(&Cid) -> Option<Block>,
    ) -> Result<Option<(Cid, u64)>, DirectoryError> {
        match &self.root {
            Root::Plain(plain) => Ok(plain.entries.get(name).copied()),
            Root::Sharded { shard, .. } => shard.get(name, blocks),
        }
    }

    /// Adds an entry, or replaces the one of its name, which it gives.
    ///
    /// # Errors
    /// [`DirectoryError`] where a node on its way can't be read; [`UnixFsError::Shard`] for more names of one hash than shards can tell apart.
    pub fn put(
        &mut self,
        name: Bytes,
        cid: Cid,
        tsize: u64,
        blocks: &mut impl FnMut(&Cid) -> Option<Block>,
    ) -> Result<Option<(Cid, u64)>, DirectoryError> {
        match &mut self.root {
            Root::Plain(plain) => Ok(plain.entries.insert(name, (cid, tsize))),
            Root::Sharded { shard, shrunk } => {
                let hash = murmur3::hash(&name);
                shard.load(hash, 0, blocks)?;
                let old = shard.put(hash, 0, Link { cid, name, tsize })?;
                *shrunk |= old.is_some_and(|(old, _)| old.encoded_len() > cid.encoded_len());
                Ok(old)
            }
        }
    }

    /// Removes an entry and gives it, if it was there.
    ///
    /// # Errors
    /// [`DirectoryError`] where a node on its way can't be read.
    pub fn remove(
        &mut self,
        name: &[u8],
        blocks: &mut impl FnMut(&Cid) -> Option<Block>,
    ) -> Result<Option<(Cid, u64)>, DirectoryError> {
        match &mut self.root {
            Root::Plain(plain) => Ok(plain.entries.remove(name)),
            Root::Sharded { shard, shrunk } => {
                let Some(old) = shard.get(name, blocks)? else {
                    return Ok(None);
                };
                let hash = murmur3::hash(name);
                shard.load(hash, 0, blocks)?;
                shard.remove(hash, 0);
                *shrunk = true;
                Ok(Some(old))
            }
        }
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match &self.root {
            Root::Plain(plain) => plain.entries.is_empty(),
            Root::Sharded { shard, .. } => shard.slots.is_empty(),
        }
    }

    /// Gives the nodes that are new to `sink`, the root at last (which it always gives), and forgets what was loaded.
    ///
    /// # Errors
    /// [`DirectoryError`] where a directory that may be plain again can't be read.
    pub fn finish(
        &mut self,
        blocks: &mut impl FnMut(&Cid) -> Option<Block>,
        sink: &mut impl FnMut(Block),
    ) -> Result<Built, DirectoryError> {
        if let Root::Sharded { shard, shrunk } = &mut self.root {
            let plain = if *shrunk { shard.small(blocks)? } else { None };
            let Some(links) = plain else {
                *shrunk = false;
                return Ok(shard.finish(self.version, sink)?);
            };
            let mut plain = DirectoryBuilder::new(self.version);
            for link in links {
                plain.add(link.name, link.cid, link.tsize);
            }
            self.root = Root::Plain(plain);
        }
        let Root::Plain(plain) = &self.root else {
            return Err(UnixFsError::Unexpected.into());
        };
        let mut root = None;
        let built = plain.clone().finish(&mut |block| {
            root = Some(block.clone());
            sink(block);
        })?;
        // It may have become too large to be plain.
        if let Some(content @ Content::Shard { .. }) =
            root.map(|root| Content::decode(&root)).transpose()?
        {
            self.root = Root::Sharded {
                shard: Shard::of(content)?,
                shrunk: false,
            };
        }
        Ok(built)
    }
}

impl Shard {
    fn of(content: Content) -> Result<Self, UnixFsError> {
        let links = match content {
            Content::Shard {
                fanout: FANOUT,
                links,
            } => links,
            Content::Shard { .. } => return Err(UnixFsError::Shard),
            other => return Err(UnixFsError::NotADirectory { kind: other.kind() }),
        };
        let mut slots = BTreeMap::new();
        for link in links {
            let (place, name) = hamt::split(FANOUT, &link)?;
            let slot = match name {
                Some(name) => Slot::Entry(Link { name, ..link }),
                None => Slot::Stored(link.cid, link.tsize),
            };
            if slots.insert(place, slot).is_some() {
                return Err(UnixFsError::Shard);
            }
        }
        Ok(Self { slots })
    }

    fn get(
        &self,
        name: &[u8],
        blocks: &mut impl FnMut(&Cid) -> Option<Block>,
    ) -> Result<Option<(Cid, u64)>, DirectoryError> {
        let hash = murmur3::hash(name);
        let (mut here, mut read) = (self, None::<Box<Self>>);
        for level in 0..MAX_LEVEL {
            let stored = match here.slots.get(&place(hash, level)?) {
                None => return Ok(None),
                Some(Slot::Entry(link)) => {
                    return Ok((link.name == name).then_some((link.cid, link.tsize)));
                }
                Some(Slot::Changed(below)) => {
                    here = below;
                    continue;
                }
                Some(Slot::Stored(cid, _)) => *cid,
            };
            here = read.insert(Box::new(Self::of(content(&stored, blocks)?)?));
        }
        Err(UnixFsError::Shard.into())
    }

    /// Reads the shards on the way of a hash, so that what follows can't fail for a missing block.
    fn load(
        &mut self,
        hash: u64,
        level: u32,
        blocks: &mut impl FnMut(&Cid) -> Option<Block>,
    ) -> Result<(), DirectoryError> {
        let Some(slot) = self.slots.get_mut(&place(hash, level)?) else {
            return Ok(());
        };
        let below = level.saturating_add(1);
        match slot {
            Slot::Entry(_) => Ok(()),
            // Recursion ends where the hash does.
            Slot::Changed(shard) => shard.load(hash, below, blocks),
            Slot::Stored(cid, _) => {
                let mut shard = Self::of(content(cid, blocks)?)?;
                shard.load(hash, below, blocks)?;
                *slot = Slot::Changed(Box::new(shard));
                Ok(())
            }
        }
    }

    /// Puts an entry whose way is loaded.
    fn put(
        &mut self,
        hash: u64,
        level: u32,
        link: Link,
    ) -> Result<Option<(Cid, u64)>, UnixFsError> {
        let place = place(hash, level)?;
        let below = level.saturating_add(1);
        match self.slots.get_mut(&place) {
            Some(Slot::Changed(shard)) => return shard.put(hash, below, link),
            Some(Slot::Stored(..)) => return Err(UnixFsError::Unexpected),
            Some(Slot::Entry(old)) if old.name != link.name => {
                let mut shard = Self::default();
                shard.put(murmur3::hash(&old.name), below, old.clone())?;
                shard.put(hash, below, link)?;
                self.slots.insert(place, Slot::Changed(Box::new(shard)));
                return Ok(None);
            }
            Some(Slot::Entry(_)) | None => {}
        }
        match self.slots.insert(place, Slot::Entry(link)) {
            Some(Slot::Entry(old)) => Ok(Some((old.cid, old.tsize))),
            _ => Ok(None),
        }
    }

    /// Removes an entry that is there and whose way is loaded.
    fn remove(&mut self, hash: u64, level: u32) {
        let Ok(place) = place(hash, level) else {
            return;
        };
        let mut left = None;
        if let Some(Slot::Changed(shard)) = self.slots.get_mut(&place) {
            shard.remove(hash, level.saturating_add(1));
            let mut slots = shard.slots.values();
            match (slots.next(), slots.next()) {
                (None, _) => {}
                (Some(Slot::Entry(last)), None) => left = Some(last.clone()),
                _ => return,
            }
        }
        match left {
            Some(link) => self.slots.insert(place, Slot::Entry(link)),
            None => self.slots.remove(&place),
        };
    }

    /// All entries, if they are few enough for a plain directory; reads no more than it takes to know.
    fn small(
        &self,
        blocks: &mut impl FnMut(&Cid) -> Option<Block>,
    ) -> Result<Option<Vec<Link>>, DirectoryError> {
        let (mut links, mut size) = (Vec::new(), 0_usize);
        let mut open = Vec::from([(self.clone(), 0_u32)]);
        while let Some((shard, level)) = open.pop() {
            if level >= MAX_LEVEL {
                return Err(UnixFsError::Shard.into());
            }
            for slot in shard.slots.into_values() {
                let below = match slot {
                    Slot::Entry(link) => {
                        size = size.saturating_add(estimate(&link.name, &link.cid));
                        if size > MAX_PLAIN_DIRECTORY {
                            return Ok(None);
                        }
                        links.push(link);
                        continue;
                    }
                    Slot::Stored(cid, _) => Self::of(content(&cid, blocks)?)?,
                    Slot::Changed(shard) => *shard,
                };
                open.push((below, level.saturating_add(1)));
            }
        }
        Ok(Some(links))
    }

    fn finish(
        &mut self,
        version: Version,
        sink: &mut impl FnMut(Block),
    ) -> Result<Built, UnixFsError> {
        let mut links = Vec::with_capacity(self.slots.len());
        for (place, slot) in &mut self.slots {
            if let Slot::Changed(below) = slot {
                let built = below.finish(version, sink)?;
                *slot = Slot::Stored(built.cid, built.dag_size);
            }
            let mut name = hamt::place_text(FANOUT, *place).into_bytes();
            links.push(match slot {
                Slot::Entry(link) => {
                    name.extend_from_slice(&link.name);
                    Link {
                        name: name.into(),
                        ..link.clone()
                    }
                }
                Slot::Stored(cid, tsize) => Link {
                    cid: *cid,
                    name: name.into(),
                    tsize: *tsize,
                },
                Slot::Changed(_) => return Err(UnixFsError::Unexpected),
            });
        }
        shard(links, version, sink)
    }
}

fn place(hash: u64, level: u32) -> Result<u32, UnixFsError> {
    hamt::place(hash, FANOUT, level).ok_or(UnixFsError::Shard)
}

fn content(
    cid: &Cid,
    blocks: &mut impl FnMut(&Cid) -> Option<Block>,
) -> Result<Content, DirectoryError> {
    let block = blocks(cid).filter(|block| block.cid() == cid);
    let block = block.ok_or(DirectoryError::Missing { cid: *cid })?;
    Ok(Content::decode(&block)?)
}

#[cfg(test)]
mod tests;
