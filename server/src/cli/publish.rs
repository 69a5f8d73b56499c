//! `interplanar publish`: the command line of [`crate::publish`], with the options of `guix publish`.

use super::{Context, Failure};
use crate::bake::space::{NARINFO_TTL, NOTE_EVERY, Policy};
use crate::bake::{self, Compressor};
use crate::kubo::Kubo;
use crate::net::server;
use crate::publish::keys::{GUIX_PUBLIC_KEY, GUIX_SECRET_KEY, KeyTexts, Keys};
use crate::publish::units::{parse_duration, parse_size};
use crate::publish::user::{Handover, Inheritance, User};
use crate::publish::{Config, Publisher, SnapshotConfig};
use crate::store::trees::Tree;
use crate::store::{self, Source, SourceSpec};
use anyhow::{Context as _, anyhow};
use interplanar_core::narinfo::{Compression, Dialect};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Share the items of a store, over HTTP like guix publish and over IPFS.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Files and folders to publish as store items; without any, the store of this machine.
    #[arg(value_name = "TREE")]
    pub trees: Vec<PathBuf>,
    /// What to publish: guix, nix, or the folder of a binary cache [default: the store that is here].
    #[arg(long, value_name = "guix|nix|DIR", conflicts_with = "trees")]
    pub source: Option<String>,
    /// Folder that the store lies in, for one inside a chroot.
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub store_root: PathBuf,
    /// Store directory of named trees [default: /nix/store with a Nix key or where only that is here, else /gnu/store].
    #[arg(long, value_name = "DIR")]
    pub store_dir: Option<String>,
    /// Port to listen on; 0 for any that is free.
    #[arg(short, long, default_value_t = 8080)]
    pub port: u16,
    /// Host or address to listen on.
    #[arg(long, value_name = "HOST", default_value = "0.0.0.0")]
    pub listen: String,
    /// User to become once the socket is bound and the keys are read.
    #[arg(short, long)]
    pub user: Option<String>,
    /// How to compress: gzip, zstd, zstd-whole, lzip or none, with a level; several in the order of preference. zstd shares blocks with
    /// similar items, zstd-whole is smaller but shares none [default: gzip:3, for Nix zstd:3].
    #[arg(short = 'C', long, value_name = "METHOD[:LEVEL]")]
    pub compression: Vec<Compressor>,
    /// Share each item as a folder as well: a file has the CID that `ipfs add` gives it, in whatever item it is. Adds the plain NAR to what
    /// --compression says, over the same blocks.
    #[arg(long)]
    pub publish_tree: bool,
    /// Folder to bake into, from which alone large items are served then [default: interplanar/publish in the cache folder, and items are served at once].
    #[arg(short, long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// With --cache, items below this size are served before they are baked.
    #[arg(long, value_name = "SIZE", default_value = "10M", value_parser = parse_size)]
    pub cache_bypass_threshold: u64,
    /// Size that the cache folder should not exceed: what was asked for longest ago goes, but nothing that was asked for within --ttl [default --ttl here: 36h].
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_cache_size: Option<u64>,
    /// How many items are baked at a time [default: one per processor].
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,
    /// For how long narinfos may be kept: 90s, 2h, 5d, 1w, 1m (a month). With --cache, items that have left the store and were not asked for in that time go.
    #[arg(long, value_parser = parse_duration)]
    pub ttl: Option<u64>,
    /// For how long it may be kept that there is no narinfo.
    #[arg(long, value_name = "TTL", value_parser = parse_duration)]
    pub negative_ttl: Option<u64>,
    /// Prefix of NAR URLs.
    #[arg(long, value_name = "PATH", default_value = "nar")]
    pub nar_path: String,
    /// Guix's public key [default: /etc/guix/signing-key.pub].
    #[arg(long, value_name = "FILE")]
    pub public_key: Option<PathBuf>,
    /// Guix's secret key [default: /etc/guix/signing-key.sec].
    #[arg(long, alias = "secret-key", value_name = "FILE")]
    pub private_key: Option<PathBuf>,
    /// Nix key to sign with, as nix key generate-secret makes it; several for several signatures.
    #[arg(long, value_name = "FILE")]
    pub nix_key: Vec<PathBuf>,
    /// Publish what is baked in a Kubo node [default URL: what the node here says, else http://127.0.0.1:5001].
    #[arg(long, value_name = "URL", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub ipfs_api: Option<String>,
    /// Gateway that clients have at hand, offered before our own URLs: http://127.0.0.1:8080 for a Kubo on each client.
    #[arg(long, value_name = "URL")]
    pub ipfs_gateway: Vec<String>,
    /// Keep the whole cache as a directory on IPFS, which any gateway serves to stock clients; with --ipfs-api it is published under an IPNS
    /// name, and the log says which.
    #[arg(long)]
    pub snapshot: bool,
    /// With --snapshot, the key in Kubo that it is published under; made if it isn't there.
    #[arg(long, value_name = "NAME", default_value = "interplanar")]
    pub snapshot_key: String,
    /// With --snapshot, the least time between two: 90s, 2h.
    #[arg(long, value_name = "TIME", default_value = "600s", value_parser = parse_duration)]
    pub snapshot_interval: u64,
    /// Bake the whole store, and not only what is asked for. Named trees always are.
    #[arg(long, visible_alias = "eager")]
    pub bake_all: bool,
}

