//! Files on IPFS: streams them and verifies each block.

use super::access::{failure, walk_error};
use super::{Access, Bar};
use crate::cli::Failure;
use anyhow::anyhow;
use futures_util::StreamExt as _;
use interplanar_core::cid::IpfsUrl;
use interplanar_core::fetch::{Event, FetchError, Summary};
use std::io::Write;
use tokio::task::block_in_place;

/// Writes a file to `out` while its blocks arrive. Returns the number of blocks and bytes.
///
/// # Errors
/// Exit code 4 when no source has the file, 3 when the verified blocks are not a file.
pub async fn fetch(
    access: &Access,
    url: &IpfsUrl,
    out: &mut (impl Write + Send),
) -> Result<Summary, Failure> {
    let bar = Bar::new(&url.cid.to_string(), None);
    let length = bar.clone();
    let mut stream = access.fetch(url, move |event| {
        if let Event::Size { bytes } = event {
            length.set_length(*bytes);
        }
    });
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| match &error {
            FetchError::Walk(reason) => {
                let reason = anyhow!(walk_error(url, reason));
                Failure {
                    error: reason,
                    ..failure(error)
                }
            }
            _ => failure(error),
        })?;
        block_in_place(|| out.write_all(&piece))?;
        bar.add(piece.len());
    }
    let summary = stream.summary().cloned();
    summary.ok_or_else(|| anyhow!("the fetch ended early").into())
}
