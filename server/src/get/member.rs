//! A file in a store item, or the item's tree, with as little of the NAR as that takes.
//!
//! | the narinfo has | a file | the tree |
//! |---|---|---|
//! | `Tree` | by its path in that folder | – |
//! | `ChunkIndex` | the pieces with framing up to it, and its own | the pieces with framing |
//! | the plain NAR on IPFS | the leaves with framing up to it, and its own | the leaves with framing |
//! | none, or what it has is wrong or nowhere | the whole NAR | the whole NAR |
//!
//! Only the whole NAR can be compared with the signed hash; who reads less is told so ([`Proof`]). Once a byte was handed on, another way would begin
//! with other bytes perhaps, so from there on what is wrong is an error.

use super::parts::cid_of;
use super::{Access, Hint, Member, Parts, content, item, names};
use crate::cli::Failure;
use crate::proxy::{Available, Proxy};
use anyhow::anyhow;
use interplanar_core::cid::{Cid, IpfsUrl};
use interplanar_core::dedup;
use interplanar_core::nar::Listing;
use std::io::{self, Write};

/// What stands for what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Each block had the hash in this CID and those below it, which the narinfo names but its signature doesn't cover.
    Cid(Cid),
    /// All of the NAR was read, and has the signed hash.
    NarHash,
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cid(cid) => write!(
                f,
                "verified against {cid}, which nobody signed; --whole reads all of the NAR and compares it with the signed NarHash"
            ),
            Self::NarHash => f.write_str("all of the NAR was read, and has the signed NarHash"),
        }
    }
}

/// Writes a file of an item to `out`. `whole` reads all of the NAR in any case.
///
/// # Errors
/// Exit code 4 when there is no such file, 3 when what was read is wrong.
pub async fn file(
    access: &Access,
    (proxy, found): (&Proxy, &Available),
    path: &str,
    whole: bool,
    out: &mut (impl Write + Send),
) -> Result<Proof, Failure> {
    let mut out = Counted { out, bytes: 0 };
    if !whole && let Some(tree) = cid_of(found, dedup::TREE_FIELD) {
        let mut url = IpfsUrl::new(tree);
        url.path = names(path).map(str::to_owned).collect();
        match content::fetch(access, &url, &mut out).await {
            Ok(_) => return Ok(Proof::Cid(tree)),
            Err(failure) => out.may_go_on(failure, &"its tree")?,
        }
    }
    for hint in Hint::of(found).filter(|_| !whole) {
        match by_parts(access, found, hint, path, &mut out).await {
            Ok(None) => return Ok(Proof::Cid(hint.cid())),
            Ok(Some(instead)) => {
                return Err(Failure::not_found(anyhow!(
                    "{instead} in {}, says {hint}, which nobody signed; --whole reads all of the NAR",
                    found.narinfo().store_path()
                )));
            }
            Err(failure) => out.may_go_on(failure, &hint)?,
        }
    }
    if item::file(proxy, found, path, |data| Ok(out.write_all(data)?)).await? {
        Ok(Proof::NarHash)
    } else {
        Err(Failure::not_found(anyhow!(
            "no file \"{path}\" in {}",
            found.narinfo().store_path()
        )))
    }
}

/// The tree of an item. `whole` reads all of the NAR in any case.
///
/// # Errors
/// As [`file`].
pub async fn listing(
    access: &Access,
    (proxy, found): (&Proxy, &Available),
    whole: bool,
) -> Result<(Listing, Proof), Failure> {
    for hint in Hint::of(found).filter(|_| !whole) {
        match all_by_parts(access, found, hint).await {
            Ok(listing) => return Ok((listing, Proof::Cid(hint.cid()))),
            Err(failure) => say(&failure, &hint),
        }
    }
    let listing = item::listing(proxy, found).await?;
    Ok((listing, Proof::NarHash))
}

async fn all_by_parts(access: &Access, found: &Available, hint: Hint) -> Result<Listing, Failure> {
    let mut parts = Parts::open(access, found, hint).await?;
    parts.listing().await
}

/// Writes the file, or says what there is instead.
async fn by_parts(
    access: &Access,
    found: &Available,
    hint: Hint,
    path: &str,
    out: &mut (impl Write + Send),
) -> Result<Option<String>, Failure> {
    let mut parts = Parts::open(access, found, hint).await?;
    let instead = match parts.member(path).await? {
        Member::File(range) => {
            let write = |data: &[u8]| Ok(out.write_all(data)?);
            parts.read(range, write).await?;
            return Ok(None);
        }
        Member::Symlink(target) => format!("\"{path}\" is a link to {target:?}"),
        Member::Directory => format!("\"{path}\" is a directory"),
        Member::Absent => format!("there is no \"{path}\""),
    };
    Ok(Some(instead))
}

fn say(failure: &Failure, what: &dyn std::fmt::Display) {
    let error = &failure.error;
    tracing::warn!("{what} is of no use here, so the next way is tried: {error:#}");
}

/// Counts what was handed on.
struct Counted<W> {
    out: W,
    bytes: u64,
}

impl<W> Counted<W> {
    /// Whether another way may be tried after a failure.
    fn may_go_on(&self, failure: Failure, what: &dyn std::fmt::Display) -> Result<(), Failure> {
        if self.bytes > 0 {
            return Err(failure);
        }
        say(&failure, what);
        Ok(())
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes = self.bytes.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