const EXAMPLES: &str = "\
Examples:
  interplanar publish --port 8181 --compression zstd:9 --ttl 30d
  interplanar publish --user nobody --cache /var/cache/publish --ipfs-api
  interplanar publish --nix-key /etc/nix/key.sec --ipfs-gateway http://127.0.0.1:8080
  interplanar publish --compression zstd:9 --publish-tree --ipfs-api
  interplanar publish --cache /var/cache/publish --ipfs-api --snapshot --bake-all
  interplanar publish ./site --port 0";

/// Publishes until a signal ends it.
///
/// # Errors
/// A key, user or source can't be used (exit code 2), the cache folder is in use, or the port is taken.
pub async fn run(args: Args, context: Context) -> Result<(), Failure> {
    let user = args
        .user
        .as_deref()
        .map(User::find)
        .transpose()
        .map_err(Failure::usage)?;
    let spec = spec(&args)?;
    let inheritance = match user.map(User::inherit).transpose()?.flatten() {
        Some(inheritance) => inheritance,
        None => prepare(&args, &spec)?,
    };
    if let Some(user) = user.filter(|user| !user.is_current()) {
        own(&inheritance.handover.cache, user)?;
        return Err(user.become_it(inheritance).into());
    }
    if rustix::process::geteuid().is_root() {
        tracing::warn!("server running as root; consider using the '--user' option!");
    }
    let Inheritance { listener, handover } = inheritance;
    let keys = Keys::parse(&handover.keys).map_err(Failure::usage)?;
    let shutdown = context.shutdown();
    let (trees, all) = (!args.trees.is_empty(), args.bake_all);
    let publisher =
        tokio::task::spawn_blocking(move || open(&args, &spec, handover.cache, keys)).await??;
    publisher.start(&shutdown);
    if trees || all {
        publisher.bake_all();
    }
    let listener = listen(listener)?;
    let handler = Arc::new(publisher.clone());
    server::serve_all(vec![listener], handler, shutdown, server::Limits::default()).await?;
    publisher.finish().await;
    Ok(())
}

/// What needs the rights that the process was started with.
fn prepare(args: &Args, spec: &SourceSpec) -> Result<Inheritance, Failure> {
    let (default_public, default_secret) = (Path::new(GUIX_PUBLIC_KEY), Path::new(GUIX_SECRET_KEY));
    let named = args.public_key.is_some() || args.private_key.is_some();
    let is_guix = match spec {
        SourceSpec::Guix { .. } => true,
        SourceSpec::Trees { store_dir, .. } => store_dir == "/gnu/store" && default_secret.exists(),
        SourceSpec::Nix { .. } | SourceSpec::BinaryCache { .. } => false,
    };
    let public = args.public_key.as_deref().unwrap_or(default_public);
    let secret = args.private_key.as_deref().unwrap_or(default_secret);
    let keys = KeyTexts::read(
        (named || is_guix).then_some((public, secret)),
        &args.nix_key,
    );
    let keys = keys
        .context("a key to sign with is needed; `guix archive --generate-key` makes Guix's")
        .map_err(Failure::usage)?;
    let cache = args.cache.clone().or_else(cache_folder);
    let cache = cache
        .ok_or_else(|| Failure::usage(anyhow!("no folder to bake into: name one by --cache")))?;
    Ok(Inheritance {
        listener: bind(&args.listen, args.port)?,
        handover: Handover { keys, cache },
    })
}

