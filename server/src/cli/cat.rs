//! `interplanar cat`: writes a file to standard output.

use super::{Context, Failure};
use crate::get::{Access, AccessArgs, Output, Target, content, item, member};
use std::io::Write;
use std::path::Path;

/// Write a file from IPFS, or a file inside a store item, to standard output.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  interplanar cat ipfs://bafy…/README
  interplanar cat /gnu/store/…-hello-2.12/bin/hello --upstream https://cache.example.org
From a store item, only the parts that contain the file are fetched, if the narinfo says where they are. \
Standard error says what the file was verified against: a CID, or the signed hash of the whole NAR. \
When the whole NAR is read, the file is written before the NAR ends: exit code 0 means that all of it was correct.")]
pub struct Args {
    /// What to read: an ipfs:// URL, a CID, a store path or the hash part of one (32 characters).
    #[arg(value_name = "TARGET")]
    target: Target,
    /// Path of the file inside the target. Without it, the NAR of a store item is written.
    #[arg(value_name = "PATH")]
    path: Option<String>,
    /// Read the whole NAR of a store item and compare it with the signed hash.
    #[arg(long)]
    whole: bool,
    #[command(flatten)]
    access: AccessArgs,
}

/// Writes the file to standard output.
///
/// # Errors
/// Exit code 3 when verification fails, 4 when no source has the target or it has no such file.
pub async fn run(args: Args, _context: Context) -> Result<(), Failure> {
    let access = Access::new(args.access)?;
    let mut out = Output::open(Path::new("-"))?;
    if let Some((hash, path)) = args.target.inside(args.path.as_deref()) {
        let (proxy, found) = access.item(hash).await?;
        let Some(path) = path else {
            item::nar(&proxy, &found, |data| Ok(out.write_all(data)?)).await?;
            return Ok(out.finish()?);
        };
        let item = (&proxy, &found);
        let proof = member::file(&access, item, &path, args.whole, &mut out).await?;
        out.finish()?;
        eprintln!("{path}: {proof}");
        return Ok(());
    }
    if let Target::Ipfs(mut url) = args.target {
        let access = access.with_blocks()?;
        let path = args.path.iter().flat_map(|path| path.split('/'));
        let names = path.filter(|name| !name.is_empty());
        url.path.extend(names.map(str::to_owned));
        content::fetch(&access, &url, &mut out).await?;
    }
    Ok(out.finish()?)
}
