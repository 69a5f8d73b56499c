//! A directory that changes entry by entry. Only the nodes on the path to a changed entry are read
//! and written.
//!
//! [`Directory::finish`] makes the same blocks as [`DirectoryBuilder`] (and so `ipfs add`) makes of
//! the same entries. A directory is plain up to [`MAX_PLAIN_DIRECTORY`] and sharded above it. If a
//! shard has a single entry left, the entry moves to the shard above, as in boxo's hamt.
//!
//! Restrictions: shards have 256 slots, as in Kubo. Changes stay in memory until
//! [`Directory::finish`], so a batch of changes writes each node once.
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

/// Levels of shards: the hash has 64 bits, and each level uses eight.
const MAX_LEVEL: u32 = 8;

/// Why a directory can't be read or changed. The directory is unchanged.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// The look-up doesn't have a node.
    #[error("block {cid} of the directory is missing")]
    Missing {
        /// CID of the node.
        cid: Cid,
    },
    /// A node is malformed, or is not a directory.
    #[error(transparent)]
    UnixFs(#[from] UnixFsError),
}

/// A directory and its changes since the last [`Self::finish`].
#[derive(Debug, Clone)]
pub struct Directory {
    root: DirectoryForm,
    version: Version,
}

#[derive(Debug, Clone)]
enum DirectoryForm {
    Plain(DirectoryBuilder),
    Sharded {
        shard: Shard,
        /// An entry was removed or became shorter, so the directory may have to become plain.
        shrunk: bool,
    },
}

#[derive(Debug, Clone, Default)]
struct Shard {
    slots: BTreeMap<u32, ShardSlot>,
}

#[derive(Debug, Clone)]
enum ShardSlot {
    Entry(Link),
    /// A shard without changes: its CID and Tsize.
    Stored(Cid, u64),
    Changed(Box<Shard>),
}

impl Directory {
    /// Creates an empty directory.
    #[must_use]
    pub fn empty(version: Version) -> Self {
        Self {
            root: DirectoryForm::Plain(DirectoryBuilder::new(version)),
            version,
        }
    }

