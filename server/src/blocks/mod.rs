//! The block store: append-only packs with an index.
//!
//! ```text
//! <dir>/lock                 locked (flock) by the process that writes; contains its process ID
//! <dir>/pack-00000001.car    CARv1: a header, then sections varint(cid + data) cid data
//! <dir>/index.sqlite         multihash → pack, offset, length; and the indexed length of each pack
//! ```
//!
//! The packs are the source of truth; the index only finds blocks in them. A block is appended to
//! the last pack, the pack is synced, and only then is the block added to the index. The next open
//! reads what lies in a pack behind the indexed length, and verifies it. It cuts the pack off at
//! the first torn or wrong section. So a kill at any moment loses at most blocks that no
//! [`BlockStore::flush`] had covered. A lost index is rebuilt in the same way.
//!
//! [`BlockStore::put`] makes blocks visible at once. They become durable together, many with one
//! sync, in the background or at [`BlockStore::flush`]. Every read is verified: wrong data on disk
//! is logged, forgotten, and reported as absent.
//!
//! All calls block; from async code use [`task::blocking`](crate::task::blocking).
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

/// A pack of this length (bytes) or more gets no further block.
pub const MAX_PACK: u64 = 1 << 30;

/// A source of blocks, which a gateway serves.
pub trait BlockSource: Send + Sync + 'static {
    /// Returns the verified bytes of a block, or `None` if the source lacks it. May block.
    ///
    /// # Errors
    /// The storage can't be read.
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, BlocksError>;

    /// Returns whether the source has a block. May block.
    ///
    /// # Errors
    /// The storage can't be read.
    fn has(&self, cid: &Cid) -> Result<bool, BlocksError> {
        Ok(self.get(cid)?.is_some())
    }
}

/// A handle to a block store; clones share it. When the last one is dropped, it makes all blocks
/// durable.
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
    /// Locked while blocks are removed, compacted or hashed; only one of these runs at a time.
    upkeep: Mutex<()>,
}

/// Statistics of a block store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Number of blocks.
    pub blocks: u64,
    /// Bytes of the blocks.
    pub bytes: u64,
    /// Number of pack files.
    pub packs: u64,
    /// Bytes of the pack files, including deleted blocks and framing.
    pub pack_bytes: u64,
}

impl BlockStore {
    /// Opens the store in a folder to read and write; creates the folder if it is missing. Only one
    /// process can at a time; see [`Self::open_read_only`].
    ///
    /// # Errors
    /// [`BlocksError::Locked`] names the process that has locked it.
    pub fn open(dir: &Path) -> Result<Self, BlocksError> {
        open::writable(dir)
    }

    /// Opens an existing store to read, also while another process writes to it.
    ///
    /// # Errors
    /// There is no store, or its index can't be read.
    pub fn open_read_only(dir: &Path) -> Result<Self, BlocksError> {
        open::read_only(dir)
    }

    /// The folder of the store.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// Returns a block by its CID, or `None`. Only the multihash counts, not codec and version. For
    /// an identity CID, returns the data in the CID.
    ///
    /// # Errors
    /// The index or a pack can't be read. A block that doesn't match its hash is reported as
    /// absent.
    pub fn get(&self, cid: &Cid) -> Result<Option<Bytes>, BlocksError> {
        if let Some(data) = cid::identity_data(cid) {
            return Ok(Some(Bytes::copy_from_slice(data)));
        }
        let key = cid.hash().to_bytes();
        // Try twice: compaction may have moved the block between the look-up and the read.
        for _ in 0..2 {
            let Some(location) = self.locate(&key)? else {
                return Ok(None);
            };
            let Some(data) = self.inner.packs.read(location)? else {
                self.forget(&key, location, "its pack is too short or missing")?;
                continue;
            };
            if cid::verify(cid, &data).is_ok() {
                return Ok(Some(data));
            }
            self.forget(&key, location, "its data doesn't match its hash")?;
        }
        Ok(None)
    }

