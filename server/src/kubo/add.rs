//! `add`: sends a stream, and reads progress and a CID.

use std::io;

use bytes::Bytes;
use futures_util::Stream;
use interplanar_core::cid::{self, Cid};
use interplanar_core::unixfs::Profile;
use serde::Deserialize;

use super::{Kubo, KuboError};

/// The result of `add`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The root of the file.
    pub cid: Cid,
    /// Bytes of the whole DAG, as Kubo counts them.
    pub size: u64,
}

/// A line of the response: progress, the result, or an error.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct AddLine {
    hash: String,
    size: String,
    bytes: u64,
    message: Option<String>,
}

impl Kubo {
    /// Adds and pins one file, whose bytes are streamed in bounded memory. `progress` gets the
    /// bytes that Kubo has read.
    ///
    /// # Errors
    /// As [`Kubo::version`], and [`KuboError::Source`] if the stream fails; then nothing is pinned.
    pub async fn add<S>(
        &self,
        data: S,
        profile: &Profile,
        name: &str,
        mut progress: impl FnMut(u64) + Send,
    ) -> Result<Added, KuboError>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        let mut added = None;
        let mut take = |line: &[u8]| read_line(line, &mut added, &mut progress);
        self.send("add", &arguments(profile), name, data, &mut take)
            .await?;
        added.ok_or_else(|| KuboError::Protocol("`add` returned no CID".to_owned()))
    }
}

fn read_line(
    line: &[u8],
    added: &mut Option<Added>,
    progress: &mut impl FnMut(u64),
) -> Result<(), KuboError> {
    if line.trim_ascii().is_empty() {
        return Ok(());
    }
    let unexpected = |what: String| KuboError::Protocol(format!("add: {what}"));
    let read: AddLine =
        serde_json::from_slice(line).map_err(|error| unexpected(error.to_string()))?;
    if let Some(message) = read.message {
        return Err(KuboError::Api {
            status: 200,
            message,
        });
    }
    if read.hash.is_empty() {
        progress(read.bytes);
        return Ok(());
    }
    let cid = cid::parse(&read.hash).map_err(|error| unexpected(error.to_string()))?;
    let size = read
        .size
        .parse()
        .map_err(|_| unexpected("the size is not a number".to_owned()))?;
    *added = Some(Added { cid, size });
    Ok(())
}

/// The options that make Kubo build the same DAG as our own builder.
fn arguments(profile: &Profile) -> Vec<(&'static str, String)> {
    let version = match profile.cid_version {
        cid::Version::V0 => 0,
        cid::Version::V1 => 1,
    };
    vec![
        ("pin", "true".to_owned()),
        ("cid-version", version.to_string()),
        ("raw-leaves", profile.raw_leaves.to_string()),
        ("chunker", format!("size-{}", profile.chunk)),
        ("max-file-links", profile.links.to_string()),
        ("hash", "sha2-256".to_owned()),
        ("trickle", "false".to_owned()),
        ("inline", "false".to_owned()),
        ("stream-channels", "true".to_owned()),
        ("progress", "true".to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const CID: &str = "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH";

    fn read(lines: &[&str]) -> (Result<Option<Added>, KuboError>, Vec<u64>) {
        let (mut added, mut seen) = (None, Vec::new());
        for line in lines {
            if let Err(error) =
                read_line(line.as_bytes(), &mut added, &mut |bytes| seen.push(bytes))
            {
                return (Err(error), seen);
            }
        }
        (Ok(added), seen)
    }

    #[test]
    fn the_last_hash_is_the_root() {
        let last = format!("{{\"Name\":\"x\",\"Hash\":\"{CID}\",\"Size\":\"14\"}}");
        let (added, seen) = read(&[
            "{\"Name\":\"x\",\"Bytes\":262144}",
            "{\"Name\":\"x\",\"Bytes\":7}",
            "",
            &last,
        ]);
        let added = added.unwrap().unwrap();
        assert_eq!((added.cid.to_string().as_str(), added.size), (CID, 14));
        assert_eq!(seen, [262_144, 7]);
    }

    #[test]
    fn an_error_midway_is_one() {
        let (result, _) = read(&["{\"Message\":\"no space left\",\"Code\":0,\"Type\":\"error\"}"]);
        let message = "no space left".to_owned();
        assert_eq!(
            result,
            Err(KuboError::Api {
                status: 200,
                message
            })
        );
        assert!(matches!(read(&["<html>"]).0, Err(KuboError::Protocol(_))));
        assert!(matches!(
            read(&["{\"Hash\":\"x\",\"Size\":\"1\"}"]).0,
            Err(KuboError::Protocol(_))
        ));
    }
}
