//! `interplanar fsck`: checks every block of a cache folder.

use super::{Context, Failure};
use crate::bake::space::Cache;
use crate::get::Bar;
use crate::net::client::{get_small, http_client};
use anyhow::anyhow;
use interplanar_core::block::Block;
use interplanar_core::cid::{Cid, MAX_BLOCK};
use serde_json::json;
use std::path::PathBuf;
use url::Url;

/// Hash every block of a cache folder, and mend what is wrong.
///
/// A wrong or missing block is fetched from the gateways that are named; an item that still lacks blocks is forgotten, and baked anew when it is asked for.
/// `publish` must be stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  interplanar fsck --cache /var/cache/publish
  interplanar fsck --cache /var/cache/publish --gateway http://127.0.0.1:8080
Exit code: 3 if items lost blocks that could not be fetched.")]
pub struct Args {
    /// Cache folder, as for `publish`.
    #[arg(long, value_name = "DIR")]
    cache: PathBuf,
    /// Gateways to fetch blocks from.
    #[arg(long, value_name = "URL")]
    gateway: Vec<Url>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Checks once.
///
/// # Errors
/// Exit code 3 if items are lost; the folder is no cache, or in use.
pub async fn run(args: Args, _context: Context) -> Result<(), Failure> {
    let client = http_client()?;
    tokio::task::spawn_blocking(move || check(&args, &client)).await?
}

fn check(args: &Args, client: &reqwest::Client) -> Result<(), Failure> {
    let cache = super::gc::open(&args.cache, Cache::open)?;
    let bar = Bar::new("checking", Some(cache.block_bytes()?));
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
            json!({ "blocks": done.blocks, "wrong": done.wrong, "mended": done.mended, "snapshots": done.snapshots, "lost": lost })
        );
    } else {
        lost.iter()
            .for_each(|path| println!("to be baked anew: {path}"));
        if done.snapshots > 0 {
            println!(
                "{} snapshots lacked blocks and are forgotten; publish --snapshot makes the current one anew",
                done.snapshots
            );
        }
        println!(
            "{} blocks: {} wrong, {} fetched anew; {} items to be baked anew",
            done.blocks,
            done.wrong,
            done.mended,
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

/// A block from the first gateway that has it. Blocks; within a runtime's blocking thread.
fn refetch(client: &reqwest::Client, gateways: &[Url], cid: &Cid) -> Option<Block> {
    let runtime = tokio::runtime::Handle::current();
    gateways.iter().find_map(|gateway| {
        let base = gateway.as_str().trim_end_matches('/');
        let url = Url::parse(&format!("{base}/ipfs/{cid}?format=raw")).ok()?;
        let small = runtime.block_on(get_small(client, &url, MAX_BLOCK));
        let small = small.inspect_err(|error| tracing::warn!(%gateway, %cid, %error, "gateway"));
        Block::verify(*cid, small.ok()?.body)
            .inspect_err(|error| tracing::warn!(%gateway, %cid, %error, "gateway"))
            .ok()
    })
}
