//! `interplanar import FILE.car…`: stores the blocks of CAR files in a cache folder.

mod read;
mod report;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{Context, Failure};
use crate::blocks::BlockStore;
use crate::task;
use read::ImportError;
pub use report::Counts;
use report::Report;

/// The folder with the blocks in a cache folder.
const BLOCKS: &str = "blocks";

/// Import the blocks of CAR files into a cache folder. Each block is verified.
///
/// `publish` and `proxy` serve the blocks if they use that cache folder. A file can contain a part
/// of a DAG; the other blocks can be imported later. Stop the server that uses the cache folder first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  interplanar import --cache /var/cache/interplanar item.car
  curl -s 'http://127.0.0.1:8080/ipfs/<cid>?format=car' | interplanar import --cache DIR -")]
pub struct Args {
    /// CAR files of version 1; `-` reads standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Cache folder of `publish` or `proxy`.
    #[arg(long, value_name = "DIR")]
    cache: PathBuf,
    /// Print a line of JSON for each file.
    #[arg(long)]
    json: bool,
}

/// Imports file by file. Blocks that were read before an error stay.
///
/// # Errors
/// Exit code 3 if a block doesn't match its CID, 4 if a file doesn't exist, 1 otherwise.
pub async fn run(args: Args, _context: Context) -> Result<(), Failure> {
    task::blocking("importing", move || import(&args)).await?
}

fn import(args: &Args) -> Result<(), Failure> {
    let store = BlockStore::open(&args.cache.join(BLOCKS))?;
    for file in &args.files {
        let (input, length) = open(file)?;
        let report = Report::new(file, length, args.json);
        let result = read::import(input, &store, &mut |counts| report.progress(counts));
        // The blocks before an error were verified, so they stay.
        store.flush()?;
        match result {
            Ok(counts) => report.finish(counts)?,
            Err(error) => {
                report.abandon();
                return Err(failure(file, error));
            }
        }
    }
    Ok(())
}

/// Opens a file or standard input. Returns its bytes and, if known, their number.
fn open(path: &Path) -> Result<(Box<dyn Read>, Option<u64>), Failure> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin().lock()), None));
    }
    let named = |error: io::Error| {
        let missing = error.kind() == io::ErrorKind::NotFound;
        let error = anyhow::Error::new(error).context(format!("can't read {}", path.display()));
        if missing {
            Failure::not_found(error)
        } else {
            Failure::from(error)
        }
    };
    let file = File::open(path).map_err(named)?;
    let length = file.metadata().ok().filter(std::fs::Metadata::is_file);
    Ok((Box::new(file), length.map(|metadata| metadata.len())))
}

fn failure(path: &Path, error: ImportError) -> Failure {
    let wrong = matches!(error, ImportError::Block { .. });
    let name = match path == Path::new("-") {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    };
    let error = anyhow::Error::new(error).context(name);
    if wrong {
        Failure::verification(error)
    } else {
        Failure::from(error)
    }
}
