//! `interplanar publish`: the command line of [`crate::publish`], with the options of
//! `guix publish`.

use super::{Context, Failure};
use crate::bake::space::{NARINFO_TTL, NOTE_EVERY, Policy};
use crate::bake::{self, BakeError, Compressor};
use crate::kubo::Kubo;
use crate::net::server;
use crate::publish::keys::{GUIX_PUBLIC_KEY, GUIX_SECRET_KEY, KeyTexts, Keys};
use crate::publish::units::{parse_duration, parse_size};
use crate::publish::user::{Handover, Inheritance, User};
use crate::publish::{Config, Publisher, SnapshotConfig};
use crate::store::trees::Tree;
use crate::store::{self, Source, SourceError, SourceSpec};
use crate::task;
use anyhow::{Context as _, anyhow};
use interplanar_core::narinfo::{Compression, Dialect};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Serve the store of this machine as substitutes, over HTTP and IPFS.
///
/// Has the options of `guix publish`, and serves Guix and Nix clients alike. Items are compressed
/// and stored as IPFS blocks when they are first requested. That is called baking.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Files and folders to publish, each as one store item. The log shows their store paths
    /// [default: publish the store of this machine].
    #[arg(value_name = "TREE")]
    pub trees: Vec<PathBuf>,
    /// What to publish: the store of Guix, the store of Nix, or a folder that `nix copy --to
    /// file://DIR` wrote [default: the store of this machine; if it has both, Guix's, or Nix's with
    /// --nix-key].
    #[arg(long, value_name = "guix|nix|DIR", conflicts_with = "trees")]
    pub source: Option<String>,
    /// Root of the system whose store is published, such as /mnt for /mnt/gnu/store.
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub store_root: PathBuf,
    /// Store directory of the given TREEs [default: /nix/store with --nix-key or if this machine
    /// has only Nix's store, else /gnu/store].
    #[arg(long, value_name = "DIR")]
    pub store_dir: Option<String>,
    /// Port to listen on; 0 selects a free one.
    #[arg(short, long, default_value_t = 8080)]
    pub port: u16,
    /// Host name or address to listen on.
    #[arg(long, value_name = "HOST", default_value = "0.0.0.0")]
    pub listen: String,
    /// Switch to this user once the port is open and the keys are read.
    #[arg(short, long)]
    pub user: Option<String>,
    /// Compression method: gzip, zstd, zstd-whole, lzip or none. Repeat it to offer several, the
    /// preferred one first [default: gzip:3 for Guix, zstd:3 for Nix].
    ///
    /// zstd compresses the pieces of a NAR one by one, so that similar items share blocks.
    /// zstd-whole makes smaller files, but they share no blocks. Higher levels make smaller files
    /// and take longer: up to 9 for gzip and lzip, up to 22 for zstd.
    #[arg(short = 'C', long, value_name = "METHOD[:LEVEL]")]
    pub compression: Vec<Compressor>,
    /// Publish each item also as a directory on IPFS.
    ///
    /// A file in it has the CID that `ipfs add` gives to that file, whichever item contains it.
    /// Narinfos then also offer the plain NAR, which consists of the same blocks.
    #[arg(long)]
    pub publish_tree: bool,
    /// Cache folder. With it, large items are served only once they are baked.
    ///
    /// Until then the answer is 404, and the client can ask again later. Without --cache, items are
    /// served at once, while they are baked. Their blocks are then stored in interplanar/publish,
    /// in $CACHE_DIRECTORY, else for root in /var/cache, else in $XDG_CACHE_HOME or ~/.cache.
    #[arg(short, long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// With --cache, serve items whose NAR is smaller than this before they are baked.
    #[arg(long, value_name = "SIZE", default_value = "10M", value_parser = parse_size)]
    pub cache_bypass_threshold: u64,
    /// Limit the size of the cache folder: delete the least recently requested items [default: no
    /// limit]
    ///
    /// Items that were requested within --ttl (36h if it isn't given) stay, even above the limit.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_cache_size: Option<u64>,
    /// Number of items to bake at the same time [default: one per processor].
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,
    /// Tell clients to keep narinfos for this time: 90s, 2h, 5d, 1w, or 1m (30 days) [default:
    /// don't tell; Guix keeps them for 36h]
    ///
    /// With --cache, items that are no longer in the store and were not requested for this time are
    /// deleted from the cache folder.
    #[arg(long, value_parser = parse_duration)]
    pub ttl: Option<u64>,
    /// Tell clients to remember for this time that a narinfo doesn't exist [default: don't tell].
    #[arg(long, value_name = "TTL", value_parser = parse_duration)]
    pub negative_ttl: Option<u64>,
    /// Path prefix of NAR URLs.
    #[arg(long, value_name = "PATH", default_value = "nar")]
    pub nar_path: String,
    /// File with Guix's public key [default: /etc/guix/signing-key.pub].
    #[arg(long, value_name = "FILE")]
    pub public_key: Option<PathBuf>,
    /// File with Guix's secret key [default: /etc/guix/signing-key.sec].
    #[arg(long, alias = "secret-key", value_name = "FILE")]
    pub private_key: Option<PathBuf>,
    /// Sign with the secret key in this file, made by `nix-store --generate-binary-cache-key` or
    /// `nix key generate-secret`. Repeat it to sign with several keys.
    #[arg(long, value_name = "FILE")]
    pub nix_key: Vec<PathBuf>,
    /// Store and pin all baked items in a Kubo node too. Write the URL of its RPC API after `=`
    /// [default URL: the one in $IPFS_PATH/api or ~/.ipfs/api, else http://127.0.0.1:5001].
    #[arg(long, value_name = "URL", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub ipfs_api: Option<String>,
    /// Gateway that clients can reach, such as http://127.0.0.1:8080 if each runs Kubo. Narinfos
    /// list its URLs before our own. Can be repeated.
    #[arg(long, value_name = "URL")]
    pub ipfs_gateway: Vec<String>,
    /// Publish the whole cache also as one directory on IPFS. Any gateway serves it to unmodified
    /// clients.
    ///
    /// With --ipfs-api, it gets an IPNS name: an address that stays when the cache changes. The log
    /// shows it. The directory contains baked items only: see --bake-all.
    #[arg(long)]
    pub snapshot: bool,
    /// With --snapshot and --ipfs-api, the name of the key in Kubo that signs the IPNS name. It is
    /// created if it doesn't exist.
    #[arg(long, value_name = "NAME", default_value = "interplanar")]
    pub snapshot_key: String,
    /// With --snapshot, update the directory at most once in this time: 90s, 2h.
    #[arg(long, value_name = "TIME", default_value = "600s", value_parser = parse_duration)]
    pub snapshot_interval: u64,
    /// Bake the whole store, not only items that are requested. TREEs are always baked.
    #[arg(long, visible_alias = "eager")]
    pub bake_all: bool,
}

