//! The sources from which the bytes of a NAR can come, in the order in which they are tried.
//!
//! IPFS sources come first, from `ipfs:` URLs and gateway URLs alike: the proxy asks its own
//! gateways, not the one that an entry names. Among them, those whose root block is stored locally
//! come first. HTTP sources follow. A cache on IPFS that is read through a gateway provides both.
//!
//! Among equals, smaller files come first; if the sizes are unknown, the faster decoder decides.
//! Sources that sent wrong bytes before, and compression methods without a decoder, are left out.

use super::{Known, join};
use crate::cid::IpfsUrl;
use crate::narinfo::{Compression, Entry};
use crate::unixfs::Budget;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

/// Maximum number of sources that are tried.
const MAX_SOURCES: usize = 16;

/// One source of a NAR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where the source is.
    pub place: Place,
    /// Compression method of the file at the source.
    pub compression: Compression,
    /// Bytes of the compressed file, as the unsigned entry of the narinfo claims.
    pub file_size: Option<u64>,
}

/// Where a source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On IPFS, at this URL.
    Ipfs(IpfsUrl),
    /// On an HTTP server, at this http or https URL.
    Http(String),
}

impl Source {
    /// The source's URL, which names it in logs and in the list of bad sources.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.place {
            Place::Ipfs(url) => url.to_string(),
            Place::Http(url) => url.clone(),
        }
    }
}

/// Returns the sources of a NAR. `is_local` tells whether a root block is stored locally. `is_bad`
/// tells whether the source of this name sent wrong bytes before.
pub fn sources(
    known: &Known,
    is_local: impl Fn(&IpfsUrl) -> bool,
    is_bad: impl Fn(&str) -> bool,
) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    let entries = known.hints.entries().iter();
    for entry in entries.filter(|entry| has_decoder(entry.compression)) {
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
            decoding_rank(source.compression),
        )
    });
    sources.truncate(MAX_SOURCES);
    sources
}

/// Upper bound for the compressed size of a NAR, in bytes.
#[must_use]
pub fn max_file_size(nar_size: u64) -> u64 {
    nar_size
        .saturating_add(nar_size >> 3)
        .saturating_add(1 << 20)
}

/// Returns the budget of a walk over the DAG of a NAR. It allows chunks of 512 bytes and DAGs of
/// any shape.
#[must_use]
pub fn budget(nar_size: u64) -> Budget {
    let output = max_file_size(nar_size);
    Budget {
        blocks: (output >> 9).saturating_add(1024),
        output,
        ..Budget::default()
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
        // The cache is a directory on IPFS: resolve relative URLs inside it.
        let url = IpfsUrl::parse(&format!("{directory}/{}", entry.url));
        return url.ok().map(Place::Ipfs).into_iter().collect();
    }
    let Some(url) = join(upstream, &entry.url) else {
        return Vec::new();
    };
    let ipfs = IpfsUrl::parse_gateway(&url).ok().map(Place::Ipfs);
    ipfs.into_iter().chain([Place::Http(url)]).collect()
}

fn has_decoder(compression: Compression) -> bool {
    !matches!(compression, Compression::Bzip2 | Compression::Br)
}

/// Rank in the order of decoding speed, fastest first (docs/design.md).
fn decoding_rank(compression: Compression) -> u8 {
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
    fn relative_urls_resolve_inside_a_directory_on_ipfs() {
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
        // Absolute URLs stay as they are. Nothing resolves against the host of a directory on IPFS.
        assert_eq!(named("http://a/nar/x", &root), ["http://a/nar/x"]);
        assert_eq!(named(&root, &deep), [root.as_str()]);
        assert!(named("/nar/x", &root).is_empty());
        assert!(named("//a/x", &root).is_empty());
        assert!(named("nar/%zz", &root).is_empty());
    }
}
