//! The directories of a tree. Each is built when it ends, from its entries, which were built
//! before.

use crate::block::Block;
use crate::cid::{Cid, Version};
use crate::unixfs::{Built, DirectoryBuilder, UnixFsError, symlink};
use alloc::vec::Vec;
use bytes::Bytes;

#[derive(Debug)]
struct OpenDirectory {
    builder: DirectoryBuilder,
    name: Bytes,
    /// Its index in the listing.
    index: usize,
}

#[derive(Debug, Default)]
pub(super) struct Directories {
    /// The open directories, the innermost last.
    open: Vec<OpenDirectory>,
    /// Name of the current entry; empty for the root.
    name: Bytes,
    root: Option<Built>,
    /// CID of each entry of the listing; `None` for directories that are still open.
    cids: Vec<Option<Cid>>,
}

impl Directories {
    pub(super) fn name(&mut self, name: &[u8]) {
        self.name = Bytes::copy_from_slice(name);
    }

    pub(super) fn open(&mut self) {
        self.open.push(OpenDirectory {
            builder: DirectoryBuilder::new(Version::V1),
            name: core::mem::take(&mut self.name),
            index: self.cids.len(),
        });
        self.cids.push(None);
    }

    pub(super) fn close(&mut self, sink: &mut impl FnMut(Block)) -> Result<(), UnixFsError> {
        if let Some(directory) = self.open.pop() {
            let built = directory.builder.finish(sink)?;
            if let Some(cid) = self.cids.get_mut(directory.index) {
                *cid = Some(built.cid);
            }
            self.insert(directory.name, built);
        }
        Ok(())
    }

    pub(super) fn symlink(&mut self, target: &[u8], sink: &mut impl FnMut(Block)) {
        let built = symlink(target, Version::V1, sink);
        self.add(built);
    }

    /// Adds a file or symbolic link.
    pub(super) fn add(&mut self, built: Built) {
        self.cids.push(Some(built.cid));
        let name = core::mem::take(&mut self.name);
        self.insert(name, built);
    }

    /// Returns the root and all CIDs, if all directories are closed.
    pub(super) fn finish(self) -> Option<(Built, Vec<Cid>)> {
        let cids = self.cids.into_iter().collect::<Option<_>>()?;
        Some((self.root?, cids))
    }

    fn insert(&mut self, name: Bytes, built: Built) {
        match self.open.last_mut() {
            Some(parent) => parent.builder.add(name, built.cid, built.dag_size),
            None => self.root = Some(built),
        }
    }
}
