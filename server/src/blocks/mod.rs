//! The embedded block store: append-only packs beside an index.
//!
//! ```text
//! <dir>/lock                 held (flock) by the one process that writes; says who it is
//! <dir>/pack-00000001.car    CARv1: a header, then sections varint(cid + data) cid data
//! <dir>/index.sqlite         multihash → pack, offset, length; and up to where each pack is indexed
//! ```
//!
//! The packs are the truth and the index only finds things in them. A block is appended to the last pack, the pack is synced, and only then does
//! the index learn of it; what lies in a pack beyond the indexed length is read again at the next open, checked by its hash, and
//! the first torn or wrong section and all behind it is cut off. So a kill at any moment loses at most blocks that no [`BlockStore::flush`]
//! had covered. A lost index is rebuilt in the same way.
//!
//! [`BlockStore::put`] makes blocks visible at once; they become durable together, many in one sync, in the background or at
//! [`BlockStore::flush`]. Every read is hashed: wrong data on disk is logged, forgotten, and reported as absent.
//!
//! All calls block; from async code use `spawn_blocking`.
//!
//! ```
//! use interplanar_core::block::Block;
//! use interplanar_server::blocks::BlockStore;
//! let dir = tempfile::tempdir().unwrap();
//! let store = BlockStore::open(dir.path()).unwrap();
//! let block = Block::raw(bytes::Bytes::from_static(b"hello"));
//! store.put(&[block.clone()]).unwrap();
//! store.flush().unwrap();
//! assert_eq!(store.get(block.cid()).unwrap().as_deref(), Some(&b"hello"[..]));
//! ```

mod compact;
mod error;
mod index;
mod lock;
mod open;
mod pack;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::cid::{self, Cid};

pub use compact::Compacted;
pub use error::BlocksError;
use index::Index;
use pack::{Location, Packs};
use writer::Writer;

/// A pack takes no further block once it is this long (bytes).
pub const MAX_PACK: u64 = 1 << 30;

/// Where blocks come from: what a gateway serves.
pub trait BlockSource: Send + Sync + 'static {
    /// The verified bytes of a block, or `None` if it isn't there. May block.
    ///
    /// # Errors
    /// Those of the storage behind it.
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, BlocksError>;

    /// Whether a block is there. May block.
    ///
    /// # Errors
    /// Those of the storage behind it.
    fn has(&self, cid: &Cid) -> Result<bool, BlocksError> {
        Ok(self.get(cid)?.is_some())
    }
}

/// A handle on a block store; clones share it. The last one to be dropped writes what is not durable yet.
#[derive(Clone)]
pub struct BlockStore {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    index: Arc<Index>,
    packs: Arc<Packs>,
    /// `None` in a store that was opened to read only.
    writer: Option<Writer>,
    /// Removing and compacting exclude each other.
    upkeep: Mutex<()>,
}

/// What a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Blocks that can be read.
    pub blocks: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Pack files.
    pub packs: u64,
    /// Bytes of the pack files, dead ones and framing included.
    pub pack_bytes: u64,
}

impl BlockStore {
    /// Opens the store in a folder, which is made if it is missing, to read and write. One process at a time can; see
    /// [`Self::open_read_only`].
    ///
    /// # Errors
    /// [`BlocksError::Locked`] names the process that holds it.
    pub fn open(dir: &Path) -> Result<Self, BlocksError> {
        open::writable(dir)
    }

    /// Opens an existing store to read, also while another process writes to it.
    ///
    /// # Errors
    /// If there is no store, or its index cannot be read.
    pub fn open_read_only(dir: &Path) -> Result<Self, BlocksError> {
        open::read_only(dir)
    }

    /// The folder that it is in.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// A block by its CID (any codec and version with the same multihash), or `None`. Identity CIDs are their own blocks.
    ///
    /// # Errors
    /// The index or a pack cannot be read. Data that doesn't match its hash is no error but absent.
    pub fn get(&self, cid: &Cid) -> Result<Option<Bytes>, BlocksError> {
        if let Some(data) = cid::identity_data(cid) {
            return Ok(Some(Bytes::copy_from_slice(data)));
        }
        let key = cid.hash().to_bytes();
        // A second try: the pack may have been compacted away between the look-up and the read.
        for _ in 0..2 {
            let Some(location) = self.locate(&key)? else {
                return Ok(None);
            };
            let Some(data) = self.inner.packs.read(location)? else {
                self.forget(&key, location, "the pack is too short or gone")?;
                continue;
            };
            if cid::verify(cid, &data).is_ok() {
                return Ok(Some(data));
            }
            self.forget(&key, location, "the data doesn't match its hash")?;
        }
        Ok(None)
    }

