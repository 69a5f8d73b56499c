//! `interplanar du`: what the items of a cache folder take.

use super::{Context, Failure};
use crate::bake::space::{Cache, Report, Usage};
use crate::unix_time;
use serde_json::json;
use std::io::Write as _;
use std::path::PathBuf;

/// Tell what each baked item takes on the disk.
///
/// Items share blocks: "stored" counts all that an item needs, "unique" what its going would give back. Works while `publish` runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  interplanar du --cache /var/cache/publish
  interplanar du --cache /var/cache/publish --json | jq '.items[] | select(.unique > 1e9)'")]
pub struct Args {
    /// Cache folder, as for `publish`.
    #[arg(long, value_name = "DIR")]
    cache: PathBuf,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Prints a table, the item that was asked for longest ago first.
///
/// # Errors
/// The folder is no cache, or can't be read.
pub async fn run(args: Args, _context: Context) -> Result<(), Failure> {
    tokio::task::spawn_blocking(move || {
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

/// Bytes for people.
pub(super) fn bytes(number: u64) -> String {
    indicatif::BinaryBytes(number).to_string()
}
