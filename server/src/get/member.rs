//! A file inside a store item, or the list of its files, read from as little of the NAR as
//! possible.
//!
//! | the narinfo has | a file | the list |
//! |---|---|---|
//! | `Tree` | by its path in the tree | – |
//! | `ChunkIndex` | its pieces, and framing before it | the pieces with framing |
//! | the plain NAR on IPFS | its leaves, and framing before it | the leaves with framing |
//! | none of these, or a wrong or unavailable one | the whole NAR | the whole NAR |
//!
//! Only the whole NAR can be compared with the signed hash. [`Proof`] says what was compared. After
//! the first byte was written, an error is final: another source might start with other bytes.

use super::partial_nar::cid_of;
use super::{Access, Hint, Member, PartialNar, content, item, names};
use crate::cli::Failure;
use crate::proxy::{Available, Proxy};
use anyhow::anyhow;
use interplanar_core::cid::{Cid, IpfsUrl};
use interplanar_core::dedup;
use interplanar_core::nar::Listing;
use std::io::{self, Write};

/// What the content was verified against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// This CID: each block below it has the right hash. The narinfo names the CID, but no
    /// signature covers it.
    Cid(Cid),
    /// The signed NarHash: the whole NAR was read.
    NarHash,
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cid(cid) => write!(
                f,
                "verified against {cid}, which no signature covers; use --whole to compare the whole NAR with the signed NarHash"
            ),
            Self::NarHash => f.write_str("the whole NAR was read and has the signed NarHash"),
        }
    }
}

/// Writes a file of an item to `out`. With `whole`, always reads the whole NAR.
///
/// # Errors
/// Exit code 4 when the file doesn't exist, 3 when verification fails.
pub async fn file(
    access: &Access,
    (proxy, found): (&Proxy, &Available),
    path: &str,
    whole: bool,
    out: &mut (impl Write + Send),
) -> Result<Proof, Failure> {
    let mut out = CountingWriter { out, bytes: 0 };
    if !whole && let Some(tree) = cid_of(found, dedup::TREE_FIELD) {
        let mut url = IpfsUrl::new(tree);
        url.path = names(path).map(str::to_owned).collect();
        match content::fetch(access, &url, &mut out).await {
            Ok(_) => return Ok(Proof::Cid(tree)),
            Err(failure) => out.allow_fallback(failure, &"its tree")?,
        }
    }
    for hint in Hint::of(found).filter(|_| !whole) {
        match file_from_parts(access, found, hint, path, &mut out).await {
            Ok(None) => return Ok(Proof::Cid(hint.cid())),
            Ok(Some(instead)) => {
                return Err(Failure::not_found(anyhow!(
                    "{instead} in {}, according to {hint}, which no signature covers; use --whole to read the whole NAR",
                    found.narinfo().store_path()
                )));
            }
            Err(failure) => out.allow_fallback(failure, &hint)?,
        }
    }
    if item::file(proxy, found, path, |data| Ok(out.write_all(data)?)).await? {
        Ok(Proof::NarHash)
    } else {
        Err(Failure::not_found(anyhow!(
            "there is no file \"{path}\" in {}; `interplanar ls` lists its files (links are not followed)",
            found.narinfo().store_path()
        )))
    }
}

/// Lists the files of an item. With `whole`, always reads the whole NAR.
///
/// # Errors
/// See [`file()`].
pub async fn listing(
    access: &Access,
    (proxy, found): (&Proxy, &Available),
    whole: bool,
) -> Result<(Listing, Proof), Failure> {
    for hint in Hint::of(found).filter(|_| !whole) {
        match list_from_parts(access, found, hint).await {
            Ok(listing) => return Ok((listing, Proof::Cid(hint.cid()))),
            Err(failure) => warn_fallback(&failure, &hint),
        }
    }
    let listing = item::listing(proxy, found).await?;
    Ok((listing, Proof::NarHash))
}

async fn list_from_parts(
    access: &Access,
    found: &Available,
    hint: Hint,
) -> Result<Listing, Failure> {
    let mut nar = PartialNar::open(access, found, hint).await?;
    nar.listing().await
}

/// Writes the file and returns `None`, or describes what is at the path instead.
async fn file_from_parts(
    access: &Access,
    found: &Available,
    hint: Hint,
    path: &str,
    out: &mut (impl Write + Send),
) -> Result<Option<String>, Failure> {
    let mut nar = PartialNar::open(access, found, hint).await?;
    let instead = match nar.member(path).await? {
        Member::File(range) => {
            let write = |data: &[u8]| Ok(out.write_all(data)?);
            nar.read(range, write).await?;
            return Ok(None);
        }
        Member::Symlink(target) => format!("\"{path}\" is a symbolic link to {target:?}"),
        Member::Directory => format!("\"{path}\" is a directory"),
        Member::Absent => format!("there is no \"{path}\""),
    };
    Ok(Some(instead))
}

fn warn_fallback(failure: &Failure, what: &dyn std::fmt::Display) {
    let error = &failure.error;
    tracing::warn!("can't use {what}, trying the next source: {error:#}");
}

/// Counts the bytes that were written.
struct CountingWriter<W> {
    out: W,
    bytes: u64,
}

impl<W> CountingWriter<W> {
    /// Returns the failure if bytes were already written; otherwise logs it, so that another source
    /// can be tried.
    fn allow_fallback(
        &self,
        failure: Failure,
        what: &dyn std::fmt::Display,
    ) -> Result<(), Failure> {
        if self.bytes > 0 {
            return Err(failure);
        }
        warn_fallback(&failure, what);
        Ok(())
    }
}

impl<W: Write> Write for CountingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes = self.bytes.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