const EXAMPLES: &str = "\
Examples:
  interplanar publish --port 80 --compression zstd:9 --ttl 30d
  interplanar publish --user nobody --cache /var/cache/publish --ipfs-api
  interplanar publish --nix-key /etc/nix/key.sec --ipfs-gateway http://127.0.0.1:8080
  interplanar publish --compression zstd:9 --publish-tree --ipfs-api
  interplanar publish --cache /var/cache/publish --ipfs-api --snapshot --bake-all
  interplanar publish ./site --port 0";

/// Publishes until a signal stops it.
///
/// # Errors
/// A key, user or source can't be used (exit code 2), the cache folder is in use, or the port is
/// taken.
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
        tracing::warn!("running as root; name an unprivileged user with --user");
    }
    let Inheritance { listener, handover } = inheritance;
    let keys = Keys::parse(&handover.keys).map_err(Failure::usage)?;
    let shutdown = context.shutdown();
    let (trees, all) = (!args.trees.is_empty(), args.bake_all);
    let publisher = task::blocking("opening the cache folder", move || {
        open(&args, &spec, handover.cache, keys)
    })
    .await??;
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

/// Does what needs the rights the process was started with: reads the keys and opens the port.
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
    let advice = if named || !is_guix {
        "can't sign narinfos"
    } else {
        "can't sign narinfos (`guix archive --generate-key` makes a key for Guix)"
    };
    let keys = keys.context(advice).map_err(Failure::usage)?;
    let cache = args.cache.clone().or_else(cache_folder);
    let cache =
        cache.ok_or_else(|| Failure::usage(anyhow!("no cache folder; name one with --cache")))?;
    Ok(Inheritance {
        listener: bind(&args.listen, args.port)?,
        handover: Handover { keys, cache },
    })
}

