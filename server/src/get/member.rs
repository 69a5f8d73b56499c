//! A file in a store item, or the item's tree, with as little of the NAR as that takes.
//!
//! | the narinfo has | a file | the tree |
//! |---|---|---|
//! | `Tree` | by its path in that folder | – |
//! | `ChunkIndex` | the pieces with framing up to it, and its own | the pieces with framing |
//! | neither, or what it has is wrong or nowhere | the whole NAR | the whole NAR |
//!
//! Only the whole NAR can be compared with the signed hash; who reads less is told so ([`Proof`]). Once a byte was handed on, another way would begin
//! with other bytes perhaps, so from there on what is wrong is an error.

use super::{Access, Pieces, content, item};
use crate::cli::Failure;
use crate::proxy::{Available, Proxy};
use anyhow::anyhow;
use interplanar_core::cid::{self, Cid, IpfsUrl};
use interplanar_core::dedup;
use interplanar_core::nar::{Listing, Node};
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
    if !whole && let Some(tree) = field(found, dedup::TREE_FIELD) {
        let mut url = IpfsUrl::new(tree);
        url.path = names(path).map(str::to_owned).collect();
        let fetched = content::fetch(access, &url, &mut out).await;
        match fetched {
            Ok(_) => return Ok(Proof::Cid(tree)),
            Err(failure) => out.may_go_on(failure, "its tree")?,
        }
    }
    if !whole && let Some(index) = field(found, dedup::FIELD) {
        match by_pieces(access, found, path, &mut out).await {
            Ok(true) => return Ok(Proof::Cid(index)),
            Ok(false) => {
                return Err(Failure::not_found(anyhow!(
                    "no file \"{path}\" in {}, says its chunk index, which nobody signed; --whole reads all of the NAR",
                    found.narinfo().store_path()
                )));
            }
            Err(failure) => out.may_go_on(failure, "its chunk index")?,
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
    if !whole && let Some(index) = field(found, dedup::FIELD) {
        match all_by_pieces(access, found).await {
            Ok(listing) => return Ok((listing, Proof::Cid(index))),
            Err(failure) => say(&failure, "its chunk index"),
        }
    }
    let listing = item::listing(proxy, found).await?;
    Ok((listing, Proof::NarHash))
}

async fn all_by_pieces(access: &Access, found: &Available) -> Result<Listing, Failure> {
    match Pieces::open(access, found).await? {
        Some(mut pieces) => pieces.listing(|_| false).await,
        None => Err(anyhow!("there is none").into()),
    }
}

/// Whether the index knows such a file.
async fn by_pieces(
    access: &Access,
    found: &Available,
    path: &str,
    out: &mut (impl Write + Send),
) -> Result<bool, Failure> {
    let Some(mut pieces) = Pieces::open(access, found).await? else {
        return Ok(false);
    };
    let path = names(path).collect::<Vec<_>>().join("/");
    let listing = pieces
        .listing(|listing| listing.lookup(path.as_bytes()).is_some())
        .await?;
    let entry = listing.lookup(path.as_bytes());
    let Some(Node::File {
        nar_offset, size, ..
    }) = entry.map(|entry| &entry.node)
    else {
        return Ok(false);
    };
    let range = *nar_offset..nar_offset.saturating_add(*size);
    pieces.read(range, |data| Ok(out.write_all(data)?)).await?;
    Ok(true)
}

fn field(found: &Available, name: &str) -> Option<Cid> {
    cid::parse(found.narinfo().extra(name)?).ok()
}

fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}

fn say(failure: &Failure, what: &str) {
    let error = &failure.error;
    tracing::warn!("{what} can't be used, so the NAR itself is read: {error:#}");
}

/// Counts what was handed on.
struct Counted<W> {
    out: W,
    bytes: u64,
}

impl<W> Counted<W> {
    /// Whether another way may be tried after a failure.
    fn may_go_on(&self, failure: Failure, what: &str) -> Result<(), Failure> {
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
