//! Directories of IPFS: listed, or restored to a folder that appears whole.

use super::{Access, content};
use crate::cli::Failure;
use anyhow::{Context as _, anyhow, bail};
use interplanar_core::cid::{Cid, IpfsUrl};
use interplanar_core::nar::MAX_NAME;
use interplanar_core::unixfs::{Budget, Content, DirEntry, Entries};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Deepest directory that is restored.
const MAX_DEPTH: usize = 64;

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

/// Restores a file, directory or link to `target`, which mustn't exist; says how many there were.
///
/// # Errors
/// As [`entries`]; names that no file may have; the target exists.
pub async fn restore(access: &Access, root: Cid, target: &Path) -> Result<u64, Failure> {
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
    let whole = temporary.path().join("root");
    let mut open = vec![(root, whole.clone(), 0_usize)];
    let mut count = 0;
    while let Some((cid, path, depth)) = open.pop() {
        count += 1;
        match content_of(access, &cid).await? {
            Content::Directory(_) | Content::Shard { .. } if depth < MAX_DEPTH => {
                // Created anew: two entries of one name are an error, so no link is ever followed.
                std::fs::create_dir(&path)?;
                for entry in entries(access, &cid).await? {
                    open.push((entry.cid, path.join(name(&entry)?), depth + 1));
                }
            }
            Content::Directory(_) | Content::Shard { .. } => {
                return Err(anyhow!("directories are too deep").into());
            }
            Content::Symlink(to) => std::os::unix::fs::symlink(OsStr::from_bytes(&to), &path)?,
            Content::Raw(_) | Content::File { .. } => {
                let mut file = std::fs::File::create_new(&path)?;
                content::fetch(access, &IpfsUrl::new(cid), &mut file).await?;
            }
        }
    }
    std::fs::rename(&whole, target).with_context(|| target.display().to_string())?;
    Ok(count)
}

fn name(entry: &DirEntry) -> anyhow::Result<&OsStr> {
    let name = entry.name.as_ref();
    let sound = !matches!(name, b"" | b"." | b"..")
        && name.len() <= MAX_NAME
        && !name.iter().any(|byte| matches!(byte, 0 | b'/'));
    if !sound {
        bail!("the directory has an entry whose name no file may have");
    }
    Ok(OsStr::from_bytes(name))
}
