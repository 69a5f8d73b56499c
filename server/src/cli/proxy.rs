//! `interplanar proxy`: the command line of [`crate::proxy`].

use super::installed::InstalledArgs;
use super::{Context, Failure};
use crate::installed;
use crate::net::server;
use crate::proxy::{self, Config, Proxy};
use crate::task;
use anyhow::anyhow;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use url::Url;

/// Serve the substitutes of other caches to Guix and Nix, fetched over IPFS where possible and
/// verified.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Cache to take narinfos from: an HTTP server, or a directory on IPFS that `publish
    /// --snapshot` made (ipns://NAME or ipfs://CID). Can be repeated, in order of preference.
    #[arg(long = "upstream", value_name = "URL", required = true)]
    pub upstreams: Vec<String>,
    /// IPFS gateway to fetch from. Can be repeated; the fastest is preferred [default: none, so NARs
    /// come from the upstream by HTTP].
    #[arg(long = "gateway", value_name = "URL")]
    pub gateways: Vec<String>,
    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub listen: IpAddr,
    /// Port to listen on. 0 picks a free port.
    #[arg(long, default_value_t = 8181)]
    pub port: u16,
    /// File with the keys that Guix trusts [default: /etc/guix/acl, if it exists].
    #[arg(long, value_name = "FILE")]
    pub guix_acl: Option<PathBuf>,
    /// Key to trust: a file with Guix or Nix public keys, or a Nix key itself ("name:base64"). Can
    /// be repeated. The proxy needs at least one key, from here or from --guix-acl.
    #[arg(long = "trusted-key", value_name = "FILE|KEY")]
    pub trusted_keys: Vec<String>,
    /// Cache folder for blocks and for the index of installed items [default: interplanar/proxy in
    /// $CACHE_DIRECTORY, else in $XDG_CACHE_HOME or ~/.cache].
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Maximum size of the stored blocks, in bytes or with the suffix K, M, G or T (powers of 1024).
    #[arg(long, value_name = "SIZE", default_value = "20G", value_parser = parse_size)]
    pub cache_size: u64,
    /// Options about installed items.
    #[command(flatten)]
    pub installed: InstalledArgs,
    /// Don't index all installed items in the background. Index an item only when a download is
    /// compared with it.
    #[arg(long)]
    pub no_index: bool,
    /// Maximum size of the index of installed items, in bytes or with the suffix K, M, G or T. It needs
    /// about 320 bytes for each MiB of installed items.
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = parse_size)]
    pub index_size: u64,
    /// Store directory to announce to clients. Items of another one are refused [default: that of
    /// the first upstream].
    #[arg(long, value_name = "DIR")]
    pub store_dir: Option<String>,
    /// Priority to announce to Nix clients. Nix asks caches with lower numbers first.
    #[arg(long, default_value_t = 30)]
    pub priority: u32,
}

const EXAMPLES: &str = "\
Examples:
  interplanar proxy --upstream https://bordeaux.guix.gnu.org --gateway http://127.0.0.1:8080
  guix build hello --substitute-urls=http://127.0.0.1:8181

  interplanar proxy --upstream ipns://k51qzi5uqu5d… --gateway http://127.0.0.1:8080

  interplanar proxy --upstream https://cache.example.org --trusted-key 'cache.example.org-1:W7vf…='
  nix copy --from http://127.0.0.1:8181 /nix/store/…-hello";

/// Runs the proxy until a signal stops it.
///
/// # Errors
/// Exit code 2: a key or URL is not valid. Otherwise: the block store is in use, or the port is
/// taken.
pub async fn run(args: Args, context: Context) -> Result<(), Failure> {
    let shutdown = context.shutdown();
    let address = SocketAddr::new(args.listen, args.port);
    let config = config(args)?;
    let (upstreams, gateways) = (joined(&config.upstreams), joined(&config.gateways));
    let keys = config.keys.guix.len() + config.keys.nix.len();
    if keys == 0 {
        let advice = "no trusted key: the proxy would reject every narinfo; name keys with --guix-acl or --trusted-key";
        return Err(Failure::usage(anyhow!(advice)));
    }
    let proxy = task::blocking("opening the cache folder", move || Proxy::open(config)).await??;
    tracing::info!(upstreams, gateways, keys, "starting the proxy");
    let listeners = server::bind(&[address]).await?;
    Ok(server::serve_all(
        listeners,
        Arc::new(proxy),
        shutdown,
        server::Limits::default(),
    )
    .await?)
}

