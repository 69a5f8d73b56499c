//! `interplanar substitute`: the command line of [`crate::substitute`], which guix-daemon runs.

use super::installed::SharedIndexArgs;
use super::{Context, Failure};
use crate::proxy::{self, Config, Proxy};
use crate::substitute::{DaemonOptions, Substituter};
use crate::task;
use std::path::PathBuf;
use url::Url;

/// Replace `guix substitute` under guix-daemon, and fetch over IPFS too. guix-daemon runs it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Answer the daemon's questions about available store items, read from standard input.
    #[arg(
        long,
        required_unless_present = "substitute",
        conflicts_with = "substitute"
    )]
    pub query: bool,
    /// Download the store items that the daemon asks for on standard input.
    #[arg(long)]
    pub substitute: bool,
    /// IPFS gateway to fetch from. Can be repeated; the fastest is preferred.
    #[arg(
        long = "gateway",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub gateways: Vec<String>,
    /// File with the keys that Guix trusts.
    #[arg(long, value_name = "FILE", default_value = "/etc/guix/acl")]
    pub guix_acl: PathBuf,
    /// Folder for the blocks of a download. They are deleted when the download ends.
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    pub temporary: PathBuf,
    /// Options about installed items.
    #[command(flatten)]
    pub installed: SharedIndexArgs,
}

const EXAMPLES: &str = "\
Set these variables in the environment of guix-daemon:
  GUIX=/usr/local/bin/interplanar
  INTERPLANAR_SUBSTITUTE_GATEWAY=\"http://127.0.0.1:8080 https://trustless-gateway.link\"
The daemon also runs other commands of $GUIX. They are passed on to the real guix: \
INTERPLANAR_GUIX, or else the first guix in $PATH.";

/// Answers the daemon until it closes standard input.
///
/// # Errors
/// The ACL or a URL can't be used, or the daemon sent an unknown command.
pub async fn run(args: Args, _context: Context) -> Result<(), Failure> {
    let options = DaemonOptions::parse(&std::env::var("_NIX_OPTIONS").unwrap_or_default());
    let temporary = tempfile::Builder::new()
        .prefix("interplanar-")
        .tempdir_in(&args.temporary)?;
    let config = Config {
        upstreams: urls(&options.substitute_urls)?,
        gateways: urls(&args.gateways)?,
        keys: proxy::load_keys(Some(&args.guix_acl), &[]).map_err(Failure::usage)?,
        cache: temporary.path().to_path_buf(),
        cache_size: 1 << 30,
        prefer: args.installed.installed.prefer.into(),
        installed: args.installed.config(),
        store_dir: None,
        priority: 0,
    };
    let proxy = task::blocking("opening the cache folder", move || Proxy::open(config)).await??;
    let mut substituter = Substituter::new(proxy, options)?;
    while let Some(line) =
        tokio::task::block_in_place(|| std::io::stdin().lines().next()).transpose()?
    {
        if args.query {
            substituter.query(&line).await?;
        } else {
            substituter.substitute(&line).await?;
        }
    }
    Ok(())
}

fn urls(texts: &[String]) -> Result<Vec<Url>, Failure> {
    texts
        .iter()
        .map(|text| super::proxy::folder_url(text))
        .collect()
}
