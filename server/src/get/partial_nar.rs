//! Parts of a store item's NAR without the rest of it: by the chunk index that its narinfo names, or out of the plain NAR on IPFS.
//!
//! Both are hints that nobody signed: blocks have the hashes in the hint's CID and below it, and the NAR has the signed size; whether it is the NAR that
//! was signed only all of it can tell.

use super::pieces::Pieces;
use super::plain::Plain;
use super::{Access, names};
use crate::cli::Failure;
use crate::proxy::Available;
use anyhow::anyhow;
use bytes::Bytes;
use interplanar_core::cid::{self, Cid, IpfsUrl};
use interplanar_core::dedup;
use interplanar_core::nar::{ListEntry, Listing, Node, Skim};
use interplanar_core::narinfo::Compression;
use std::ops::Range;
use tokio::task::block_in_place;

/// How parts of a NAR can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// By this chunk index.
    Index(Cid),
    /// From this file, which is the plain NAR.
    Plain(Cid),
}

impl Hint {
    /// What a narinfo has, what costs fewest bytes first.
    pub fn of(item: &Available) -> impl Iterator<Item = Self> {
        let index = cid_of(item, dedup::FIELD).map(Self::Index);
        let mut entries = item.narinfo().entries().iter();
        let plain = entries.find_map(|entry| {
            let url = IpfsUrl::parse(&entry.url).ok()?;
            let whole = entry.compression == Compression::None && url.path.is_empty();
            whole.then_some(Self::Plain(url.cid))
        });
        [index, plain].into_iter().flatten()
    }

    /// Its CID.
    #[must_use]
    pub fn cid(self) -> Cid {
        let (Self::Index(cid) | Self::Plain(cid)) = self;
        cid
    }
}

impl std::fmt::Display for Hint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Index(_) => "its chunk index",
            Self::Plain(_) => "its plain NAR on IPFS",
        })
    }
}

/// A CID in a field that nobody signed.
pub(super) fn cid_of(item: &Available, field: &str) -> Option<Cid> {
    cid::parse(item.narinfo().extra(field)?).ok()
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// A file: where its content is in the NAR.
    File(Range<u64>),
    /// A link, and where it leads.
    Symlink(String),
    /// A directory.
    Directory,
    /// Nothing.
    Absent,
}

enum Way<'a> {
    Index(Pieces<'a>),
    Plain(Plain<'a>),
}

/// See the module.
pub struct Parts<'a> {
    way: Way<'a>,
    nar_size: u64,
}

impl<'a> Parts<'a> {
    /// Begins to read.
    ///
    /// # Errors
    /// Exit code 4 when nobody has what the hint names, 3 when it is of no such NAR.
    pub async fn open(access: &'a Access, item: &Available, hint: Hint) -> Result<Self, Failure> {
        let nar_size = item.narinfo().nar_size();
        let way = match hint {
            Hint::Index(cid) => Way::Index(Pieces::open(access, &cid, nar_size).await?),
            Hint::Plain(cid) => Way::Plain(Plain::new(access, cid, nar_size)),
        };
        Ok(Self { way, nar_size })
    }

    /// The tree of the item, from what has framing.
    ///
    /// # Errors
    /// As [`Self::open`], for what is read.
    pub async fn listing(&mut self) -> Result<Listing, Failure> {
        let skim = self.skim(|_| false).await?;
        Ok(skim.listing().clone())
    }

    /// What stands at a path, from what has framing up to it.
    ///
    /// # Errors
    /// As [`Self::listing`].
    pub async fn member(&mut self, path: &str) -> Result<Member, Failure> {
        let path = names(path).collect::<Vec<_>>().join("/");
        let there = |listing: &Listing| listing.lookup(path.as_bytes()).is_some();
        let skim = self.skim(there).await?;
        let entry = skim.listing().lookup(path.as_bytes());
        Ok(match entry.map(|ListEntry { node, .. }| node) {
            Some(Node::File {
                nar_offset, size, ..
            }) => Member::File(*nar_offset..nar_offset.saturating_add(*size)),
            Some(Node::Symlink { target }) => {
                Member::Symlink(String::from_utf8_lossy(target).into_owned())
            }
            Some(Node::Directory) => Member::Directory,
            None => Member::Absent,
        })
    }

    /// Hands bytes of the NAR to `take`, in order.
    ///
    /// # Errors
    /// As [`Self::listing`]; those of `take`.
    pub async fn read(
        &mut self,
        range: Range<u64>,
        mut take: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> Result<(), Failure> {
        if range.end > self.nar_size {
            return Err(lie("a file goes on behind the end"));
        }
        let plain = match &mut self.way {
            Way::Index(pieces) => return pieces.read(range, take).await,
            Way::Plain(plain) => plain,
        };
        let mut at = range.start;
        while at < range.end {
            let bytes = plain.at(at).await?;
            let left = usize::try_from(range.end.saturating_sub(at)).unwrap_or(usize::MAX);
            let bytes = bytes.get(..left).unwrap_or(&bytes);
            block_in_place(|| take(bytes))?;
            at = at.saturating_add(bytes.len() as u64);
        }
        Ok(())
    }

    /// Reads framing to the end of the NAR, or until what is listed is enough.
    async fn skim(&mut self, enough: impl Fn(&Listing) -> bool) -> Result<Skim, Failure> {
        let mut skim = Skim::new();
        while !skim.is_done() && !enough(skim.listing()) {
            let bytes = self.at(skim.position()).await?;
            block_in_place(|| skim.push(&bytes)).map_err(lie)?;
        }
        if skim.is_done() && skim.position() != self.nar_size {
            return Err(lie("it has another size"));
        }
        Ok(skim)
    }

    async fn at(&mut self, at: u64) -> Result<Bytes, Failure> {
        if at >= self.nar_size {
            return Err(lie("it goes on behind the end"));
        }
        match &mut self.way {
            Way::Index(pieces) => pieces.at(at).await,
            Way::Plain(plain) => plain.at(at).await,
        }
    }
}

fn lie(what: impl std::fmt::Display) -> Failure {
    Failure::verification(anyhow!("what it leads to is not the signed NAR: {what}"))
}