fn bind(host: &str, port: u16) -> anyhow::Result<TcpListener> {
    let addresses = (host, port).to_socket_addrs();
    let mut addresses = addresses.with_context(|| {
        format!("can't look up the host '{host}' (--listen takes an address of this machine)")
    })?;
    let address: SocketAddr = addresses
        .next()
        .ok_or_else(|| anyhow!("the host '{host}' has no address"))?;
    TcpListener::bind(address).map_err(|error| server::cannot_listen(address, &error).into())
}

fn listen(listener: TcpListener) -> std::io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tracing::info!("listening on http://{}", listener.local_addr()?);
    Ok(listener)
}

/// Opens the source and the cache folder. Blocks.
fn open(args: &Args, spec: &SourceSpec, cache: PathBuf, keys: Keys) -> Result<Publisher, Failure> {
    let source = store::open(spec).map_err(cannot_publish)?;
    let dir = cache.display().to_string();
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
        tracing::warn!(
            "no signing key: narinfos are unsigned, and stock clients won't use them; name a key \
             with --nix-key, or with --public-key and --private-key"
        );
    }
    Publisher::open(source, config).map_err(|error| {
        let advice = match error {
            BakeError::Io { .. } => "; name another folder with --cache",
            _ => "",
        };
        anyhow!("can't open the cache folder {dir}: {error}{advice}").into()
    })
}

/// Explains the usual mistakes in TREEs.
fn cannot_publish(error: SourceError) -> anyhow::Error {
    let SourceError::Gone(path) = error else {
        return error.into();
    };
    let path = path.display();
    let advice = match path.to_string().contains("://") {
        true => "write the URL of an option after `=`, as in --ipfs-api=http://127.0.0.1:5001",
        false => "name an existing file or folder",
    };
    anyhow!("can't publish {path}: it doesn't exist; {advice}")
}

fn is_unsigned(config: &Config, source: &dyn Source) -> bool {
    match config.dialect.unwrap_or(Dialect::Nix) {
        Dialect::Guix => config.keys.guix.is_none(),
        // Items in the store can have signatures already.
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
        // The tree comes with the plain NAR, so NONE would make it twice.
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
                "\"{gateway}\" is not the URL of a gateway; \
                 expected http:// or https:// without a query"
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

/// What to delete from the cache folder; nothing, unless the command line limits it.
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

/// How often to record when items were requested: well within the time that clients keep narinfos.
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

/// Returns what the command line asks to publish.
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
            // On a machine with both stores, a Nix key selects Nix's.
            None if guix && (!nix || args.nix_key.is_empty()) => {
                return Ok(SourceSpec::Guix { root });
            }
            None if nix => return Ok(SourceSpec::Nix { root }),
            None => tracing::warn!(
                "no store found and no TREE given: serving only the blocks in the cache folder; name a \
                 store with --source or --store-root"
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

/// The cache folder if `--cache` isn't given.
fn cache_folder() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    // systemd sets this for a unit with CacheDirectory=.
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

/// Creates a missing cache folder for the user who will write to it. The owner of an existing one
/// doesn't change.
fn own(cache: &Path, user: User) -> std::io::Result<()> {
    if cache.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(cache)?;
    std::os::unix::fs::chown(cache, Some(user.uid), Some(user.gid))
}
