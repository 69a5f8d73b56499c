//! Parts of a store item's NAR, read by the chunk index in its narinfo or from the plain NAR on
//! IPFS.
//!
//! Both are hints without a signature. Each block is verified against the hint's CID, and the NAR
//! must have the signed size. Only the whole NAR shows whether it is the signed one.

use super::indexed_nar::IndexedNar;
use super::plain_nar::PlainNar;
use super::{Access, names};
use crate::cli::Failure;
use crate::proxy::Available;
use anyhow::anyhow;
use bytes::Bytes;
use interplanar_core::cid::{self, Cid, IpfsUrl};
use interplanar_core::dedup;
use interplanar_core::nar::{ListEntry, Listing, NarSkimmer, Node};
use interplanar_core::narinfo::Compression;
use std::ops::Range;
use tokio::task::block_in_place;

/// A hint in a narinfo for reading parts of a NAR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// The CID of a chunk index.
    Index(Cid),
    /// The CID of a file that is the plain NAR.
    PlainNar(Cid),
}

impl Hint {
    /// Returns the hints of a narinfo. The one that needs fewer bytes comes first.
    pub fn of(item: &Available) -> impl Iterator<Item = Self> {
        let index = cid_of(item, dedup::FIELD).map(Self::Index);
        let mut entries = item.hints().entries().iter();
        let plain = entries.find_map(|entry| {
            let url = IpfsUrl::parse(&entry.url).ok()?;
            let whole = entry.compression == Compression::None && url.path.is_empty();
            whole.then_some(Self::PlainNar(url.cid))
        });
        [index, plain].into_iter().flatten()
    }

    /// Returns the CID.
    #[must_use]
    pub fn cid(self) -> Cid {
        let (Self::Index(cid) | Self::PlainNar(cid)) = self;
        cid
    }
}

impl std::fmt::Display for Hint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Index(_) => "its chunk index",
            Self::PlainNar(_) => "its plain NAR on IPFS",
        })
    }
}

/// Returns the CID in an unsigned field of the narinfo.
pub(super) fn cid_of(item: &Available, field: &str) -> Option<Cid> {
    cid::parse(item.hints().extra(field)?).ok()
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// A file, with the position of its content in the NAR, in bytes.
    File(Range<u64>),
    /// A symbolic link, with its target.
    Symlink(String),
    /// A directory.
    Directory,
    /// Nothing.
    Absent,
}

enum NarReader<'a> {
    Index(IndexedNar<'a>),
    PlainNar(PlainNar<'a>),
}

/// A NAR that can be read in parts. See the module.
pub struct PartialNar<'a> {
    reader: NarReader<'a>,
    nar_size: u64,
}

impl<'a> PartialNar<'a> {
    /// Prepares to read. For a chunk index, fetches its root.
    ///
    /// # Errors
    /// Exit code 4 when no source has the blocks that the hint names, 3 when the chunk index
    /// doesn't fit the NAR.
    pub async fn open(access: &'a Access, item: &Available, hint: Hint) -> Result<Self, Failure> {
        let nar_size = item.signed().nar_size();
        let reader = match hint {
            Hint::Index(cid) => NarReader::Index(IndexedNar::open(access, &cid, nar_size).await?),
            Hint::PlainNar(cid) => NarReader::PlainNar(PlainNar::new(access, cid, nar_size)),
        };
        Ok(Self { reader, nar_size })
    }

    /// Lists the files, from the parts with framing.
    ///
    /// # Errors
    /// Those of [`Self::open`], for the parts that are read.
    pub async fn listing(&mut self) -> Result<Listing, Failure> {
        let skim = self.skim(|_| false).await?;
        Ok(skim.listing().clone())
    }

    /// Returns what is at a path, from the parts with framing before it.
    ///
    /// # Errors
    /// See [`Self::listing`].
    pub async fn member(&mut self, path: &str) -> Result<Member, Failure> {
        let path = names(path).collect::<Vec<_>>().join("/");
        let is_listed = |listing: &Listing| listing.lookup(path.as_bytes()).is_some();
        let skim = self.skim(is_listed).await?;
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

    /// Passes a range of the NAR to `take`, in order.
    ///
    /// # Errors
    /// Those of [`Self::listing`], and those of `take`.
    pub async fn read(
        &mut self,
        range: Range<u64>,
        mut consume: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> Result<(), Failure> {
        if range.end > self.nar_size {
            return Err(mismatch("a file reaches beyond the end of the NAR"));
        }
        let plain = match &mut self.reader {
            NarReader::Index(nar) => return nar.read(range, consume).await,
            NarReader::PlainNar(plain) => plain,
        };
        let mut offset = range.start;
        while offset < range.end {
            let bytes = plain.bytes_at(offset).await?;
            let left = usize::try_from(range.end.saturating_sub(offset)).unwrap_or(usize::MAX);
            let bytes = bytes.get(..left).unwrap_or(&bytes);
            block_in_place(|| consume(bytes))?;
            offset = offset.saturating_add(bytes.len() as u64);
        }
        Ok(())
    }

    /// Reads framing to the end of the NAR, or until `enough` accepts the list.
    async fn skim(&mut self, enough: impl Fn(&Listing) -> bool) -> Result<NarSkimmer, Failure> {
        let mut skim = NarSkimmer::new();
        while !skim.is_done() && !enough(skim.listing()) {
            let bytes = self.bytes_at(skim.position()).await?;
            block_in_place(|| skim.push(&bytes)).map_err(mismatch)?;
        }
        if skim.is_done() && skim.position() != self.nar_size {
            return Err(mismatch("its size differs from NarSize"));
        }
        Ok(skim)
    }

    async fn bytes_at(&mut self, offset: u64) -> Result<Bytes, Failure> {
        if offset >= self.nar_size {
            return Err(mismatch("it reaches beyond NarSize"));
        }
        match &mut self.reader {
            NarReader::Index(nar) => nar.bytes_at(offset).await,
            NarReader::PlainNar(plain) => plain.bytes_at(offset).await,
        }
    }
}

fn mismatch(what: impl std::fmt::Display) -> Failure {
    Failure::verification(anyhow!("the content is not the signed NAR: {what}"))
}
