//! `interplanar du`: shows the disk usage of the items in a cache folder.

use super::{Context, Failure};
use crate::bake::space::{Cache, Report, Usage};
use crate::task;
use crate::unix_time;
use serde_json::json;
use std::io::Write as _;
use std::path::PathBuf;

/// Show the disk usage of the items in a cache folder.
///
/// Items share blocks: STORED counts all blocks of an item, UNIQUE those that no other item uses.
/// It can run while `publish` runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  interplanar du --cache /var/cache/publish
  interplanar du --cache /var/cache/publish --json | jq '.items[] | select(.unique > 1e9)'")]
pub struct Args {
    /// Cache folder of `publish`.
    #[arg(long, value_name = "DIR")]
    cache: PathBuf,
    /// Print a JSON document.
    #[arg(long)]
    json: bool,
}

/// Prints a table, the least recently requested item first.
///
/// # Errors
/// The folder is not a cache folder, or it can't be read.
pub async fn run(args: Args, _context: Context) -> Result<(), Failure> {
    task::blocking("measuring the cache", move || {
        let report = super::gc::open(&args.cache, Cache::open_read_only)?.usage()?;
        if args.json {
            println!("{}", document(&report));
            return Ok(());
        }
        table(&report)
    })
    .await?
}

fn document(report: &Report) -> serde_json::Value {
    let item = |one: &Usage| {
        json!({ "storePath": one.store_path.as_str(), "narSize": one.nar_size, "stored": one.stored, "unique": one.unique,
                "served": unix_time::seconds(one.served), "damaged": one.damaged })
    };
    let items: Vec<_> = report.items.iter().map(item).collect();
    json!({ "items": items, "stored": report.stored, "snapshots": report.snapshots, "other": report.other, "disk": report.disk })
}

fn table(report: &Report) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:>10} {:>10} {:>10}  ITEM", "NAR", "STORED", "UNIQUE")?;
    for one in &report.items {
        let damaged = if one.damaged {
            "  (damaged: run fsck)"
        } else {
            ""
        };
        writeln!(
            out,
            "{:>10} {:>10} {:>10}  {}{damaged}",
            bytes(one.nar_size),
            bytes(one.stored),
            bytes(one.unique),
            one.store_path
        )?;
    }
    let nars: u64 = report.items.iter().map(|one| one.nar_size).sum();
    let each: u64 = report.items.iter().map(|one| one.stored).sum();
    writeln!(
        out,
        "{} items, {} as NARs, {} if each were stored alone, {} stored; snapshots {}; other blocks {}; on disk {}",
        report.items.len(),
        bytes(nars),
        bytes(each),
        bytes(report.stored),
        bytes(report.snapshots),
        bytes(report.other),
        bytes(report.disk)
    )?;
    Ok(())
}

/// Formats a number of bytes for people.
pub(super) fn bytes(number: u64) -> String {
    indicatif::BinaryBytes(number).to_string()
}
