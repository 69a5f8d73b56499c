//! What a person names.

use anyhow::{anyhow, bail};
use interplanar_core::cid::{self, IpfsUrl};
use interplanar_core::store_path::{HASH_PART, StorePath};

/// Something to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A file or directory of IPFS.
    Ipfs(IpfsUrl),
    /// A store item, by the hash part of its path.
    Item(String),
}

impl std::str::FromStr for Target {
    type Err = anyhow::Error;

    /// `ipfs://CID[/PATH]`, `ipfs:CID`, `/ipfs/CID[/PATH]`, a CID, a store path or its base name, or the 32 characters of its hash.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.get(..5).map(str::to_ascii_lowercase);
        if lower.as_deref() == Some("ipfs:") || text.starts_with("/ipfs/") {
            return IpfsUrl::parse(text)
                .map(Self::Ipfs)
                .map_err(|error| anyhow!("\"{text}\": {error}"));
        }
        let base = text.rsplit('/').next().unwrap_or_default();
        if StorePath::in_directory("/store", base).is_ok() {
            return Ok(Self::Item(base.chars().take(HASH_PART).collect()));
        }
        if StorePath::in_directory("/store", &format!("{text}-x")).is_ok() {
            return Ok(Self::Item(text.to_owned()));
        }
        match cid::parse(text) {
            Ok(cid) => Ok(Self::Ipfs(IpfsUrl::new(cid))),
            Err(_) => bail!(
                "\"{text}\" is neither an ipfs:// URL, a CID, a store path nor the hash of one"
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
    fn every_form_is_understood() {
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
        for text in ["", "hello", "/etc/passwd", "ipfs://x"] {
            text.parse::<Target>().unwrap_err();
        }
    }
}
