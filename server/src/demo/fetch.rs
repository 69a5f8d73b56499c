//! Fetches what was published: the narinfo over HTTP, the NAR by its `ipfs:` URL through the
//! gateway. Verifies both.

use crate::blocks::BlockStore;
use crate::decode::Decoder;
use crate::nar_restore::Unpacker;
use crate::net::client::{fetch_ipfs, get_small, http_client};
use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use interplanar_core::cid::IpfsUrl;
use interplanar_core::decompress::Limits;
use interplanar_core::fetch::{Gateway, GatewayPool, Options, Policy};
use interplanar_core::hash::Sha256Hasher;
use interplanar_core::narinfo::{Entry, MAX_NARINFO, NarInfo};
use interplanar_core::trust::{Hints, Signed, TrustedKeys};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::block_in_place;

/// Blocks and bytes of a fetch.
pub(super) struct Fetched {
    pub(super) blocks: u64,
    pub(super) bytes: u64,
}

/// Waits until an item is baked and returns its narinfo, if a trusted key signed it.
pub(super) async fn narinfo(
    server: &str,
    hash_part: &str,
    trusted: &TrustedKeys,
    timeout: Duration,
) -> anyhow::Result<(Signed, Hints)> {
    let client = http_client()?;
    let url = url::Url::parse(&format!("{server}/{hash_part}.narinfo"))?;
    let started = Instant::now();
    loop {
        let small = get_small(&client, &url, MAX_NARINFO).await?;
        if small.status == http::StatusCode::OK {
            let info = NarInfo::parse(&small.body)?;
            if info.entries().iter().any(Entry::is_ipfs) {
                return Ok((trusted.verify(&info)?, Hints::new(info)));
            }
        }
        if started.elapsed() > timeout {
            bail!(
                "the item of {url} was not baked within {} s",
                timeout.as_secs()
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Fetches an entry by its CID through the server's gateway, checks NarHash and NarSize, and
/// unpacks it to `target`.
pub(super) async fn nar(
    server: &str,
    signed: &Signed,
    entry: &Entry,
    target: &Path,
) -> anyhow::Result<Fetched> {
    let url = IpfsUrl::parse(&entry.url)?;
    let gateways = GatewayPool::new([Gateway::parse(server)?], Policy::default());
    let gateways = Arc::new(Mutex::new(gateways));
    let mut stream = fetch_ipfs(
        &http_client()?,
        &url,
        Options::default(),
        gateways,
        NO_BLOCK_STORE,
        |_| {},
    );
    let limits = Limits {
        max_output: signed.nar_size(),
        max_window: 128 << 20,
    };
    let mut decoder = Decoder::new(entry.compression, limits)?;
    let (mut hasher, mut out) = (Sha256Hasher::new(), Vec::new());
    let mut unpacker = Unpacker::new(target)?;
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        let mut input = piece.as_ref();
        while !input.is_empty() {
            block_in_place(|| {
                decoder.push(&mut input, &mut out)?;
                unpack_decoded(&mut out, &mut hasher, &mut unpacker)
            })?;
        }
    }
    while !decoder.finish(&mut out)? {
        unpack_decoded(&mut out, &mut hasher, &mut unpacker)?;
    }
    unpack_decoded(&mut out, &mut hasher, &mut unpacker)?;
    if hasher.finish() != signed.nar_hash() {
        bail!("the NAR doesn't have the signed NarHash");
    }
    unpacker.finish()?;
    let summary = stream.summary().context("the fetch ended early")?;
    Ok(Fetched {
        blocks: summary.blocks,
        bytes: summary.bytes,
    })
}

/// No block store: every block must come through the gateway.
const NO_BLOCK_STORE: Option<BlockStore> = None;

fn unpack_decoded(
    out: &mut Vec<u8>,
    hasher: &mut Sha256Hasher,
    unpacker: &mut Unpacker,
) -> anyhow::Result<()> {
    hasher.update(out);
    unpacker.push(out)?;
    out.clear();
    Ok(())
}
