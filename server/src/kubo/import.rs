//! `dag/import`: sends blocks of any DAG as a CAR, and pins its roots.

use std::io;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use interplanar_core::cid::{self, Cid};
use serde::Deserialize;

use super::{Kubo, KuboError};

/// Blocks that are asked for at the same time.
const ASKED_AT_ONCE: usize = 8;

/// A line of the response: a root that was pinned or not, or an error.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ImportLine {
    root: Option<ImportedRoot>,
    message: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ImportedRoot {
    cid: CidLink,
    #[serde(default)]
    pin_error_msg: String,
}

#[derive(Debug, Deserialize)]
struct CidLink {
    #[serde(rename = "/")]
    cid: String,
}

impl Kubo {
    /// Returns the blocks that the node lacks, in the same order.
    ///
    /// # Errors
    /// As [`Self::version`].
    pub async fn lacking(&self, cids: &[Cid]) -> Result<Vec<Cid>, KuboError> {
        // The stream owns the CIDs: borrowed ones would not live long enough for the compiler.
        let asked = stream::iter(cids.to_vec()).map(|cid| async move {
            let stat = self.block_stat(&cid).await?;
            Ok(stat.is_none().then_some(cid))
        });
        let asked = asked.buffered(ASKED_AT_ONCE);
        let lacking = asked.try_filter_map(|cid| std::future::ready(Ok(cid)));
        lacking.try_collect().await
    }

    /// Sends the blocks of a CAR and pins its roots, whose DAGs must be complete then; returns the
    /// roots. Uses bounded memory. Kubo doesn't ask the network for missing blocks.
    ///
    /// # Errors
    /// As [`Self::add`]; also if a root can't be pinned because a block is missing.
    pub async fn dag_import<S>(&self, car: S) -> Result<Vec<Cid>, KuboError>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        self.import(car, true).await
    }

    /// Sends the blocks of a CAR, of complete DAGs or not, and pins nothing.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub async fn dag_import_unpinned<S>(&self, car: S) -> Result<(), KuboError>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        self.import(car, false).await.map(drop)
    }

    async fn import<S>(&self, car: S, pin: bool) -> Result<Vec<Cid>, KuboError>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        let arguments = [
            ("pin-roots", pin.to_string()),
            ("silent", "false".to_owned()),
            ("stats", "false".to_owned()),
        ];
        let mut roots = Vec::new();
        let mut take = |line: &[u8]| {
            roots.extend(read_line(line)?);
            Ok(())
        };
        self.send("dag/import", &arguments, "dag.car", car, &mut take)
            .await?;
        Ok(roots)
    }
}

fn read_line(line: &[u8]) -> Result<Option<Cid>, KuboError> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    let unexpected = |what: String| KuboError::Protocol(format!("dag/import: {what}"));
    let read: ImportLine =
        serde_json::from_slice(line).map_err(|error| unexpected(error.to_string()))?;
    let failed = |message| KuboError::Api {
        status: 200,
        message,
    };
    if let Some(message) = read.message {
        return Err(failed(message));
    }
    let Some(root) = read.root else {
        return Ok(None);
    };
    if !root.pin_error_msg.is_empty() {
        return Err(failed(root.pin_error_msg));
    }
    let cid = cid::parse(&root.cid.cid).map_err(|error| unexpected(error.to_string()))?;
    Ok(Some(cid))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CID: &str = "bafybeifj33pdgiqayh4uybeucizrmtesybzsua65zbusgyosoakged7mpq";

    #[test]
    fn a_root_that_is_not_pinned_is_an_error() {
        let line = |error: &str| {
            let line =
                format!("{{\"Root\":{{\"Cid\":{{\"/\":\"{CID}\"}},\"PinErrorMsg\":\"{error}\"}}}}");
            read_line(line.as_bytes())
        };
        assert_eq!(
            line("").map(|cid| cid.map(|cid| cid.to_string())),
            Ok(Some(CID.to_owned()))
        );
        let api = |message: &str| {
            Err(KuboError::Api {
                status: 200,
                message: message.to_owned(),
            })
        };
        assert_eq!(
            line("block was not found locally"),
            api("block was not found locally")
        );
        assert_eq!(
            read_line(b"{\"Message\":\"no space left\",\"Code\":0,\"Type\":\"error\"}"),
            api("no space left")
        );
        assert_eq!(read_line(b"\n"), Ok(None));
        assert!(matches!(read_line(b"<html>"), Err(KuboError::Protocol(_))));
    }
}
