//! `interplanar substitute`: the command line of [`crate::substitute`], which only guix-daemon writes.

use super::installed::BesideArgs;
use super::{Context, Failure};
use crate::proxy::{self, Config, Proxy};
use crate::substitute::{DaemonOptions, Substituter};
use std::path::PathBuf;
use url::Url;

/// Take the place of guix substitute under guix-daemon, and fetch over IPFS too.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Say which store items are available, as the daemon asks on standard input.
    #[arg(
        long,
        required_unless_present = "substitute",
        conflicts_with = "substitute"
    )]
    pub query: bool,
    /// Download store items, as the daemon asks on standard input.
    #[arg(long)]
    pub substitute: bool,
    /// IPFS gateway to fetch from; several are raced.
    #[arg(
        long = "gateway",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub gateways: Vec<String>,
    /// Keys that Guix trusts.
    #[arg(long, value_name = "FILE", default_value = "/etc/guix/acl")]
    pub guix_acl: PathBuf,
    /// Folder for the blocks of a download; they are removed with it.
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    pub temporary: PathBuf,
    /// What installed items are used for.
    #[command(flatten)]
    pub installed: BesideArgs,
}

const EXAMPLES: &str = "\
In the environment of guix-daemon:
  GUIX=/usr/local/bin/interplanar
  INTERPLANAR_SUBSTITUTE_GATEWAY=\"http://127.0.0.1:8080 https://trustless-gateway.link\"
Everything else that the daemon runs of $GUIX is handed to the real guix, the first in $PATH or INTERPLANAR_GUIX.";

/// Answers the daemon until it closes standard input.
///
/// # Errors
/// The ACL or a URL can't be used, or the daemon asks what is not in its protocol.
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
    let proxy = tokio::task::spawn_blocking(move || Proxy::open(config)).await??;
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
