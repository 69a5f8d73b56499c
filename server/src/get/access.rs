//! The sources and keys that a command uses to download.

use crate::blocks::BlockStore;
use crate::cli::Failure;
use crate::cli::installed::SharedIndexArgs;
use crate::net::client::{self, FetchStream, TreeStream, fetch_block, fetch_ipfs, fetch_tree};
use crate::proxy::{self, Config, Found, Proxy};
use crate::task;
use anyhow::anyhow;
use bytes::BytesMut;
use futures_util::StreamExt as _;
use interplanar_core::block::Block;
use interplanar_core::cid::{Cid, IpfsUrl};
use interplanar_core::fetch::{Event, FetchError, Gateway, GatewayPool, Options, Policy};
use interplanar_core::unixfs::{Budget, Resolver, UnixFsError};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use url::Url;

/// The options that `get`, `cat`, `ls` and `verify` share.
#[derive(Debug, Clone, clap::Args)]
pub struct AccessArgs {
    /// IPFS gateway to fetch from. Can be repeated; the fastest is preferred.
    #[arg(
        long = "gateway",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub gateways: Vec<String>,
    /// Cache to take narinfos of store items from: an HTTP server, ipns://NAME or ipfs://CID. Can be
    /// repeated, in order of preference. Needed for store items.
    #[arg(long = "upstream", value_name = "URL")]
    pub upstreams: Vec<String>,
    /// File with the keys that Guix trusts [default: /etc/guix/acl, if it exists].
    #[arg(long, value_name = "FILE")]
    pub guix_acl: Option<PathBuf>,
    /// Key to trust: a file with Guix or Nix public keys, or a Nix key itself ("name:base64"). Can
    /// be repeated.
    #[arg(long = "trusted-key", value_name = "FILE|KEY")]
    pub trusted_keys: Vec<String>,
    /// Cache folder to read blocks from and to store fetched blocks in [default: none].
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Options about installed items.
    #[command(flatten)]
    pub installed: SharedIndexArgs,
}

/// Downloads with the options in [`AccessArgs`].
pub struct Access {
    args: AccessArgs,
    client: reqwest::Client,
    gateways: Arc<Mutex<GatewayPool>>,
    /// The blocks of the cache folder, once it is open.
    blocks: OnceLock<BlockStore>,
    /// Folder for the blocks of store items during a download, used without a cache folder.
    temporary: tempfile::TempDir,
}

