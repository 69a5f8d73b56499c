//! Directories on IPFS: lists them, or restores them to a folder that appears only when it is
//! complete.

use super::access::{failure, walk_error};
use super::{Access, Bar};
use crate::cli::Failure;
use anyhow::{Context as _, anyhow};
use futures_util::StreamExt as _;
use interplanar_core::cid::{Cid, IpfsUrl};
use interplanar_core::fetch::{Summary, TreeEntry, TreeKind, TreePiece};
use interplanar_core::unixfs::{Budget, Content, DirEntry, Entries};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use tokio::task::block_in_place;

/// Returns the entries of a directory, plain or sharded.
///
/// # Errors
/// Exit code 4 when no source has a block, 3 when it is not a directory.
pub async fn entries(access: &Access, root: &Cid) -> Result<Vec<DirEntry>, Failure> {
    let mut entries = Entries::new(*root, Budget::default());
    let mut all = Vec::new();
    while !entries.is_done() {
        for cid in entries.wants(1) {
            entries.push(&access.block(&cid).await?).map_err(|error| {
                Failure::verification(anyhow!(walk_error(&IpfsUrl::new(*root), &error)))
            })?;
        }
        all.extend(std::iter::from_fn(|| entries.next()));
    }
    Ok(all)
}

/// Decodes the block of a CID as UnixFS.
///
/// # Errors
/// See [`entries`].
pub async fn content_at(access: &Access, cid: &Cid) -> Result<Content, Failure> {
    Content::decode(&access.block(cid).await?).map_err(Failure::verification)
}

/// Restores a file, directory or symbolic link to `target`, which must not exist. Returns the
/// number of entries, and what was fetched.
///
/// # Errors
/// Those of [`entries`]. A name is not a valid file name, or the target exists.
pub async fn restore(access: &Access, root: Cid, target: &Path) -> Result<(u64, Summary), Failure> {
    if target.symlink_metadata().is_ok() {
        return Err(anyhow!("can't write to {}: it already exists", target.display()).into());
    }
    let beside = target
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let temporary = tempfile::Builder::new()
        .prefix(".interplanar-")
        .tempdir_in(beside)?;
    let mut restored = RestoredFolder::new(temporary.path().join("root"));
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
    let summary = summary.ok_or_else(|| anyhow!("the fetch ended early"))?;
    std::fs::rename(&restored.root, target)
        .with_context(|| format!("can't rename the download to {}", target.display()))?;
    Ok((restored.count, summary))
}

/// A directory that is being restored.
struct RestoredFolder {
    root: PathBuf,
    /// The file that receives content now.
    file: Option<File>,
    count: u64,
}

impl RestoredFolder {
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
                Ok(file
                    .context("the content belongs to no file")?
                    .write_all(&content)?)
            }
        }
    }

    /// Creates an entry. It must not exist: two entries with one name are an error, so no link is
    /// ever followed.
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
        .with_context(|| format!("can't create \"{}\"", inside.display()))
    }
}