    /// Opens an existing directory. `blocks` looks up its nodes.
    ///
    /// # Errors
    /// [`DirectoryError`] if the root is missing or is not a directory.
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
                DirectoryForm::Plain(plain)
            }
            content => DirectoryForm::Sharded {
                shard: Shard::of(content)?,
                shrunk: false,
            },
        };
        Ok(Self { root, version })
    }

    /// Returns the CID and the Tsize of an entry.
    ///
    /// # Errors
    /// [`DirectoryError`] if a node on the path to the entry can't be read.
    pub fn get(
        &self,
        name: &[u8],
        blocks: &mut impl FnMut(&Cid) -> Option<Block>,
    ) -> Result<Option<(Cid, u64)>, DirectoryError> {
        match &self.root {
            DirectoryForm::Plain(plain) => Ok(plain.entries.get(name).copied()),
            DirectoryForm::Sharded { shard, .. } => shard.get(name, blocks),
        }
    }

    /// Adds an entry. Replaces and returns the entry with the same name.
    ///
    /// # Errors
    /// [`DirectoryError`] if a node on the path to the entry can't be read; [`UnixFsError::Shard`]
    /// if more names have the same hash than shards can tell apart.
    pub fn put(
        &mut self,
        name: Bytes,
        cid: Cid,
        tsize: u64,
        blocks: &mut impl FnMut(&Cid) -> Option<Block>,
    ) -> Result<Option<(Cid, u64)>, DirectoryError> {
        match &mut self.root {
            DirectoryForm::Plain(plain) => Ok(plain.entries.insert(name, (cid, tsize))),
            DirectoryForm::Sharded { shard, shrunk } => {
                let hash = murmur3::hash(&name);
                shard.load(hash, 0, blocks)?;
                let old = shard.put(hash, 0, Link { cid, name, tsize })?;
                *shrunk |= old.is_some_and(|(old, _)| old.encoded_len() > cid.encoded_len());
                Ok(old)
            }
        }
    }

    /// Removes an entry. Returns it if it existed.
    ///
    /// # Errors
    /// [`DirectoryError`] if a node on the path to the entry can't be read.
    pub fn remove(
        &mut self,
        name: &[u8],
        blocks: &mut impl FnMut(&Cid) -> Option<Block>,
    ) -> Result<Option<(Cid, u64)>, DirectoryError> {
        match &mut self.root {
            DirectoryForm::Plain(plain) => Ok(plain.entries.remove(name)),
            DirectoryForm::Sharded { shard, shrunk } => {
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

    /// Returns whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match &self.root {
            DirectoryForm::Plain(plain) => plain.entries.is_empty(),
            DirectoryForm::Sharded { shard, .. } => shard.slots.is_empty(),
        }
    }

    /// Sends the changed nodes to `sink`, and then always the root. Drops the loaded nodes from
    /// memory.
    ///
    /// # Errors
    /// [`DirectoryError`] if the directory may have to become plain, and its nodes can't be read.
    pub fn finish(
        &mut self,
        blocks: &mut impl FnMut(&Cid) -> Option<Block>,
        sink: &mut impl FnMut(Block),
    ) -> Result<Built, DirectoryError> {
        if let DirectoryForm::Sharded { shard, shrunk } = &mut self.root {
            let plain = if *shrunk {
                shard.entries_if_plain(blocks)?
            } else {
                None
            };
            let Some(links) = plain else {
                *shrunk = false;
                return Ok(shard.finish(self.version, sink)?);
            };
            let mut plain = DirectoryBuilder::new(self.version);
            for link in links {
                plain.add(link.name, link.cid, link.tsize);
            }
            self.root = DirectoryForm::Plain(plain);
        }
        let DirectoryForm::Plain(plain) = &self.root else {
            return Err(UnixFsError::Unexpected.into());
        };
        let mut root = None;
        let built = plain.clone().finish(&mut |block| {
            root = Some(block.clone());
            sink(block);
        })?;
        // The directory may have become too large to be plain.
        if let Some(content @ Content::Shard { .. }) =
            root.map(|root| Content::decode(&root)).transpose()?
        {
            self.root = DirectoryForm::Sharded {
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
            let (index, name) = hamt::split(FANOUT, &link)?;
            let slot = match name {
                Some(name) => ShardSlot::Entry(Link { name, ..link }),
                None => ShardSlot::Stored(link.cid, link.tsize),
            };
            if slots.insert(index, slot).is_some() {
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
        let (mut current, mut read) = (self, None::<Box<Self>>);
        for level in 0..MAX_LEVEL {
            let stored = match current.slots.get(&slot_index(hash, level)?) {
                None => return Ok(None),
                Some(ShardSlot::Entry(link)) => {
                    return Ok((link.name == name).then_some((link.cid, link.tsize)));
                }
                Some(ShardSlot::Changed(below)) => {
                    current = below;
                    continue;
                }
                Some(ShardSlot::Stored(cid, _)) => *cid,
            };
            current = read.insert(Box::new(Self::of(content(&stored, blocks)?)?));
        }
        Err(UnixFsError::Shard.into())
    }

    /// Reads the shards on the path of a hash, so that the following change can't fail because of a
    /// missing block.
    fn load(
        &mut self,
        hash: u64,
        level: u32,
        blocks: &mut impl FnMut(&Cid) -> Option<Block>,
    ) -> Result<(), DirectoryError> {
        let Some(slot) = self.slots.get_mut(&slot_index(hash, level)?) else {
            return Ok(());
        };
        let below = level.saturating_add(1);
        match slot {
            ShardSlot::Entry(_) => Ok(()),
            // The recursion ends with the bits of the hash.
            ShardSlot::Changed(shard) => shard.load(hash, below, blocks),
            ShardSlot::Stored(cid, _) => {
                let mut shard = Self::of(content(cid, blocks)?)?;
                shard.load(hash, below, blocks)?;
                *slot = ShardSlot::Changed(Box::new(shard));
                Ok(())
            }
        }
    }

    /// Adds an entry whose path was loaded.
    fn put(
        &mut self,
        hash: u64,
        level: u32,
        link: Link,
    ) -> Result<Option<(Cid, u64)>, UnixFsError> {
        let index = slot_index(hash, level)?;
        let below = level.saturating_add(1);
        match self.slots.get_mut(&index) {
            Some(ShardSlot::Changed(shard)) => return shard.put(hash, below, link),
            Some(ShardSlot::Stored(..)) => return Err(UnixFsError::Unexpected),
            Some(ShardSlot::Entry(old)) if old.name != link.name => {
                let mut shard = Self::default();
                shard.put(murmur3::hash(&old.name), below, old.clone())?;
                shard.put(hash, below, link)?;
                self.slots
                    .insert(index, ShardSlot::Changed(Box::new(shard)));
                return Ok(None);
            }
            Some(ShardSlot::Entry(_)) | None => {}
        }
        match self.slots.insert(index, ShardSlot::Entry(link)) {
            Some(ShardSlot::Entry(old)) => Ok(Some((old.cid, old.tsize))),
            _ => Ok(None),
        }
    }

    /// Removes an existing entry whose path was loaded.
    fn remove(&mut self, hash: u64, level: u32) {
        let Ok(index) = slot_index(hash, level) else {
            return;
        };
        let mut left = None;
        if let Some(ShardSlot::Changed(shard)) = self.slots.get_mut(&index) {
            shard.remove(hash, level.saturating_add(1));
            let mut slots = shard.slots.values();
            match (slots.next(), slots.next()) {
                (None, _) => {}
                (Some(ShardSlot::Entry(last)), None) => left = Some(last.clone()),
                _ => return,
            }
        }
        match left {
            Some(link) => self.slots.insert(index, ShardSlot::Entry(link)),
            None => self.slots.remove(&index),
        };
    }

    /// Returns all entries if they fit in a plain directory. Stops reading as soon as they don't.
    fn entries_if_plain(
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
                    ShardSlot::Entry(link) => {
                        size = size.saturating_add(estimate(&link.name, &link.cid));
                        if size > MAX_PLAIN_DIRECTORY {
                            return Ok(None);
                        }
                        links.push(link);
                        continue;
                    }
                    ShardSlot::Stored(cid, _) => Self::of(content(&cid, blocks)?)?,
                    ShardSlot::Changed(shard) => *shard,
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
        for (index, slot) in &mut self.slots {
            if let ShardSlot::Changed(below) = slot {
                let built = below.finish(version, sink)?;
                *slot = ShardSlot::Stored(built.cid, built.dag_size);
            }
            let mut name = hamt::slot_name(FANOUT, *index).into_bytes();
            links.push(match slot {
                ShardSlot::Entry(link) => {
                    name.extend_from_slice(&link.name);
                    Link {
                        name: name.into(),
                        ..link.clone()
                    }
                }
                ShardSlot::Stored(cid, tsize) => Link {
                    cid: *cid,
                    name: name.into(),
                    tsize: *tsize,
                },
                ShardSlot::Changed(_) => return Err(UnixFsError::Unexpected),
            });
        }
        shard(links, version, sink)
    }
}

fn slot_index(hash: u64, level: u32) -> Result<u32, UnixFsError> {
    hamt::slot_index(hash, FANOUT, level).ok_or(UnixFsError::Shard)
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
