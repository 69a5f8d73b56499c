//! `interplanar cat`: content to standard output.

use super::{Context, Failure};
use crate::get::{Access, AccessArgs, Output, Target, content, item, member};
use std::io::Write;
use std::path::Path;

/// Write a file of IPFS, or a file inside a store item, to standard output.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  interplanar cat ipfs://bafy…/README
  interplanar cat /gnu/store/…-hello-2.12/bin/hello --upstream https://cache.example.org
Of a store item only what has the file is fetched, where the cache says what that is. Standard error tells what it was verified against: a CID, or,
of the whole NAR, the signed hash. In the second case the file comes before the end of the NAR, and an exit code of 0 says that all of it was right.")]
pub struct Args {
    /// ipfs:// URL, CID, store path or its hash.
    #[arg(value_name = "TARGET")]
    target: Target,
    /// Path inside; without it a store item's NAR itself.
    #[arg(value_name = "PATH")]
    path: Option<String>,
    /// Read all of a store item's NAR and compare it with the signed hash.
    #[arg(long)]
    whole: bool,
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