impl Access {
    /// Checks the options and creates the HTTP client.
    ///
    /// # Errors
    /// A URL is not valid, or no temporary folder can be created.
    pub fn new(args: AccessArgs) -> Result<Self, Failure> {
        let gateway = |url: &String| {
            Gateway::parse(url).map_err(|error| {
                Failure::usage(anyhow!("can't use the gateway \"{url}\": {error}"))
            })
        };
        let gateways: Vec<Gateway> = args
            .gateways
            .iter()
            .map(gateway)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            args,
            client: client::http_client()?,
            gateways: Arc::new(Mutex::new(GatewayPool::new(gateways, Policy::default()))),
            blocks: OnceLock::new(),
            temporary: tempfile::Builder::new()
                .prefix("interplanar-")
                .tempdir_in("/var/tmp")
                .or_else(|_| tempfile::tempdir())?,
        })
    }

    /// Opens the block store of the cache folder, for targets on IPFS.
    ///
    /// # Errors
    /// Another program uses the block store.
    pub fn with_blocks(self) -> Result<Self, Failure> {
        if let Some(cache) = &self.args.cache {
            let blocks = BlockStore::open(&cache.join("blocks"))?;
            self.blocks.get_or_init(|| blocks);
        }
        Ok(self)
    }

    /// Streams a file from IPFS.
    pub fn fetch(
        &self,
        url: &IpfsUrl,
        on_event: impl FnMut(&Event) + Send + 'static,
    ) -> FetchStream {
        let gateways = Arc::clone(&self.gateways);
        fetch_ipfs(
            &self.client,
            url,
            Options::default(),
            gateways,
            self.blocks.get().cloned(),
            on_event,
        )
    }

    /// Looks up a store item. Returns it with a proxy that can download it. The proxy's blocks are
    /// used from now on.
    ///
    /// # Errors
    /// Exit code 4 when no upstream has the item; 2 without upstreams or keys.
    pub async fn item(&self, hash_part: &str) -> Result<(Proxy, proxy::Available), Failure> {
        if self.args.upstreams.is_empty() {
            return Err(Failure::usage(anyhow!(
                "can't look up a store item without a cache: name one with --upstream"
            )));
        }
        let keys = proxy::load_keys(self.args.guix_acl.as_deref(), &self.args.trusted_keys)
            .map_err(Failure::usage)?;
        if keys.is_empty() {
            return Err(Failure::usage(anyhow!(
                "can't verify store items without a key: name one with --trusted-key or --guix-acl"
            )));
        }
        let urls = |texts: &[String]| {
            texts
                .iter()
                .map(|text| crate::cli::proxy::folder_url(text))
                .collect::<Result<Vec<Url>, Failure>>()
        };
        let has_gateways = !self.args.gateways.is_empty();
        let upstreams = self.args.upstreams.iter();
        let upstreams = upstreams.map(|text| crate::cli::proxy::upstream_url(text, has_gateways));
        let config = Config {
            upstreams: upstreams.collect::<Result<_, _>>()?,
            gateways: urls(&self.args.gateways)?,
            keys,
            cache: self
                .args
                .cache
                .clone()
                .unwrap_or_else(|| self.temporary.path().to_owned()),
            cache_size: u64::MAX,
            prefer: self.args.installed.installed.prefer.into(),
            installed: self.args.installed.config(),
            store_dir: None,
            priority: 0,
        };
        let proxy =
            task::blocking("opening the cache folder", move || Proxy::open(config)).await??;
        self.blocks.get_or_init(|| proxy.blocks().clone());
        match proxy.find(hash_part).await {
            Found::Available(item) => Ok((proxy, item)),
            Found::Absent => Err(Failure::not_found(anyhow!(
                "no upstream has {hash_part} with a signature of a trusted key; name other caches \
                 with --upstream, or the key of the signer with --trusted-key"
            ))),
            Found::Unreachable => Err(anyhow!(
                "can't reach any upstream; check the network and the URLs of --upstream"
            )
            .into()),
        }
    }

    /// Streams a directory with everything in it.
    pub fn tree(&self, cid: Cid) -> TreeStream {
        fetch_tree(
            &self.client,
            &IpfsUrl::new(cid),
            Options::default(),
            Arc::clone(&self.gateways),
            self.blocks.get().cloned(),
            |_| {},
        )
    }

    /// Returns one verified block, from the local block store or else from a gateway.
    ///
    /// # Errors
    /// Exit code 4 when no source has the block.
    pub async fn block(&self, cid: &Cid) -> Result<Block, Failure> {
        let mut stream = fetch_block(
            &self.client,
            *cid,
            Options::default(),
            Arc::clone(&self.gateways),
            self.blocks.get().cloned(),
            |_| {},
        );
        let mut data = BytesMut::new();
        while let Some(piece) = stream.next().await {
            data.extend_from_slice(&piece.map_err(failure)?);
        }
        // The fetch engine has verified the block too.
        Block::verify(*cid, data.freeze()).map_err(Failure::verification)
    }

    /// Follows the path of a URL and returns the CID at its end.
    ///
    /// # Errors
    /// Exit code 4 when the path doesn't exist.
    pub async fn resolve(&self, url: &IpfsUrl) -> Result<Cid, Failure> {
        if url.path.is_empty() {
            return Ok(url.cid);
        }
        let mut resolver = Resolver::new(url.cid, url.path.clone(), Budget::default());
        while let Some(cid) = resolver.wants() {
            resolver
                .push(self.block(&cid).await?)
                .map_err(|error| Failure::not_found(anyhow!(walk_error(url, &error))))?;
        }
        Ok(resolver.resolved().map_or(url.cid, |resolved| resolved.cid))
    }
}

/// Describes why the blocks of a URL are not what was asked for.
pub(super) fn walk_error(url: &IpfsUrl, error: &UnixFsError) -> String {
    match error {
        UnixFsError::NotFound { index } => {
            let name = url.path.get(*index).map_or("", String::as_str);
            let mut folder = url.clone();
            folder.path.truncate(*index);
            format!("there is no \"{name}\" in {folder}; `interplanar ls` lists a directory")
        }
        UnixFsError::NotAFile { .. } => {
            format!("{url} is not a file; for a directory, use `interplanar get` or `ls`")
        }
        UnixFsError::NotADirectory { .. } => {
            format!("{url} is not a directory; for a file, use `interplanar get` or `cat`")
        }
        error => format!("{url}: {error}"),
    }
}

/// Maps a fetch error to an exit code.
pub(super) fn failure(error: FetchError) -> Failure {
    match error {
        FetchError::NotFound { .. } | FetchError::NoGateways { .. } => {
            Failure::not_found(anyhow!("{error}; name other gateways with --gateway"))
        }
        FetchError::Unavailable { .. } => Failure::from(anyhow!(
            "{error}; start a gateway, or name others with --gateway (-v shows what each answered)"
        )),
        FetchError::Interrupted => Failure::from(anyhow!(error)),
        _ => Failure::verification(error),
    }
}
