//! What a user names on the command line.

use anyhow::{anyhow, bail};
use interplanar_core::cid::{self, IpfsUrl};
use interplanar_core::store_path::{HASH_PART, StorePath};

/// Something to download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A file or directory on IPFS.
    Ipfs(IpfsUrl),
    /// A store item, by the hash part of its path.
    Item(String),
    /// A file inside a store item: the item's hash part, and the path inside.
    Inside(String, String),
}

impl Target {
    /// Returns the hash part and the path inside of a store item. The path comes from the target
    /// itself, from the separate argument, or from both.
    #[must_use]
    pub fn inside(&self, beside: Option<&str>) -> Option<(&str, Option<String>)> {
        match self {
            Self::Ipfs(_) => None,
            Self::Item(hash) => Some((hash, beside.map(str::to_owned))),
            Self::Inside(hash, path) => {
                let beside = beside.map(|beside| format!("/{beside}"));
                Some((hash, Some(format!("{path}{}", beside.unwrap_or_default()))))
            }
        }
    }
}

impl std::str::FromStr for Target {
    type Err = anyhow::Error;

    /// Parses `ipfs://CID[/PATH]`, `ipfs:CID`, `/ipfs/CID[/PATH]`, a CID, a store path or its base
    /// name, optionally followed by a path inside, or a hash part.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.get(..5).map(str::to_ascii_lowercase);
        if lower.as_deref() == Some("ipfs:") || text.starts_with("/ipfs/") {
            return IpfsUrl::parse(text)
                .map(Self::Ipfs)
                .map_err(|error| anyhow!("\"{text}\": {error}"));
        }
        let mut names = text.split('/').filter(|name| !name.is_empty());
        let base = names.find(|name| StorePath::in_directory("/store", name).is_ok());
        if let Some(base) = base {
            let hash = base.chars().take(HASH_PART).collect();
            let inside = names.collect::<Vec<_>>().join("/");
            return Ok(if inside.is_empty() {
                Self::Item(hash)
            } else {
                Self::Inside(hash, inside)
            });
        }
        if StorePath::in_directory("/store", &format!("{text}-x")).is_ok() {
            return Ok(Self::Item(text.to_owned()));
        }
        match cid::parse(text) {
            Ok(cid) => Ok(Self::Ipfs(IpfsUrl::new(cid))),
            Err(_) => bail!(
                "\"{text}\" is not an ipfs:// URL, a CID, a store path or the hash part of one; \
                 a path inside a CID is written ipfs://CID/PATH"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CID: &str = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
    const HASH: &str = "zvknnn6gzcjdyb9hn5ffp4sx1ncjp45r";

    #[test]
    fn every_form_is_parsed() {
        let ipfs = Target::Ipfs(IpfsUrl::new(cid::parse(CID).unwrap()));
        for text in [
            CID.to_owned(),
            format!("ipfs:{CID}"),
            format!("ipfs://{CID}"),
            format!("/ipfs/{CID}"),
        ] {
            assert_eq!(text.parse::<Target>().unwrap(), ipfs, "{text}");
        }
        let item = Target::Item(HASH.to_owned());
        for text in [
            HASH.to_owned(),
            format!("{HASH}-x"),
            format!("/gnu/store/{HASH}-hello.txt"),
        ] {
            assert_eq!(text.parse::<Target>().unwrap(), item, "{text}");
        }
        let inside = Target::Inside(HASH.to_owned(), "bin/hello".to_owned());
        for text in [
            format!("/gnu/store/{HASH}-hello/bin/hello"),
            format!("{HASH}-hello//bin/hello/"),
        ] {
            assert_eq!(text.parse::<Target>().unwrap(), inside, "{text}");
        }
        assert_eq!(
            inside.inside(Some("x")),
            Some((HASH, Some("bin/hello/x".to_owned())))
        );
        for text in ["", "hello", "/etc/passwd", "ipfs://x"] {
            text.parse::<Target>().unwrap_err();
        }
    }
}
