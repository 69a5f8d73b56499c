//! `interplanar add`: adds files and folders as blocks.

use super::{Context, Failure};
use crate::blocks::BlockStore;
use crate::get::add;
use crate::task;
use serde_json::json;
use std::path::PathBuf;

/// Add files and folders as blocks to a cache folder, and print their CIDs.
///
/// They become files and folders on IPFS, not store items. Stop the server that uses the cache
/// folder first.
///
/// The CIDs are those of `ipfs add --cid-version=1 --chunker=size-1048576`, with `-r -H` for
/// folders.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  interplanar add --cache /var/cache/interplanar hello.nar.zst
  interplanar add --only-hash ./site")]
pub struct Args {
    /// Files and folders to add.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Cache folder of `publish` or `proxy`, which serves the blocks then.
    #[arg(long, value_name = "DIR", required_unless_present = "only_hash")]
    cache: Option<PathBuf>,
    /// Print the CIDs, and store nothing.
    #[arg(long)]
    only_hash: bool,
    /// Print a line of JSON for each path.
    #[arg(long)]
    json: bool,
}

/// Adds the paths one after another.
///
/// # Errors
/// A path can't be read, or a block can't be stored.
pub async fn run(args: Args, _context: Context) -> Result<(), Failure> {
    task::blocking("adding", move || {
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
