//! Changes the directory of a snapshot: a folder is opened when something in it changes, and
//! written once, at the end.

use std::collections::BTreeMap;

use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::cid::{self, Cid, Version};
use interplanar_core::dag_pb::Node;
use interplanar_core::narinfo::NarInfo;
use interplanar_core::unixfs::{
    Budget, Builder, Built, Directory, DirectoryError, Entries, SIZE_1048576_V1, UnixFsError,
    Walker,
};
use percent_encoding::percent_decode_str;

use super::SnapshotError;
use crate::blocks::{BlockStore, BlocksError};

/// The suffix of narinfos' names.
const NARINFO: &str = ".narinfo";
/// Most nodes that are read to list a directory; a hundred million items need fewer.
const MAX_NODES: u64 = 1 << 26;

/// An item to put into a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotItem {
    /// The hash part of its store path.
    pub hash_part: String,
    /// Its narinfo.
    pub narinfo: Bytes,
    /// The URLs in the narinfo, relative to the root, and the roots of the files.
    pub files: Vec<(String, Cid)>,
}

/// A directory that is being changed.
pub(super) struct SnapshotDirectory<'a> {
    blocks: &'a BlockStore,
    root: Folder,
    failed: Option<BlocksError>,
}

struct Folder {
    directory: Directory,
    below: BTreeMap<Bytes, Folder>,
}

impl<'a> SnapshotDirectory<'a> {
    pub(super) fn empty(blocks: &'a BlockStore) -> Self {
        Self {
            blocks,
            root: Folder::new(Directory::empty(Version::V1)),
            failed: None,
        }
    }

    pub(super) fn open(blocks: &'a BlockStore, root: &Cid) -> Result<Self, SnapshotError> {
        let directory = Directory::open(root, &mut |cid| get(blocks, cid))?;
        Ok(Self {
            blocks,
            root: Folder::new(directory),
            failed: None,
        })
    }

    /// Writes a file at the root.
    pub(super) fn put_file(&mut self, name: &str, bytes: &[u8]) -> Result<(), SnapshotError> {
        let built = self.file(bytes)?;
        self.place(&[name.to_owned()], built.cid, built.dag_size)
    }

    /// Adds an item, or replaces it.
    pub(super) fn put(&mut self, item: &SnapshotItem) -> Result<(), SnapshotError> {
        let name = format!("{}{NARINFO}", item.hash_part);
        let built = self.file(&item.narinfo)?;
        let blocks = self.blocks;
        let existing = self
            .root
            .directory
            .get(name.as_bytes(), &mut |cid| get(blocks, cid))?;
        if existing.is_some_and(|(cid, _)| cid == built.cid) {
            // The narinfo is the same, but the files may not be: compression doesn't
            // always give the same bytes.
            for (url, cid) in &item.files {
                self.place(&parts(url), *cid, tsize(blocks, cid)?)?;
            }
            return Ok(());
        }
        if existing.is_some() {
            self.remove(&item.hash_part)?;
        }
        for (url, cid) in &item.files {
            self.place(&parts(url), *cid, tsize(blocks, cid)?)?;
        }
        self.place(&[name], built.cid, built.dag_size)
    }

    /// Removes an item: its narinfo, and the files that the narinfo names.
    pub(super) fn remove(&mut self, hash_part: &str) -> Result<(), SnapshotError> {
        let name = format!("{hash_part}{NARINFO}");
        let blocks = self.blocks;
        let lookup = &mut |cid: &Cid| get(blocks, cid);
        let Some((cid, _)) = self.root.directory.get(name.as_bytes(), lookup)? else {
            return Ok(());
        };
        if let Ok(narinfo) = NarInfo::parse(&read(blocks, &cid)?) {
            for entry in narinfo.entries() {
                if let Some((last, folders)) = parts(&entry.url).split_last() {
                    let folder = self.root.folder(folders, lookup)?;
                    folder.directory.remove(last.as_bytes(), lookup)?;
                }
            }
        }
        self.root.directory.remove(name.as_bytes(), lookup)?;
        Ok(())
    }

    /// Writes the changed folders, and returns the root.
    pub(super) fn finish(&mut self) -> Result<Cid, SnapshotError> {
        let (blocks, failed) = (self.blocks, &mut self.failed);
        let mut sink = |block: Block| {
            if failed.is_none() {
                *failed = blocks.put(&[block]).err();
            }
        };
        let built = self.root.finish(&mut |cid| get(blocks, cid), &mut sink);
        match self.failed.take() {
            Some(error) => Err(error.into()),
            None => Ok(built?.cid),
        }
    }