fn config(args: Args) -> Result<Config, Failure> {
    let keys =
        proxy::load_keys(args.guix_acl.as_deref(), &args.trusted_keys).map_err(Failure::usage)?;
    let cache = match args.cache {
        Some(cache) => cache,
        None => cache_home().ok_or_else(|| {
            Failure::usage(anyhow!(
                "no cache folder: $HOME is not set; name a folder with --cache"
            ))
        })?,
    };
    Ok(Config {
        upstreams: args
            .upstreams
            .iter()
            .map(|url| upstream_url(url, !args.gateways.is_empty()))
            .collect::<Result<_, _>>()?,
        gateways: args
            .gateways
            .iter()
            .map(|url| folder_url(url))
            .collect::<Result<_, _>>()?,
        keys,
        cache,
        cache_size: args.cache_size,
        prefer: args.installed.prefer.into(),
        installed: installed::Config {
            max_bytes: args.index_size,
            background: !args.no_index,
            ..args.installed.config()
        },
        store_dir: args.store_dir,
        priority: args.priority,
    })
}

/// Parses the URL of a cache: an HTTP server, or a directory on IPFS that is read through gateways.
pub(crate) fn upstream_url(text: &str, has_gateways: bool) -> Result<Url, Failure> {
    let scheme = text.split(':').next().unwrap_or_default();
    if !matches!(scheme, "ipfs" | "ipns") {
        return folder_url(text);
    }
    let url = Url::parse(text).ok();
    let url = url.filter(|url| proxy::parse_target(url).is_some()).ok_or_else(|| {
        let advice = "expected ipfs://CID, or ipns://NAME where NAME is an Ed25519 key, such as ipns://k51…";
        Failure::usage(anyhow!("can't use \"{text}\": {advice}"))
    })?;
    if !has_gateways {
        return Err(Failure::usage(anyhow!(
            "{text} can be read only through a gateway: name one with --gateway"
        )));
    }
    Ok(url)
}

/// Parses an HTTP URL and ends its path with `/`, so that file names can be appended.
pub(crate) fn folder_url(text: &str) -> Result<Url, Failure> {
    let url = Url::parse(&format!("{}/", text.trim_end_matches('/')));
    url.ok()
        .filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.query().is_none()
                && url.fragment().is_none()
        })
        .ok_or_else(|| Failure::usage(anyhow!("can't use \"{text}\": expected the URL of an HTTP server, such as https://cache.example.org")))
}

fn joined(urls: &[Url]) -> String {
    urls.iter().map(Url::as_str).collect::<Vec<_>>().join(" ")
}

/// The proxy's folder inside a cache folder.
pub(super) const CACHE_FOLDER: &str = "interplanar/proxy";

pub(super) fn cache_home() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    // systemd sets CACHE_DIRECTORY from the unit's CacheDirectory=.
    let home = set("CACHE_DIRECTORY")
        .or_else(|| set("XDG_CACHE_HOME"))
        .or_else(|| set("HOME").map(|home| home.join(".cache")));
    home.map(|home| home.join(CACHE_FOLDER))
}

/// Parses bytes with an optional binary unit: `1048576`, `512K`, `20G`.
fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(['K', 'M', 'G', 'T']);
    let shift = match text.strip_prefix(digits) {
        Some("") => 0,
        Some("K") => 10,
        Some("M") => 20,
        Some("G") => 30,
        Some("T") => 40,
        _ => return Err("expected a number, optionally followed by K, M, G or T".to_owned()),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "expected a number, such as 20G".to_owned())?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "too large".to_owned())
}
