//! The plain NAR over the blocks of its files, and the same files as a UnixFS directory.
//!
//! ```text
//! nar   := balanced( run | file ... )     the plain NAR in Kubo's balanced layout: up to 174 links
//! run   := raw leaf                       framing and files under 4 KiB; it ends at entries
//!                                         that are chosen by name
//! file  := a file of at least 4 KiB, with the CID of
//!          `ipfs add --cid-version=1 --raw-leaves --chunker=size-1048576`
//! tree  := the item as `ipfs add -r` adds it with these options: the same `file`s; small files
//!          are leaves of their own
//! ```
//! So a file has the same CID in every item and for everyone who adds it, and both views share its
//! blocks. The tree adds second copies of small files, directories and links. That is 3 % of the
//! NAR at a threshold of 4 KiB (measured, docs/design.md). Leaves have 1 MiB instead of 256 KiB.
//! This means a quarter of the blocks, and the other forms use the same size.
//!
//! Restrictions: the UnixFS files have no executable bit, because a mode would change their CIDs.
//! The listing has it. Memory is one leaf, the entries of the open directories, and a CID for each
//! entry of the listing.
//!
//! ```
//! use interplanar_core::dedup::TreeBuilder;
//! use interplanar_core::nar::{Encoder, Event};
//! let events = [
//!     Event::FileStart { executable: false, size: 6, offset: 0 },
//!     Event::FileData(b"hello\n"),
//!     Event::FileEnd,
//!     Event::End,
//! ];
//! let (mut encoder, mut nar) = (Encoder::new(), vec![]);
//! for event in events {
//!     encoder.write(event, &mut nar).unwrap();
//! }
//! let (mut builder, mut blocks) = (TreeBuilder::new(), vec![]);
//! builder.push(&nar, &mut |block| blocks.push(block)).unwrap();
//! let tree = builder.finish(&mut |block| blocks.push(block)).unwrap();
//! assert_eq!(tree.nar.size, nar.len() as u64);
//! // The CID that `echo hello | ipfs add --cid-version=1` gives.
//! let cid = "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am";
//! assert_eq!(tree.root.cid.to_string(), cid);
//! ```

mod directories;
mod run;
#[cfg(test)]
mod tests;

use crate::block::Block;
use crate::cid::{Cid, Version};
use crate::nar::{Event, NarError, Parser};
use crate::unixfs::{Builder, Built, Layout, MAX_LINKS, SIZE_1048576_V1, UnixFsError};
use alloc::boxed::Box;
use alloc::vec::Vec;
use directories::Directories;
use run::Run;

/// The narinfo field that holds the CID of the tree: `Tree: bafy…`. It follows the signed fields.
/// Like every CID it is a hint.
pub const TREE_FIELD: &str = "Tree";
/// Files with fewer bytes are in a run together with the framing. The tree has a second copy of
/// them (docs/design.md).
pub const MIN_TREE_FILE: u64 = 4096;

/// Why a tree can't be built.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The input is not a NAR.
    #[error(transparent)]
    Nar(#[from] NarError),
    /// A directory has names that no shards can hold.
    #[error(transparent)]
    UnixFs(#[from] UnixFsError),
}

/// The result of building a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltTree {
    /// The plain NAR as a UnixFS file.
    pub nar: Built,
    /// The item: a directory, file or symbolic link.
    pub root: Built,
    /// CID of each entry, in the order of [`crate::nar::Listing::entries`].
    pub cids: Vec<Cid>,
}

/// Builds both views in one pass.
#[derive(Debug, Default)]
pub struct TreeBuilder {
    parser: Parser,
    views: Views,
}

impl TreeBuilder {
    /// Creates a builder that expects the start of a NAR.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next bytes of the NAR. Sends blocks to `sink`, children before their parents.
    ///
    /// # Errors
    /// [`TreeError`]. The builder can't be used afterwards.
    pub fn push(&mut self, bytes: &[u8], sink: &mut impl FnMut(Block)) -> Result<(), TreeError> {
        let mut rest = bytes;
        loop {
            let before = rest;
            let event = self.parser.push(&mut rest)?;
            let length = before.len().saturating_sub(rest.len());
            let taken = before.get(..length).unwrap_or_default();
            match event {
                Some(Event::FileData(data)) => self.views.data(data, sink),
                Some(event) => {
                    self.views.run.add(taken);
                    self.views.event(event, sink)?;
                }
                None => {
                    self.views.run.add(taken);
                    return Ok(());
                }
            }
        }
    }