    fn place(&mut self, path: &[String], cid: Cid, tsize: u64) -> Result<(), SnapshotError> {
        let blocks = self.blocks;
        let lookup = &mut |cid: &Cid| get(blocks, cid);
        let Some((last, folders)) = path.split_last() else {
            return Ok(());
        };
        let folder = self.root.folder(folders, lookup)?;
        let name = Bytes::copy_from_slice(last.as_bytes());
        folder.directory.put(name, cid, tsize, lookup)?;
        Ok(())
    }

    fn file(&self, bytes: &[u8]) -> Result<Built, SnapshotError> {
        let mut builder = Builder::new(SIZE_1048576_V1);
        let mut blocks = Vec::new();
        builder.push(bytes, &mut |block| blocks.push(block));
        let built = builder.finish(&mut |block| blocks.push(block));
        self.blocks.put(&blocks)?;
        Ok(built)
    }
}

impl Folder {
    fn new(directory: Directory) -> Self {
        Self {
            directory,
            below: BTreeMap::new(),
        }
    }

    /// Returns the folder at the end of a path; creates it if it is missing.
    fn folder(
        &mut self,
        path: &[String],
        lookup: &mut impl FnMut(&Cid) -> Option<Block>,
    ) -> Result<&mut Self, DirectoryError> {
        let Some((name, rest)) = path.split_first() else {
            return Ok(self);
        };
        let name = Bytes::copy_from_slice(name.as_bytes());
        if !self.below.contains_key(&name) {
            let directory = match self.directory.get(&name, lookup)? {
                Some((cid, _)) => Directory::open(&cid, lookup)?,
                None => Directory::empty(Version::V1),
            };
            self.below.insert(name.clone(), Self::new(directory));
        }
        match self.below.get_mut(&name) {
            Some(folder) => folder.folder(rest, lookup),
            None => Err(UnixFsError::Unexpected.into()),
        }
    }

    fn finish(
        &mut self,
        lookup: &mut impl FnMut(&Cid) -> Option<Block>,
        sink: &mut impl FnMut(Block),
    ) -> Result<Built, DirectoryError> {
        while let Some((name, mut folder)) = self.below.pop_first() {
            let built = folder.finish(lookup, sink)?;
            if folder.directory.is_empty() {
                self.directory.remove(&name, lookup)?;
            } else {
                let (cid, size) = (built.cid, built.dag_size);
                self.directory.put(name, cid, size, lookup)?;
            }
        }
        self.directory.finish(lookup, sink)
    }
}

/// Returns the hash parts of all items in the directory at `root`.
pub(super) fn listed(blocks: &BlockStore, root: Cid) -> Result<Vec<String>, DirectoryError> {
    let budget = Budget {
        blocks: MAX_NODES,
        entries: u64::MAX,
        ..Budget::default()
    };
    let (mut entries, mut listed) = (Entries::new(root, budget), Vec::new());
    while !entries.is_done() {
        for cid in entries.wants(1) {
            let block = get(blocks, &cid).ok_or(DirectoryError::Missing { cid })?;
            entries.push(&block)?;
        }
        while let Some(entry) = entries.next() {
            let name = String::from_utf8_lossy(&entry.name);
            listed.extend(name.strip_suffix(NARINFO).map(str::to_owned));
        }
    }
    Ok(listed)
}

/// Returns the components of a relative URL.
fn parts(url: &str) -> Vec<String> {
    let parts = url.split('/').filter(|part| !part.is_empty());
    parts
        .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
        .collect()
}

/// Returns a block of the store, verified; `None` if it is lost.
fn get(blocks: &BlockStore, cid: &Cid) -> Option<Block> {
    let data = blocks.get(cid).unwrap_or_else(|error| {
        tracing::error!(%cid, %error, "can't read a block");
        None
    });
    Block::verify(*cid, data?).ok()
}

/// Returns the `Tsize` of a link to a file: the bytes of all its blocks.
fn tsize(blocks: &BlockStore, root: &Cid) -> Result<u64, SnapshotError> {
    let block = get(blocks, root).ok_or(DirectoryError::Missing { cid: *root })?;
    let own = block.data().len() as u64;
    if root.codec() != cid::DAG_PB {
        return Ok(own);
    }
    let node = Node::decode(block.data())
        .map_err(|error| DirectoryError::from(UnixFsError::from(error)))?;
    let below = node.links.iter().map(|link| link.tsize);
    Ok(below.fold(own, u64::saturating_add))
}

/// Reads a small file.
fn read(blocks: &BlockStore, root: &Cid) -> Result<Vec<u8>, DirectoryError> {
    let mut walker = Walker::new(*root, Budget::default());
    let mut bytes = Vec::new();
    while !walker.is_done() {
        for cid in walker.wants(1)? {
            let block = get(blocks, &cid).ok_or(DirectoryError::Missing { cid })?;
            walker.push(block)?;
        }
        while let Some(piece) = walker.next() {
            bytes.extend_from_slice(&piece);
        }
    }
    Ok(bytes)
}
