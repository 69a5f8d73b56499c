//! Where the bytes of a NAR may come from, in the order in which they are tried.
//!
//! First what leads to IPFS (`ipfs:` URLs and gateway URLs alike: the proxy asks its own gateways, not the one that an entry
//! names), those whose root block is here already before the others; then plain HTTP. A cache that lies in IPFS itself and is
//! read through a gateway gives both. Among equals the smallest file goes first, and where
//! sizes are not told what decodes fastest. Entries that were found to be wrong, or that nobody here decodes, are left out.

use super::{Known, join};
use crate::cid::IpfsUrl;
use crate::narinfo::{Compression, Entry};
use crate::unixfs::Budget;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

/// Entries of a narinfo that are tried at most.
const MAX_SOURCES: usize = 16;

/// One source of a NAR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub place: Place,
    /// How it is compressed there.
    pub compression: Compression,
    /// As the narinfo says it, signed by nobody.
    pub file_size: Option<u64>,
}

/// Where a source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On IPFS.
    Ipfs(IpfsUrl),
    /// At this http or https URL.
    Http(String),
}

impl Source {
    /// What it is called in logs and remembered by.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.place {
            Place::Ipfs(url) => url.to_string(),
            Place::Http(url) => url.clone(),
        }
    }
}

/// The sources of a NAR. `is_local` tells whether a root block is here; `is_bad` whether a source, by its name, was wrong before.
pub fn sources(
    known: &Known,
    is_local: impl Fn(&IpfsUrl) -> bool,
    is_bad: impl Fn(&str) -> bool,
) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    let entries = known.narinfo.entries().iter();
    for entry in entries.filter(|entry| decodes(entry.compression)) {
        for place in places(entry, &known.upstream) {
            let source = Source {
                place,
                compression: entry.compression,
                file_size: entry.file_size,
            };
            if !sources.contains(&source) && !is_bad(&source.name()) {
                sources.push(source);
            }
        }
    }
    sources.sort_by_cached_key(|source| {
        let tier = match &source.place {
            Place::Ipfs(url) if is_local(url) => 0,
            Place::Ipfs(_) => 1,
            Place::Http(_) => 2,
        };
        (
            tier,
            source.file_size.unwrap_or(u64::MAX),
            slowness(source.compression),
        )
    });
    sources.truncate(MAX_SOURCES);
    sources
}

/// No compression makes a NAR longer than this.
#[must_use]
pub fn max_file_size(nar_size: u64) -> u64 {
    nar_size
        .saturating_add(nar_size >> 3)
        .saturating_add(1 << 20)
}

/// What a walk over the DAG of a NAR may use: even chunks of 512 bytes are allowed, and trees of any shape.
#[must_use]
pub fn budget(nar_size: u64) -> Budget {
    let output = max_file_size(nar_size);
    Budget {
        blocks: (output >> 9).saturating_add(1024),
        depth: 64,
        output,
    }
}

fn places(entry: &Entry, upstream: &str) -> Vec<Place> {
    if let Ok(url) = IpfsUrl::parse(&entry.url).or_else(|_| IpfsUrl::parse_gateway(&entry.url)) {
        return vec![Place::Ipfs(url)];
    }
    if let Ok(directory) = IpfsUrl::parse(upstream)
        && !entry.url.contains(':')
        && !entry.url.starts_with('/')
    {
        // A cache that is a directory on IPFS: what is relative is in it.
        let url = IpfsUrl::parse(&format!("{directory}/{}", entry.url));
        return url.ok().map(Place::Ipfs).into_iter().collect();
    }
    let Some(url) = join(upstream, &entry.url) else {
        return Vec::new();
    };
    let ipfs = IpfsUrl::parse_gateway(&url).ok().map(Place::Ipfs);
    ipfs.into_iter().chain([Place::Http(url)]).collect()
}

fn decodes(compression: Compression) -> bool {
    !matches!(compression, Compression::Bzip2 | Compression::Br)
}

/// The order of decoding speed (design.md).
fn slowness(compression: Compression) -> u8 {
    match compression {
        Compression::Zstd => 0,
        Compression::Gzip => 1,
        Compression::Xz | Compression::Lzip => 2,
        Compression::None => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CID: &str = "bafybeiew7s3tfrzlicbgzhtmochwrlu45eqsingqgxneg5o5rurkgedhie";

    #[test]
    fn what_is_relative_in_a_directory_on_ipfs_is_in_it() {
        let named = |url: &str, upstream: &str| -> Vec<String> {
            let entry = Entry {
                url: url.to_string(),
                compression: Compression::Zstd,
                file_size: None,
                file_hash: None,
            };
            places(&entry, upstream)
                .into_iter()
                .map(|place| match place {
                    Place::Ipfs(url) => url.to_string(),
                    Place::Http(url) => url,
                })
                .collect()
        };
        let root = format!("ipfs://{CID}");
        let deep = format!("{root}/a%20cache");
        assert_eq!(
            named("nar/zstd/x-g%2B%2B", &root),
            [format!("{root}/nar/zstd/x-g++")]
        );
        assert_eq!(named("nar/x", &deep), [format!("{deep}/nar/x")]);
        // Elsewhere is elsewhere, and the root of a directory on IPFS is nowhere.
        assert_eq!(named("http://a/nar/x", &root), ["http://a/nar/x"]);
        assert_eq!(named(&root, &deep), [root.as_str()]);
        assert!(named("/nar/x", &root).is_empty());
        assert!(named("//a/x", &root).is_empty());
        assert!(named("nar/%zz", &root).is_empty());
    }
}