fn bind(host: &str, port: u16) -> anyhow::Result<TcpListener> {
    let addresses = (host, port).to_socket_addrs();
    let mut addresses = addresses.with_context(|| format!("lookup of host '{host}' failed"))?;
    let address: SocketAddr = addresses
        .next()
        .ok_or_else(|| anyhow!("lookup of host '{host}' returned nothing"))?;
    TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))
}

fn listen(listener: TcpListener) -> std::io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tracing::info!("listening on http://{}", listener.local_addr()?);
    Ok(listener)
}

/// Blocks.
fn open(args: &Args, spec: &SourceSpec, cache: PathBuf, keys: Keys) -> Result<Publisher, Failure> {
    let source = store::open(spec)?;
    let config = config(args, spec, cache, keys)?;
    let store = source.store_dir().to_owned();
    let methods: Vec<String> = config
        .bake
        .compressors
        .iter()
        .map(ToString::to_string)
        .collect();
    tracing::info!(
        store,
        compression = methods.join(" "),
        cache = %config.bake.dir.display(),
        ipfs = config.kubo.as_ref().map_or("own gateway", |kubo| kubo.url().as_str()),
        "publishing"
    );
    if is_unsigned(&config, &*source) {
        tracing::warn!("no key: narinfos are not signed, and no stock client will use them");
    }
    Ok(Publisher::open(source, config)?)
}

fn is_unsigned(config: &Config, source: &dyn Source) -> bool {
    match config.dialect.unwrap_or(Dialect::Nix) {
        Dialect::Guix => config.keys.guix.is_none(),
        // What a store holds may be signed already.
        Dialect::Nix => {
            let signed = |item: &store::Item| !item.signatures.is_empty();
            let first = source.items(None, 1).unwrap_or_default();
            config.keys.nix.is_empty() && !first.iter().any(signed)
        }
    }
}

fn config(args: &Args, spec: &SourceSpec, cache: PathBuf, keys: Keys) -> Result<Config, Failure> {
    let dialect = dialect(spec);
    let mut bake = bake::Config::new(cache);
    if !args.compression.is_empty() {
        bake.compressors.clone_from(&args.compression);
    } else if dialect == Dialect::Nix {
        bake.compressors = Vec::from_iter(Compressor::of(Compression::Zstd));
    }
    if args.publish_tree {
        // The tree's NAR is the plain one.
        bake.compressors.retain(|one| *one != Compressor::NONE);
        bake.compressors.push(Compressor::TREE);
    }
    bake.workers = args.workers.unwrap_or(bake.workers);
    bake.note_every = note_every(args);
    let kubo = Kubo::of_flag(args.ipfs_api.as_deref()).map_err(Failure::usage)?;
    for gateway in &args.ipfs_gateway {
        let url = url::Url::parse(gateway).ok();
        if !url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.query().is_none())
        {
            return Err(Failure::usage(anyhow!(
                "\"{gateway}\" is not the URL of a gateway"
            )));
        }
    }
    let cache_info = match spec {
        SourceSpec::BinaryCache { dir } => std::fs::read_to_string(dir.join("nix-cache-info")).ok(),
        _ => None,
    };
    Ok(Config {
        cached: args.cache.is_some(),
        bypass_threshold: args.cache_bypass_threshold,
        ttl: args.ttl,
        negative_ttl: args.negative_ttl,
        nar_path: args.nar_path.clone(),
        dialect: Some(dialect),
        keys,
        gateways: args.ipfs_gateway.clone(),
        kubo,
        cache_info,
        upkeep: upkeep(args),
        snapshot: args.snapshot.then(|| SnapshotConfig {
            interval: Duration::from_secs(args.snapshot_interval),
            key: args.snapshot_key.clone(),
            keep_for: args.ttl.map_or(NARINFO_TTL, Duration::from_secs),
        }),
        ..Config::new(bake)
    })
}

