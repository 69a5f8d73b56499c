//! `interplanar cat`: content to standard output.

use super::{Context, Failure};
use crate::get::{Access, AccessArgs, Output, Target, content, item};
use anyhow::anyhow;
use std::io::Write;
use std::path::Path;

/// Write a file of IPFS, or a file inside a store item, to standard output.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  interplanar cat ipfs://bafy…/README
  interplanar cat /gnu/store/…-hello-2.12 bin/hello --upstream https://cache.example.org
A file inside a store item comes before the end of its NAR: an exit code of 0 says that all of it had the signed hash.")]
pub struct Args {
    /// ipfs:// URL, CID, store path or its hash.
    #[arg(value_name = "TARGET")]
    target: Target,
    /// Path inside; without it a store item's NAR itself.
    #[arg(value_name = "PATH")]
    path: Option<String>,
    #[command(flatten)]
    access: AccessArgs,
}

/// Writes.
///
/// # Errors
/// Exit code 3 when verification fails, 4 when nobody has it or there is no such file.
pub async fn run(args: Args, _context: Context) -> Result<(), Failure> {
    let access = Access::new(args.access)?;
    let mut out = Output::open(Path::new("-"))?;
    match (args.target, args.path) {
        (Target::Ipfs(mut url), path) => {
            let access = access.with_blocks()?;
            url.path.extend(
                path.iter()
                    .flat_map(|path| path.split('/'))
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned),
            );
            content::fetch(&access, &url, &mut out).await?;
        }
        (Target::Item(hash), None) => {
            let (proxy, found) = access.item(&hash).await?;
            item::nar(&proxy, &found, |data| Ok(out.write_all(data)?)).await?;
        }
        (Target::Item(hash), Some(path)) => {
            let (proxy, found) = access.item(&hash).await?;
            if !item::file(&proxy, &found, &path, |data| Ok(out.write_all(data)?)).await? {
                return Err(Failure::not_found(anyhow!(
                    "no file \"{path}\" in {}",
                    found.narinfo().store_path()
                )));
            }
        }
    }
    Ok(out.finish()?)
}
