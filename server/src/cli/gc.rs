//! `interplanar gc`: deletes unused items from a cache folder.

use super::du::bytes;
use super::{Context, Failure};
use crate::bake::BakeError;
use crate::bake::space::{Cache, NARINFO_TTL, Policy};
use crate::kubo::Kubo;
use crate::publish::units::{parse_duration, parse_size};
use crate::publish::upkeep::unpin;
use crate::task;
use anyhow::{Context as _, anyhow};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Delete unused items from a cache folder.
///
/// Name --unused-for, --max-size, or both. Blocks that other items use stay, and so do imported
/// blocks. A deleted item is baked again when it is requested. Disk space is freed in steps: a file
/// of blocks is deleted once half of it is unused, the newest one only above 8 MiB. Stop `publish`
/// first. While it runs, its --ttl and --max-cache-size do the same.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  interplanar gc --cache /var/cache/publish --unused-for 30d --dry-run
  interplanar gc --cache /var/cache/publish --max-size 50G --ipfs-api")]
pub struct Args {
    /// Cache folder of `publish`.
    #[arg(long, value_name = "DIR")]
    cache: PathBuf,
    /// Delete items that were not requested for this time: 30d, 8w, 6m (of 30 days). Items within
    /// --keep-for stay.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, required_unless_present = "max_size")]
    unused_for: Option<u64>,
    /// Delete the least recently requested items until the rest is no larger than this: 50G.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_size: Option<u64>,
    /// Keep items that were requested within this time, the --ttl of `publish`: clients may still
    /// have their narinfos [default: 36h].
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    keep_for: Option<u64>,
    /// Unpin the deleted items in a Kubo node. Needed if `publish` has this option too, or pinned
    /// items stay. Write the URL of its RPC API after `=` [default URL: the one in $IPFS_PATH/api
    /// or ~/.ipfs/api, else http://127.0.0.1:5001].
    #[arg(long, value_name = "URL", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    ipfs_api: Option<String>,
    /// Only print what would be deleted.
    #[arg(long)]
    dry_run: bool,
    /// Print a JSON document.
    #[arg(long)]
    json: bool,
}

/// Deletes once.
///
/// # Errors
/// The folder is not a cache folder or is in use, or an item stays because it can't be unpinned in
/// Kubo.
pub async fn run(args: Args, _context: Context) -> Result<(), Failure> {
    let kubo = Kubo::of_flag(args.ipfs_api.as_deref()).map_err(Failure::usage)?;
    task::blocking("deleting items", move || collect(&args, kubo.as_ref())).await?
}

fn collect(args: &Args, kubo: Option<&Kubo>) -> Result<(), Failure> {
    let policy = Policy {
        unused_for: args.unused_for.map(Duration::from_secs),
        max_bytes: args.max_size,
        keep_for: args.keep_for.map_or(NARINFO_TTL, Duration::from_secs),
    };
    if args.dry_run {
        let victims = open(&args.cache, Cache::open_read_only)?.victims(&policy)?;
        if args.json {
            let items: Vec<&str> = victims.iter().map(|path| path.as_str()).collect();
            println!("{}", json!({ "wouldGo": items }));
        } else {
            victims
                .iter()
                .for_each(|path| println!("would delete: {path}"));
            println!("{} items would be deleted", victims.len());
        }
        return Ok(());
    }
    let cache = open(&args.cache, Cache::open)?;
    let done = cache.collect(&policy, &mut |pins| unpin(kubo, pins))?;
    let paths = |items: &[interplanar_core::store_path::StorePath]| -> Vec<String> {
        items.iter().map(ToString::to_string).collect()
    };
    if args.json {
        println!(
            "{}",
            json!({ "items": paths(&done.items), "stillPinned": paths(&done.pinned), "blocks": done.blocks, "bytes": done.bytes })
        );
    } else {
        paths(&done.items)
            .iter()
            .for_each(|path| println!("deleted: {path}"));
        println!(
            "{} items and {} blocks deleted, {} of disk space freed",
            done.items.len(),
            done.blocks,
            bytes(done.bytes)
        );
    }
    if done.pinned.is_empty() {
        return Ok(());
    }
    let count = done.pinned.len();
    Err(match kubo {
        Some(_) => anyhow!("{count} items stay: Kubo could not unpin them"),
        None => {
            anyhow!("{count} items stay: they are pinned in Kubo; name its RPC API with --ipfs-api")
        }
    }
    .into())
}

/// Opens a cache folder, and explains the usual mistakes.
pub(super) fn open(
    dir: &Path,
    open: impl FnOnce(&Path) -> Result<Cache, BakeError>,
) -> Result<Cache, Failure> {
    if !dir.join("items").is_dir() {
        let error = anyhow!(
            "{} is not a cache folder of `interplanar publish`; name the folder of its --cache",
            dir.display()
        );
        return Err(Failure::not_found(error));
    }
    Ok(open(dir).with_context(|| format!("can't open the cache folder {}", dir.display()))?)
}