/// What goes from the cache folder; nothing, unless the command line bounds it.
fn upkeep(args: &Args) -> Option<Policy> {
    let ttl = args.ttl.map(Duration::from_secs);
    let unused_for = ttl.filter(|_| args.cache.is_some());
    let policy = Policy {
        unused_for,
        max_bytes: args.max_cache_size,
        keep_for: ttl.unwrap_or(NARINFO_TTL),
    };
    (policy.unused_for.is_some() || policy.max_bytes.is_some()).then_some(policy)
}

/// How often requests are noted: well within the time for which clients may keep narinfos.
fn note_every(args: &Args) -> Duration {
    let ttl = args.ttl.map_or(NARINFO_TTL, Duration::from_secs);
    (ttl / 4).clamp(Duration::from_secs(1), NOTE_EVERY)
}

fn dialect(spec: &SourceSpec) -> Dialect {
    let store_dir = match spec {
        SourceSpec::Guix { .. } => return Dialect::Guix,
        SourceSpec::Nix { .. } => return Dialect::Nix,
        SourceSpec::Trees { store_dir, .. } => store_dir.clone(),
        SourceSpec::BinaryCache { dir } => {
            std::fs::read_to_string(dir.join("nix-cache-info")).unwrap_or_default()
        }
    };
    if store_dir.contains("/gnu/store") {
        Dialect::Guix
    } else {
        Dialect::Nix
    }
}

/// What the command line asks to publish.
fn spec(args: &Args) -> Result<SourceSpec, Failure> {
    let root = args.store_root.clone();
    let here = store::registered_under(&root);
    let guix = here.contains(&SourceSpec::Guix { root: root.clone() });
    let nix = here.contains(&SourceSpec::Nix { root: root.clone() });
    if args.trees.is_empty() {
        match args.source.as_deref() {
            Some("guix") => return Ok(SourceSpec::Guix { root }),
            Some("nix") => return Ok(SourceSpec::Nix { root }),
            Some(dir) => return Ok(SourceSpec::BinaryCache { dir: dir.into() }),
            // A machine with both: whoever brings a Nix key means Nix.
            None if guix && (!nix || args.nix_key.is_empty()) => {
                return Ok(SourceSpec::Guix { root });
            }
            None if nix => return Ok(SourceSpec::Nix { root }),
            None => tracing::warn!(
                "no store is here and no tree was named: only blocks that are in the cache folder are served"
            ),
        }
    }
    let store_dir = args.store_dir.clone().unwrap_or_else(|| {
        let is_nix = !args.nix_key.is_empty() || (nix && !guix);
        if is_nix { "/nix/store" } else { "/gnu/store" }.to_owned()
    });
    let tree = |path: &PathBuf| Tree {
        path: path.clone(),
        name: None,
    };
    Ok(SourceSpec::Trees {
        trees: args.trees.iter().map(tree).collect(),
        store_dir,
    })
}

/// Where to bake without `--cache`.
fn cache_folder() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    // Where systemd started it, the unit's CacheDirectory=.
    let home = set("CACHE_DIRECTORY")
        .or_else(|| {
            rustix::process::geteuid()
                .is_root()
                .then(|| PathBuf::from("/var/cache"))
        })
        .or_else(|| set("XDG_CACHE_HOME"))
        .or_else(|| set("HOME").map(|home| home.join(".cache")));
    home.map(|home| home.join("interplanar/publish"))
}

/// A cache folder that isn't there yet is made for the user who will write to it; one that is there is the operator's to give.
fn own(cache: &Path, user: User) -> std::io::Result<()> {
    if cache.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(cache)?;
    std::os::unix::fs::chown(cache, Some(user.uid), Some(user.gid))
}
