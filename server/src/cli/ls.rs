//! `interplanar ls`: what is in a directory of IPFS or in a store item.

use super::{Context, Failure};
use crate::get::{Access, AccessArgs, Target, member, tree};
use anyhow::anyhow;
use interplanar_core::nar::{ListEntry, Node};
use serde_json::json;

/// List a directory of IPFS, or the tree of a store item.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  interplanar ls ipfs://bafy…
  interplanar ls /gnu/store/…-hello-2.12 --upstream https://cache.example.org
  interplanar ls /gnu/store/…-hello-2.12 --json --upstream https://cache.example.org
With --json, a store item's tree is Nix's .ls format. Of a store item only the parts between its files are fetched, where the cache says where they are;
standard error tells what they were verified against.")]
pub struct Args {
    /// ipfs:// URL, CID, store path or its hash.
    #[arg(value_name = "TARGET")]
    target: Target,
    /// List as JSON.
    #[arg(long)]
    json: bool,
    /// Read all of a store item's NAR and compare it with the signed hash.
    #[arg(long)]
    whole: bool,
    #[command(flatten)]
    access: AccessArgs,
}

/// Lists.
///
/// # Errors
/// Exit code 3 when verification fails, 4 when nobody has it.
pub async fn run(args: Args, _context: Context) -> Result<(), Failure> {
    let access = Access::new(args.access)?;
    match args.target {
        Target::Ipfs(url) => {
            let access = access.with_blocks()?;
            let cid = access.resolve(&url).await?;
            for entry in tree::entries(&access, &cid).await? {
                let name = String::from_utf8_lossy(&entry.name);
                if args.json {
                    println!(
                        "{}",
                        json!({ "name": name, "cid": entry.cid.to_string(), "tsize": entry.tsize })
                    );
                } else {
                    println!("{:>12}  {}  {}", entry.tsize, entry.cid, printable(&name));
                }
            }
        }
        Target::Inside(..) => {
            return Err(Failure::usage(anyhow!(
                "ls lists whole store items: leave out what is behind its name"
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
            eprintln!("{}: {proof}", found.narinfo().store_path());
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

/// Control characters escaped, so that a name can't play with the terminal.
fn printable(name: &str) -> String {
    name.chars()
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect::<Vec<_>>()
            } else {
                vec![c]
            }
        })
        .collect()
}
