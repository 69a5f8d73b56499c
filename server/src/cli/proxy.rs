//! `interplanar proxy`: the command line of [`crate::proxy`].

use super::installed::InstalledArgs;
use super::{Context, Failure};
use crate::installed;
use crate::net::server;
use crate::proxy::{self, Config, Proxy};
use anyhow::anyhow;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use url::Url;

/// Give the substitutes of other caches to Guix and Nix clients, from IPFS where they are there, verified on the way.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Cache whose narinfos are used; several in the order of preference. Also a directory on IPFS, as `publish --snapshot` keeps it: ipns://NAME,
    /// ipfs://CID.
    #[arg(long = "upstream", value_name = "URL", required = true)]
    pub upstreams: Vec<String>,
    /// IPFS gateway to fetch from: any that serves blocks and CARs; several are raced.
    #[arg(long = "gateway", value_name = "URL")]
    pub gateways: Vec<String>,
    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub listen: IpAddr,
    /// Port to listen on; 0 for any that is free.
    #[arg(long, default_value_t = 8181)]
    pub port: u16,
    /// Keys that Guix trusts [default: /etc/guix/acl where it is there].
    #[arg(long, value_name = "FILE")]
    pub guix_acl: Option<PathBuf>,
    /// Trusted key: a file with a Guix public key or with Nix public keys, or a Nix key itself, "name:base64".
    #[arg(long = "trusted-key", value_name = "FILE|KEY")]
    pub trusted_keys: Vec<String>,
    /// Folder of the block store [default: interplanar/proxy in the user's cache folder].
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// How much the block store may take, in bytes or with K, M, G or T behind.
    #[arg(long, value_name = "SIZE", default_value = "20G", value_parser = parse_size)]
    pub cache_size: u64,
    /// What installed items are used for.
    #[command(flatten)]
    pub installed: InstalledArgs,
    /// Index installed items only as they are compared with what is wanted, not all of them in the background.
    #[arg(long)]
    pub no_index: bool,
    /// How much the index of installed items may take, in bytes or with K, M, G or T behind: some 320 bytes for each MiB of them.
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = parse_size)]
    pub index_size: u64,
    /// Store directory told to clients [default: the first upstream's].
    #[arg(long, value_name = "DIR")]
    pub store_dir: Option<String>,
    /// Priority told to Nix clients; lower ones are asked first.
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

/// Runs the proxy until a signal ends it.
///
/// # Errors
/// A key or URL can't be used (exit code 2), the block store is in use, or the port is taken.
pub async fn run(args: Args, context: Context) -> Result<(), Failure> {
    let shutdown = context.shutdown();
    let address = SocketAddr::new(args.listen, args.port);
    let config = config(args)?;
    let (upstreams, gateways) = (names(&config.upstreams), names(&config.gateways));
    let keys = config.keys.guix.len() + config.keys.nix.len();
    if keys == 0 {
        let advice = "no key is trusted, so no substitute would be: name some by --guix-acl or --trusted-key";
        return Err(Failure::usage(anyhow!(advice)));
    }
    let proxy = tokio::task::spawn_blocking(move || Proxy::open(config)).await??;
    tracing::info!(upstreams, gateways, keys, "proxy");
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
            Failure::usage(anyhow!("no folder to keep blocks in: name one by --cache"))
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

/// The URL of a cache: an HTTP server, or a directory on IPFS, which is read through gateways.
pub(crate) fn upstream_url(text: &str, has_gateways: bool) -> Result<Url, Failure> {
    let scheme = text.split(':').next().unwrap_or_default();
    if !matches!(scheme, "ipfs" | "ipns") {
        return folder_url(text);
    }
    let url = Url::parse(text).ok();
    let url = url.filter(|url| proxy::target(url).is_some()).ok_or_else(|| {
        let advice = "expected ipfs://CID or ipns://NAME with the name of an Ed25519 key, such as ipns://k51…";
        Failure::usage(anyhow!("\"{text}\" is not a directory on IPFS: {advice}"))
    })?;
    if !has_gateways {
        return Err(Failure::usage(anyhow!(
            "{text} is read through gateways: name one by --gateway"
        )));
    }
    Ok(url)
}

/// An HTTP URL that names can be put behind.
pub(crate) fn folder_url(text: &str) -> Result<Url, Failure> {
    let url = Url::parse(&format!("{}/", text.trim_end_matches('/')));
    url.ok()
        .filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.query().is_none()
                && url.fragment().is_none()
        })
        .ok_or_else(|| Failure::usage(anyhow!("\"{text}\" is not the URL of an HTTP server")))
}

fn names(urls: &[Url]) -> String {
    urls.iter().map(Url::as_str).collect::<Vec<_>>().join(" ")
}

/// The proxy's folder in a folder of caches.
pub(super) const CACHE: &str = "interplanar/proxy";

pub(super) fn cache_home() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    // Where systemd started it, the unit's CacheDirectory=.
    let home = set("CACHE_DIRECTORY")
        .or_else(|| set("XDG_CACHE_HOME"))
        .or_else(|| set("HOME").map(|home| home.join(".cache")));
    home.map(|home| home.join(CACHE))
}

/// Bytes, with an optional binary unit: `1048576`, `512K`, `20G`.
fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(['K', 'M', 'G', 'T']);
    let shift = match text.strip_prefix(digits) {
        Some("") => 0,
        Some("K") => 10,
        Some("M") => 20,
        Some("G") => 30,
        Some("T") => 40,
        _ => return Err("expected a number with at most one of K, M, G, T behind".to_owned()),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "expected a number, such as 20G".to_owned())?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "too large".to_owned())
}
