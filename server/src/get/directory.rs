//! Directories of IPFS: listed, or restored to a folder that appears whole.

use super::access::failure;
use super::{Access, Bar};
use crate::cli::Failure;
use anyhow::{Context as _, anyhow};
use futures_util::StreamExt as _;
use interplanar_core::cid::Cid;
use interplanar_core::fetch::{Summary, TreeEntry, TreeKind, TreePiece};
use interplanar_core::unixfs::{Budget, Content, DirEntry, Entries};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use tokio::task::block_in_place;

/// The entries of a directory, plain or sharded.
///
/// # Errors
/// Exit code 4 when a block is nowhere, 3 for what is no directory.
pub async fn entries(access: &Access, root: &Cid) -> Result<Vec<DirEntry>, Failure> {
    let mut entries = Entries::new(*root, Budget::default());
    let mut all = Vec::new();
    while !entries.is_done() {
        for cid in entries.wants(1) {
            entries
                .push(&access.block(&cid).await?)
                .map_err(Failure::verification)?;
        }
        all.extend(std::iter::from_fn(|| entries.next()));
    }
    Ok(all)
}

/// What stands at a CID.
///
/// # Errors
/// As [`entries`].
pub async fn content_of(access: &Access, cid: &Cid) -> Result<Content, Failure> {
    Content::decode(&access.block(cid).await?).map_err(Failure::verification)
}

/// Restores a file, directory or link to `target`, which mustn't exist; says how many there were, and what it took.
///
/// # Errors
/// As [`entries`]; names that no file may have; the target exists.
pub async fn restore(access: &Access, root: Cid, target: &Path) -> Result<(u64, Summary), Failure> {
    if target.symlink_metadata().is_ok() {
        return Err(anyhow!("{} exists already", target.display()).into());
    }
    let beside = target
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let temporary = tempfile::Builder::new()
        .prefix(".interplanar-")
        .tempdir_in(beside)?;
    let mut restored = Restored::new(temporary.path().join("root"));
    let bar = Bar::new(&root.to_string(), None);
    let mut stream = access.tree(root);
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(failure)?;
        if let TreePiece::Content(content) = &piece {
            bar.add(content.len());
        }
        block_in_place(|| restored.add(piece))?;
    }
    let summary = stream.summary().cloned();
    let summary = summary.ok_or_else(|| anyhow!("the fetch was cut off"))?;
    std::fs::rename(&restored.root, target).with_context(|| target.display().to_string())?;
    Ok((restored.count, summary))
}

/// A tree as far as it came.
struct Restored {
    root: PathBuf,
    /// Whose content comes.
    file: Option<File>,
    count: u64,
}

impl Restored {
    fn new(root: PathBuf) -> Self {
        Self {
            root,
            file: None,
            count: 0,
        }
    }

    fn add(&mut self, piece: TreePiece) -> anyhow::Result<()> {
        match piece {
            TreePiece::Entry(entry) => self.create(&entry),
            TreePiece::Content(content) => {
                let file = self.file.as_mut();
                Ok(file.context("content of no file")?.write_all(&content)?)
            }
        }
    }

    /// All is created anew: two entries of one name are an error, so no link is ever followed.
    fn create(&mut self, entry: &TreeEntry) -> anyhow::Result<()> {
        let inside = OsStr::from_bytes(&entry.path);
        let path = match inside.is_empty() {
            true => self.root.clone(),
            false => self.root.join(inside),
        };
        self.count += 1;
        self.file = None;
        match &entry.kind {
            TreeKind::Directory => std::fs::create_dir(&path),
            TreeKind::Symlink { target } => {
                std::os::unix::fs::symlink(OsStr::from_bytes(target), &path)
            }
            TreeKind::File { .. } => File::create_new(&path).map(|file| self.file = Some(file)),
        }
        .with_context(|| inside.display().to_string())
    }
}
