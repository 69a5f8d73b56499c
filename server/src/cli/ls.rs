//! `interplanar ls`: lists a directory on IPFS or a store item.

use super::{Context, Failure};
use crate::get::{Access, AccessArgs, Target, directory, member};
use crate::printable::printable;
use anyhow::anyhow;
use interplanar_core::nar::{ListEntry, Node};
use interplanar_core::unixfs::DirEntry;
use serde_json::json;

/// List a directory on IPFS, or all files of a store item.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  interplanar ls ipfs://bafy…
  interplanar ls /gnu/store/…-hello-2.12 --upstream https://cache.example.org
  interplanar ls /gnu/store/…-hello-2.12 --json --upstream https://cache.example.org
With --json, a store item is listed in Nix's .ls format. \
From a store item, only the parts between its files are fetched, if the narinfo says where they are. \
Standard error says what they were verified against.")]
pub struct Args {
    /// What to list: an ipfs:// URL, a CID, a store path or the hash part of one (32 characters).
    #[arg(value_name = "TARGET")]
    target: Target,
    /// Print the list as JSON.
    #[arg(long)]
    json: bool,
    /// Read the whole NAR of a store item and compare it with the signed hash.
    #[arg(long)]
    whole: bool,
    #[command(flatten)]
    access: AccessArgs,
}

/// Lists the target.
///
/// # Errors
/// Exit code 3 when verification fails, 4 when no source has the target.
pub async fn run(args: Args, _context: Context) -> Result<(), Failure> {
    let access = Access::new(args.access)?;
    match args.target {
        Target::Ipfs(url) => {
            let access = access.with_blocks()?;
            let cid = access.resolve(&url).await?;
            let print = |entry: DirEntry| {
                let name = String::from_utf8_lossy(&entry.name);
                if args.json {
                    println!(
                        "{}",
                        json!({ "name": name, "cid": entry.cid.to_string(), "tsize": entry.tsize })
                    );
                } else {
                    println!("{:>12}  {}  {}", entry.tsize, entry.cid, printable(&name));
                }
            };
            directory::entries(&access, &cid, print).await?;
        }
        Target::Inside(..) => {
            return Err(Failure::usage(anyhow!(
                "`ls` lists whole store items: leave out the path after the item's name"
            )));
        }
        Target::Item(hash) => {
            let (proxy, found) = access.item(&hash).await?;
            let item = (&proxy, &found);
            let (listing, proof) = member::listing(&access, item, args.whole).await?;
            if listing.entries().is_empty() {
                return Err(Failure::verification(anyhow!("the NAR is empty")));
            }
            if args.json {
                println!("{}", listing.to_json());
            } else {
                print_tree(listing.entries());
            }
            eprintln!("{}: {proof}", found.signed().store_path());
        }
    }
    Ok(())
}

fn print_tree(entries: &[ListEntry]) {
    let mut path: Vec<String> = Vec::new();
    for entry in entries {
        path.truncate(entry.depth.saturating_sub(1));
        path.push(String::from_utf8_lossy(&entry.name).into_owned());
        let whole = if entry.depth == 0 {
            ".".to_owned()
        } else {
            path.join("/")
        };
        if entry.depth == 0 {
            path.clear();
        }
        let whole = printable(&whole);
        match &entry.node {
            Node::Directory => println!("d{:>14}  {whole}", ""),
            Node::File {
                executable, size, ..
            } => println!("{}{size:>14}  {whole}", if *executable { 'x' } else { '-' }),
            Node::Symlink { target } => println!(
                "l{:>14}  {whole} -> {}",
                "",
                printable(&String::from_utf8_lossy(target))
            ),
        }
    }
}