    /// Returns whether the store has a block, without reading its data.
    ///
    /// # Errors
    /// The index can't be read.
    pub fn has(&self, cid: &Cid) -> Result<bool, BlocksError> {
        Ok(self.size(cid)?.is_some())
    }

    /// Returns the length of a block in bytes, or `None` if the store lacks it, without reading
    /// its data.
    ///
    /// # Errors
    /// The index can't be read.
    pub fn size(&self, cid: &Cid) -> Result<Option<u64>, BlocksError> {
        if let Some(data) = cid::identity_data(cid) {
            return Ok(Some(data.len() as u64));
        }
        let location = self.locate(&cid.hash().to_bytes())?;
        Ok(location.map(|location| u64::from(location.length)))
    }

    /// Stores blocks; existing ones are skipped. They can be read at once, and are durable after
    /// the next [`Self::flush`]. Waits if too many bytes are not on disk yet.
    ///
    /// # Errors
    /// [`BlocksError::ReadOnly`], or a block can't be written.
    pub fn put(&self, blocks: &[Block]) -> Result<(), BlocksError> {
        self.writer()?.put(blocks)
    }

    /// Waits until all blocks put before are durable.
    ///
    /// # Errors
    /// [`BlocksError::ReadOnly`], or syncing failed; the store then accepts no more blocks.
    pub fn flush(&self) -> Result<(), BlocksError> {
        self.writer()?.flush()
    }

    /// Removes blocks, and returns how many there were. Their bytes stay in the packs until
    /// [`Self::compact`].
    ///
    /// # Errors
    /// [`BlocksError::ReadOnly`], or the index can't be written.
    pub fn remove(&self, cids: &[Cid]) -> Result<u64, BlocksError> {
        let writer = self.writer()?;
        let _upkeep = self
            .inner
            .upkeep
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        writer.with_index(|index| index.remove(cids.iter().map(|cid| cid.hash().to_bytes())))
    }

    /// Rewrites packs in which more than half of the bytes are deleted. Other threads can read
    /// and write meanwhile.
    ///
    /// # Errors
    /// [`BlocksError::ReadOnly`], or a pack can't be read or written; no block is lost then.
    pub fn compact(&self) -> Result<Compacted, BlocksError> {
        let writer = self.writer()?;
        let _upkeep = self
            .inner
            .upkeep
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        compact::compact(writer, &self.inner.index, &self.inner.packs)
    }

    /// Hashes every block, and logs and forgets wrong ones. Calls `report` for each with its length
    /// in bytes and whether it is right.
    ///
    /// # Errors
    /// [`BlocksError::ReadOnly`], or the index can't be read or written.
    pub fn scrub(&self, report: &mut dyn FnMut(u64, bool)) -> Result<(), BlocksError> {
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
                    let is_right = self.is_right(&key, location)?;
                    report(u64::from(location.length), is_right);
                }
            }
        }
        Ok(())
    }

    fn is_right(&self, key: &[u8], location: Location) -> Result<bool, BlocksError> {
        let data = self.inner.packs.read(location)?;
        let is_right = compact::raw_cid(key)
            .zip(data)
            .is_some_and(|(cid, data)| cid::verify(&cid, &data).is_ok());
        if !is_right {
            self.forget(key, location, "its data doesn't match its hash")?;
        }
        Ok(is_right)
    }

    /// Returns the bytes of the pack files, including deleted blocks and framing. Reads only
    /// the sizes of the files.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn disk_bytes(&self) -> Result<u64, BlocksError> {
        Ok(self.inner.packs.lengths()?.iter().sum())
    }

    /// Counts the stored blocks. Scans the whole index.
    ///
    /// # Errors
    /// The index or the folder can't be read.
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

    /// Removes a block that can't be read from the index.
    fn forget(&self, key: &[u8], location: Location, why: &str) -> Result<(), BlocksError> {
        tracing::error!(
            pack = location.pack,
            offset = location.offset,
            "lost a block: {why}"
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
