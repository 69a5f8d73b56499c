//! `interplanar fsck`: verifies every block of a cache folder.

use super::{Context, Failure};
use crate::bake::space::Cache;
use crate::get::Bar;
use crate::net::client::{get_small, http_client};
use crate::task;
use anyhow::anyhow;
use interplanar_core::block::Block;
use interplanar_core::cid::{Cid, MAX_BLOCK};
use serde_json::json;
use std::path::PathBuf;
use url::Url;

/// Verify every block of a cache folder, and repair what is broken.
///
/// Wrong and missing blocks are fetched from --gateway. An item that still lacks blocks is deleted;
/// `publish` bakes it again when it is requested. Stop `publish` first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  interplanar fsck --cache /var/cache/publish
  interplanar fsck --cache /var/cache/publish --gateway http://127.0.0.1:8080
Exit code 3: items have lost blocks that could not be fetched.")]
pub struct Args {
    /// Cache folder of `publish`.
    #[arg(long, value_name = "DIR")]
    cache: PathBuf,
    /// Gateway to fetch blocks from. Can be repeated [default: none].
    #[arg(long, value_name = "URL")]
    gateway: Vec<Url>,
    /// Print a JSON document.
    #[arg(long)]
    json: bool,
}

/// Checks the folder once.
///
/// # Errors
/// Exit code 3 if items are lost; the folder is not a cache folder, or it is in use.
pub async fn run(args: Args, _context: Context) -> Result<(), Failure> {
    let client = http_client()?;
    task::blocking("checking the cache", move || check(&args, &client)).await?
}

fn check(args: &Args, client: &reqwest::Client) -> Result<(), Failure> {
    let cache = super::gc::open(&args.cache, Cache::open)?;
    let bar = Bar::new("verifying", Some(cache.block_bytes()?));
    let mut refetch = |cid: &Cid| refetch(client, &args.gateway, cid);
    let done = cache.check(
        &mut |bytes| bar.add(usize::try_from(bytes).unwrap_or(usize::MAX)),
        &mut refetch,
    )?;
    drop(bar);
    let lost: Vec<&str> = done.items.iter().map(|path| path.as_str()).collect();
    if args.json {
        println!(
            "{}",
            json!({ "blocks": done.blocks, "wrong": done.wrong, "mended": done.repaired, "snapshots": done.snapshots, "lost": lost })
        );
    } else {
        lost.iter()
            .for_each(|path| println!("lost, will be baked again: {path}"));
        if done.snapshots > 0 {
            println!(
                "{} snapshots lack blocks and are deleted; `publish --snapshot` makes a new one",
                done.snapshots
            );
        }
        println!(
            "{} blocks: {} wrong, {} fetched again; {} items lost",
            done.blocks,
            done.wrong,
            done.repaired,
            lost.len()
        );
    }
    if lost.is_empty() {
        return Ok(());
    }
    Err(Failure::verification(anyhow!(
        "{} items have lost blocks",
        lost.len()
    )))
}

/// Fetches a block from the first gateway that has it. Blocks; call it from a runtime's blocking
/// thread.
fn refetch(client: &reqwest::Client, gateways: &[Url], cid: &Cid) -> Option<Block> {
    let runtime = tokio::runtime::Handle::current();
    gateways.iter().find_map(|gateway| {
        let base = gateway.as_str().trim_end_matches('/');
        let url = Url::parse(&format!("{base}/ipfs/{cid}?format=raw")).ok()?;
        let small = runtime.block_on(get_small(client, &url, MAX_BLOCK));
        let small = small
            .inspect_err(|error| tracing::warn!(%gateway, %cid, %error, "can't fetch the block"));
        Block::verify(*cid, small.ok()?.body)
            .inspect_err(
                |error| tracing::warn!(%gateway, %cid, %error, "the gateway sent a wrong block"),
            )
            .ok()
    })
}