    /// Ends both views. Sends the roots to `sink` last.
    ///
    /// # Errors
    /// [`TreeError`] if the NAR has not ended.
    pub fn finish(mut self, sink: &mut impl FnMut(Block)) -> Result<BuiltTree, TreeError> {
        self.parser.finish()?;
        self.views.flush(sink);
        let unfinished = TreeError::Nar(NarError::Truncated {
            at: self.parser.position(),
        });
        let nar = self.views.nar.finish(sink);
        let (root, cids) = self.views.directories.finish().unzip();
        match (nar, root, cids) {
            (Some(nar), Some(root), Some(cids)) => Ok(BuiltTree { nar, root, cids }),
            _ => Err(unfinished),
        }
    }
}

/// The file that is being read.
#[derive(Debug)]
enum OpenFile {
    /// A small file; its bytes are in the run too.
    Small(Vec<u8>),
    Large(Box<Builder>),
}

#[derive(Debug)]
struct Views {
    run: Run,
    nar: Layout,
    directories: Directories,
    file: OpenFile,
}

impl Default for Views {
    fn default() -> Self {
        Self {
            run: Run::default(),
            nar: Layout::new(Version::V1, MAX_LINKS),
            directories: Directories::default(),
            file: OpenFile::Small(Vec::new()),
        }
    }
}

impl Views {
    fn data(&mut self, data: &[u8], sink: &mut impl FnMut(Block)) {
        match &mut self.file {
            OpenFile::Small(content) => {
                content.extend_from_slice(data);
                self.run.add(data);
            }
            OpenFile::Large(builder) => builder.push(data, sink),
        }
    }

    fn event(&mut self, event: Event<'_>, sink: &mut impl FnMut(Block)) -> Result<(), TreeError> {
        match event {
            Event::EntryStart { name } => {
                self.run.name(name);
                self.directories.name(name);
            }
            Event::EntryEnd if self.run.ends() => self.flush(sink),
            Event::DirectoryStart => self.directories.open(),
            Event::DirectoryEnd => self.directories.close(sink)?,
            Event::Symlink { target } => self.directories.symlink(target, sink),
            Event::FileStart { size, .. } if size < MIN_TREE_FILE => {
                self.file = OpenFile::Small(Vec::new());
            }
            Event::FileStart { size, .. } => {
                self.flush(sink);
                let builder = Builder::with_size(SIZE_1048576_V1, size);
                self.file = OpenFile::Large(Box::new(builder));
            }
            Event::FileEnd => self.close_file(sink),
            Event::EntryEnd | Event::FileData(_) | Event::End => {}
        }
        Ok(())
    }

    fn close_file(&mut self, sink: &mut impl FnMut(Block)) {
        let file = core::mem::replace(&mut self.file, OpenFile::Small(Vec::new()));
        let built = match file {
            OpenFile::Small(content) => leaf(content, sink),
            OpenFile::Large(builder) => {
                let built = builder.finish(sink);
                // After a large file, the run holds only its padding, so it follows the file.
                self.nar.add(built, sink);
                built
            }
        };
        self.directories.add(built);
    }

    /// Ends the run and adds its leaf.
    fn flush(&mut self, sink: &mut impl FnMut(Block)) {
        let run = self.run.take();
        if !run.is_empty() {
            let built = leaf(run, sink);
            self.nar.add(built, sink);
        }
    }
}

fn leaf(content: Vec<u8>, sink: &mut impl FnMut(Block)) -> Built {
    let block = Block::raw(content.into());
    let size = block.data().len() as u64;
    let built = Built {
        cid: *block.cid(),
        size,
        dag_size: size,
    };
    sink(block);
    built
}
