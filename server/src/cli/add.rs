//! `interplanar add`: files and folders to blocks.

use super::{Context, Failure};
use crate::blocks::BlockStore;
use crate::get::add;
use serde_json::json;
use std::path::PathBuf;

/// Add files and folders to the blocks of a cache folder, and print their CIDs.
///
/// They are those of `ipfs add --cid-version=1 --chunker=size-1048576`, for folders with `-r -H`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  interplanar add --cache /var/cache/interplanar hello.nar.zst
  interplanar add --only-hash ./site")]
pub struct Args {
    /// Files and folders.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Cache folder, as for `publish` and `proxy`, which serve what is added.
    #[arg(long, value_name = "DIR", required_unless_present = "only_hash")]
    cache: Option<PathBuf>,
    /// Keep nothing.
    #[arg(long)]
    only_hash: bool,
    /// Print one line of JSON for each path.
    #[arg(long)]
    json: bool,
}

/// Adds one after another.
///
/// # Errors
/// Something can't be read or kept.
pub async fn run(args: Args, _context: Context) -> Result<(), Failure> {
    tokio::task::spawn_blocking(move || {
        let store = match args.cache.filter(|_| !args.only_hash) {
            Some(cache) => Some(BlockStore::open(&cache.join("blocks"))?),
            None => None,
        };
        for path in &args.paths {
            let built = add::path(path, store.as_ref())?;
            if args.json {
                println!("{}", json!({ "path": path.display().to_string(), "cid": built.cid.to_string(), "size": built.size, "dagSize": built.dag_size }));
            } else {
                println!("{} {}", built.cid, path.display());
            }
        }
        Ok(())
    })
    .await?
}
