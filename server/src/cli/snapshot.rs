//! `interplanar snapshot`: exports and imports the snapshot of a cache as one CAR file.

mod read;

use super::{Context, Failure};
use crate::bake::dag::{CarStream, blocks_of};
use crate::bake::snapshot::Snapshots;
use crate::blocks::BlockStore;
use crate::get::{Bar, Output};
use crate::kubo::Kubo;
use crate::net::server;
use crate::task;
use anyhow::{Context as _, anyhow};
use http_body_util::BodyExt as _;
use interplanar_core::cid::Cid;
use serde_json::json;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

/// Carry a cache to machines without a network, as one file.
///
/// The file contains the directory on IPFS that `publish --snapshot` made last: the snapshot.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  interplanar snapshot export --cache /var/cache/publish /media/stick/cache.car
  interplanar snapshot export --cache /var/cache/publish - | ssh there 'cat > cache.car'
  interplanar snapshot import --cache /var/cache/interplanar /media/stick/cache.car
  interplanar publish --cache /var/cache/interplanar
    (clients then use http://127.0.0.1:8080/ipfs/CID as a cache)
  interplanar snapshot import --ipfs-api /media/stick/cache.car
  interplanar snapshot show --cache /var/cache/publish
Exit codes: 3 a block is lost or the file is not one whole snapshot, 4 there is no snapshot.")]
pub struct Args {
    /// What to do.
    #[arg(value_name = "export|import|show", value_enum)]
    action: Action,
    /// The CAR file. For export, it can be a folder, in which the file is named after the snapshot,
    /// or `-` for standard output.
    #[arg(value_name = "FILE", required_if_eq_any = [("action", "export"), ("action", "import")])]
    file: Option<PathBuf>,
    /// Cache folder of `publish`.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// For import, store and pin the snapshot in a Kubo node. Write the URL of its RPC API after `=`
    /// [default URL: the one in $IPFS_PATH/api or ~/.ipfs/api, else http://127.0.0.1:5001].
    #[arg(long, value_name = "URL", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    ipfs_api: Option<String>,
    /// Print a JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Action {
    /// Verify the snapshot and write it as one CAR file, always with the same bytes.
    Export,
    /// Verify such a file, and then store it in a cache folder, a Kubo node, or both.
    Import,
    /// Print the CID of the snapshot, its number of items, and its IPNS name.
    Show,
}

/// Exports, imports or shows a snapshot.
///
/// # Errors
/// Exit code 2 if a folder, file or node is not given, 3 if the snapshot isn't whole, 4 if there is
/// none.
pub async fn run(args: Args, _context: Context) -> Result<(), Failure> {
    let kubo = Kubo::of_flag(args.ipfs_api.as_deref()).map_err(Failure::usage)?;
    let json = args.json;
    match (args.action, args.file, args.cache) {
        (Action::Import, Some(file), cache) => import(file, cache, kubo, json).await,
        (Action::Export, Some(file), Some(cache)) => {
            task::blocking("exporting a snapshot", move || export(&file, &cache, json)).await?
        }
        (Action::Show, None, Some(cache)) => {
            task::blocking("reading a snapshot", move || show(&cache, json)).await?
        }
        (Action::Show, Some(_), _) => Err(Failure::usage(anyhow!("`show` takes no file"))),
        (_, _, None) => Err(Failure::usage(anyhow!(
            "no cache folder; name one with --cache"
        ))),
        (_, None, _) => Err(Failure::usage(anyhow!(
            "no file given; name the CAR file, or - for standard output"
        ))),
    }
}

/// Opens the snapshots and the blocks of a cache folder, to read.
fn open(cache: &Path) -> Result<(Snapshots, BlockStore), Failure> {
    let store = BlockStore::open_read_only(&cache.join("blocks")).map_err(|error| {
        let what = format!(
            "{} is not a cache folder of `interplanar publish`",
            cache.display()
        );
        Failure::not_found(anyhow::Error::new(error).context(what))
    })?;
    Ok((Snapshots::open(cache, store.clone()), store))
}

/// Returns the current snapshot, or if the folder only has imported ones, the last one imported.
fn current(snapshots: &Snapshots, cache: &Path) -> Result<Cid, Failure> {
    let held = snapshots.hold();
    held.root()
        .or_else(|| held.roots().last().copied())
        .ok_or_else(|| {
            Failure::not_found(anyhow!(
                "{} has no snapshot: `interplanar publish --snapshot` makes one",
                cache.display()
            ))
        })
}

fn show(cache: &Path, json: bool) -> Result<(), Failure> {
    let (snapshots, _) = open(cache)?;
    let root = current(&snapshots, cache)?;
    let held = snapshots.hold();
    let items = held.listed().map_err(Failure::verification)?.len();
    let known = held.in_kubo();
    let name = (known.published == Some(root)).then_some(known.name.as_str());
    if json {
        println!(
            "{}",
            json!({ "root": root.to_string(), "items": items, "name": name })
        );
        return Ok(());
    }
    println!("/ipfs/{root}  {items} items");
    if let Some(name) = name {
        println!("/ipns/{name}");
    }
    Ok(())
}

fn export(file: &Path, cache: &Path, json: bool) -> Result<(), Failure> {
    let (snapshots, store) = open(cache)?;
    let root = current(&snapshots, cache)?;
    let path = if file.is_dir() {
        file.join(format!("{root}.car"))
    } else {
        file.to_owned()
    };
    let walked = blocks_of(&store, &[root]);
    if let Some(lost) = walked.lost {
        return Err(lost_block(&lost));
    }
    let blocks = walked.cids.len();
    let out = Output::open(&path)?;
    let to_stdout = matches!(out, Output::Stdout(_));
    let bar = Bar::new("exporting", None);
    let mut bytes = 0_u64;
    let mut out = BufWriter::with_capacity(1 << 20, out);
    for piece in CarStream::of(&store, &[root], walked.cids) {
        let piece = piece.map_err(|_| lost_block(&root))?;
        out.write_all(&piece)?;
        bytes += piece.len() as u64;
        bar.add(piece.len());
    }
    let out = out.into_inner().map_err(|error| error.into_error())?;
    out.finish()?;
    drop(bar);
    let file = path.display().to_string();
    let summary = match json {
        true => json!({ "root": root.to_string(), "file": file, "blocks": blocks, "bytes": bytes })
            .to_string(),
        false => format!("{root}: {blocks} blocks, {bytes} bytes in {file}"),
    };
    match to_stdout {
        true => eprintln!("{summary}"),
        false => println!("{summary}"),
    }
    Ok(())
}

fn lost_block(cid: &Cid) -> Failure {
    Failure::verification(anyhow!(
        "a block of the snapshot is lost ({cid}): repair it with `interplanar fsck`"
    ))
}

async fn import(
    file: PathBuf,
    cache: Option<PathBuf>,
    kubo: Option<Kubo>,
    json: bool,
) -> Result<(), Failure> {
    if cache.is_none() && kubo.is_none() {
        let advice = "no target for the import; name one with --cache, --ipfs-api, or both";
        return Err(Failure::usage(anyhow!(advice)));
    }
    let (path, folder) = (file.clone(), cache.clone());
    let whole = task::blocking("checking a snapshot", move || {
        let whole = read::check(open_file(&path)?, &path)?;
        if let Some(folder) = folder {
            read::store(open_file(&path)?, &folder, &whole)
                .with_context(|| folder.display().to_string())?;
        }
        Ok::<_, Failure>(whole)
    });
    let whole = whole.await??;
    if let Some(kubo) = &kubo {
        let pieces = open_file(&file)?;
        let body = server::from_blocking(FilePieces(pieces), None).into_data_stream();
        let pinned = kubo.dag_import(body).await?;
        if !pinned.contains(&whole.root) {
            return Err(anyhow!("Kubo did not pin the root {} of the snapshot", whole.root).into());
        }
    }
    let root = whole.root;
    if json {
        println!(
            "{}",
            json!({ "root": root.to_string(), "blocks": whole.blocks, "bytes": whole.bytes })
        );
        return Ok(());
    }
    println!("{root}: {} blocks, {} bytes", whole.blocks, whole.bytes);
    if let Some(cache) = cache {
        let cache = cache.display();
        println!("to serve it at /ipfs/{root}: interplanar publish --cache {cache}");
    }
    Ok(())
}

fn open_file(path: &Path) -> Result<BufReader<File>, Failure> {
    match File::open(path) {
        Ok(file) => Ok(BufReader::with_capacity(1 << 20, file)),
        Err(error) => {
            let what = format!("can't read {}", path.display());
            Err(Failure::not_found(anyhow::Error::new(error).context(what)))
        }
    }
}

/// Yields the content of a file in pieces of 1 MiB.
struct FilePieces(BufReader<File>);

impl Iterator for FilePieces {
    type Item = std::io::Result<bytes::Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut piece = Vec::with_capacity(1 << 20);
        match self.0.by_ref().take(1 << 20).read_to_end(&mut piece) {
            Ok(0) => None,
            Ok(_) => Some(Ok(piece.into())),
            Err(error) => Some(Err(error)),
        }
    }
}