    /// Whether a block is there; its data isn't read.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn has(&self, cid: &Cid) -> Result<bool, BlocksError> {
        Ok(self.size(cid)?.is_some())
    }

    /// The length of a block in bytes, or `None` if it isn't there; its data isn't read.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn size(&self, cid: &Cid) -> Result<Option<u64>, BlocksError> {
        if let Some(data) = cid::identity_data(cid) {
            return Ok(Some(data.len() as u64));
        }
        let location = self.locate(&cid.hash().to_bytes())?;
        Ok(location.map(|location| u64::from(location.length)))
    }

    /// Stores blocks; those that are there already cost nothing. They can be read at once and are durable after the next
    /// [`Self::flush`]. Waits when the disk falls behind.
    ///
    /// # Errors
    /// [`BlocksError::ReadOnly`], or writing failed.
    pub fn put(&self, blocks: &[Block]) -> Result<(), BlocksError> {
        self.writer()?.put(blocks)
    }

    /// Returns when everything put before is durable.
    ///
    /// # Errors
    /// [`BlocksError::ReadOnly`], or syncing failed; after that the store takes no more blocks.
    pub fn flush(&self) -> Result<(), BlocksError> {
        self.writer()?.flush()
    }

    /// Forgets blocks and gives how many were there. Their bytes stay in the packs until [`Self::compact`].
    ///
    /// # Errors
    /// [`BlocksError::ReadOnly`], or the index cannot be written.
    pub fn remove(&self, cids: &[Cid]) -> Result<u64, BlocksError> {
        let writer = self.writer()?;
        let _upkeep = self
            .inner
            .upkeep
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        writer.settled(|index| index.remove(cids.iter().map(|cid| cid.hash().to_bytes())))
    }

    /// Rewrites packs of which more than half is dead, and deletes them. Reading and writing go on meanwhile.
    ///
    /// # Errors
    /// [`BlocksError::ReadOnly`], or reading or writing failed; nothing is lost then.
    pub fn compact(&self) -> Result<Compacted, BlocksError> {
        let writer = self.writer()?;
        let _upkeep = self
            .inner
            .upkeep
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        compact::compact(writer, &self.inner.index, &self.inner.packs)
    }

    /// Hashes every block; what is wrong is logged and forgotten. Tells of each its length in bytes, and whether it is right.
    ///
    /// # Errors
    /// [`BlocksError::ReadOnly`], or the index can't be read or written.
    pub fn scrub(&self, told: &mut dyn FnMut(u64, bool)) -> Result<(), BlocksError> {
        let writer = self.writer()?;
        let _upkeep = self
            .inner
            .upkeep
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        writer.flush()?;
        for (pack, _) in self.inner.index.packs()? {
            let mut after = Vec::new();
            loop {
                let page = self.inner.index.in_pack(pack, &after, compact::PAGE)?;
                let Some((last, _)) = page.last() else { break };
                after.clone_from(last);
                for (key, location) in page {
                    let right = self.is_right(&key, location)?;
                    told(u64::from(location.length), right);
                }
            }
        }
        Ok(())
    }

    fn is_right(&self, key: &[u8], location: Location) -> Result<bool, BlocksError> {
        let data = self.inner.packs.read(location)?;
        let right = compact::raw_cid(key)
            .zip(data)
            .is_some_and(|(cid, data)| cid::verify(&cid, &data).is_ok());
        if !right {
            self.forget(key, location, "the data doesn't match its hash")?;
        }
        Ok(right)
    }

    /// Bytes of the pack files, dead ones and framing included. Costs a look at each file, of up to [`MAX_PACK`] bytes.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn disk_bytes(&self) -> Result<u64, BlocksError> {
        Ok(self.inner.packs.lengths()?.iter().sum())
    }

    /// Counts what is stored. Costs a pass over the index.
    ///
    /// # Errors
    /// The index or the folder cannot be read.
    pub fn stats(&self) -> Result<Stats, BlocksError> {
        let mut stats = self.inner.index.stats()?;
        let packs = self.inner.packs.lengths()?;
        stats.packs = packs.len() as u64;
        stats.pack_bytes = packs.iter().sum();
        let (blocks, bytes) = self.inner.writer.as_ref().map_or((0, 0), Writer::pending);
        stats.blocks += blocks;
        stats.bytes += bytes;
        Ok(stats)
    }

    fn writer(&self) -> Result<&Writer, BlocksError> {
        self.inner.writer.as_ref().ok_or(BlocksError::ReadOnly)
    }

    fn locate(&self, key: &[u8]) -> Result<Option<Location>, BlocksError> {
        if let Some(location) = self
            .inner
            .writer
            .as_ref()
            .and_then(|writer| writer.find(key))
        {
            return Ok(Some(location));
        }
        self.inner.index.find(key)
    }

    /// Drops what the index says of a block that cannot be read.
    fn forget(&self, key: &[u8], location: Location, why: &str) -> Result<(), BlocksError> {
        tracing::error!(
            pack = location.pack,
            offset = location.offset,
            "a block is lost: {why}"
        );
        match &self.inner.writer {
            Some(writer) => writer.forget(key, location),
            None => Ok(()),
        }
    }
}

impl BlockSource for BlockStore {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, BlocksError> {
        Self::get(self, cid)
    }

    fn has(&self, cid: &Cid) -> Result<bool, BlocksError> {
        Self::has(self, cid)
    }
}

impl std::fmt::Debug for BlockStore {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("BlockStore")
            .field("dir", &self.inner.dir)
            .finish_non_exhaustive()
    }
}
