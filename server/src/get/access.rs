//! What a command may use to get things.

use crate::blocks::BlockStore;
use crate::cli::Failure;
use crate::cli::installed::BesideArgs;
use crate::net::client::{self, FetchStream, TreeStream, fetch_block, fetch_ipfs, fetch_tree};
use crate::proxy::{self, Config, Found, Proxy};
use anyhow::anyhow;
use bytes::BytesMut;
use futures_util::StreamExt as _;
use interplanar_core::block::Block;
use interplanar_core::cid::{Cid, IpfsUrl};
use interplanar_core::fetch::{Event, FetchError, Gateway, GatewayPool, Options, Policy};
use interplanar_core::unixfs::{Budget, Resolver};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use url::Url;

/// The options that `get`, `cat`, `ls` and `verify` share.
#[derive(Debug, Clone, clap::Args)]
pub struct AccessArgs {
    /// IPFS gateway to fetch from; several are raced.
    #[arg(
        long = "gateway",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub gateways: Vec<String>,
    /// Cache that has the narinfos of store items; several in the order of preference.
    #[arg(long = "upstream", value_name = "URL")]
    pub upstreams: Vec<String>,
    /// Keys that Guix trusts [default: /etc/guix/acl where it is there].
    #[arg(long, value_name = "FILE")]
    pub guix_acl: Option<PathBuf>,
    /// Trusted key: a file with a Guix public key or with Nix public keys, or a Nix key itself, "name:base64".
    #[arg(long = "trusted-key", value_name = "FILE|KEY")]
    pub trusted_keys: Vec<String>,
    /// Cache folder whose blocks are used, and where new ones are kept [default: none is kept].
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// What installed items are used for.
    #[command(flatten)]
    pub installed: BesideArgs,
}

/// See [`AccessArgs`].
pub struct Access {
    args: AccessArgs,
    client: reqwest::Client,
    gateways: Arc<Mutex<GatewayPool>>,
    /// Those of the cache, once they are open.
    blocks: OnceLock<BlockStore>,
    /// Where blocks of store items are kept while they are fetched, without a cache.
    temporary: tempfile::TempDir,
}

impl Access {
    /// Checks the options.
    ///
    /// # Errors
    /// A URL or the cache folder can't be used.
    pub fn new(args: AccessArgs) -> Result<Self, Failure> {
        let gateway = |url: &String| {
            Gateway::parse(url)
                .map_err(|error| Failure::usage(anyhow!("gateway \"{url}\": {error}")))
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

    /// Opens the local blocks, for targets on IPFS.
    ///
    /// # Errors
    /// Another program uses them.
    pub fn with_blocks(self) -> Result<Self, Failure> {
        if let Some(cache) = &self.args.cache {
            let blocks = BlockStore::open(&cache.join("blocks"))?;
            self.blocks.get_or_init(|| blocks);
        }
        Ok(self)
    }

    /// Streams a file of IPFS.
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

    /// A store item, and the engine to open it with, whose blocks are used from now on.
    ///
    /// # Errors
    /// Exit code 4 when no upstream has it; 2 without upstreams or keys.
    pub async fn item(&self, hash_part: &str) -> Result<(Proxy, proxy::Available), Failure> {
        if self.args.upstreams.is_empty() {
            return Err(Failure::usage(anyhow!(
                "a store item is looked up in a cache: name one by --upstream"
            )));
        }
        let keys = proxy::load_keys(self.args.guix_acl.as_deref(), &self.args.trusted_keys)
            .map_err(Failure::usage)?;
        if keys.is_empty() {
            return Err(Failure::usage(anyhow!(
                "no key is trusted: name some by --trusted-key or --guix-acl"
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
        let proxy = tokio::task::spawn_blocking(move || Proxy::open(config)).await??;
        self.blocks.get_or_init(|| proxy.blocks().clone());
        match proxy.find(hash_part).await {
            Found::Available(item) => Ok((proxy, item)),
            Found::Absent => Err(Failure::not_found(anyhow!(
                "no upstream has {hash_part}, signed by a trusted key"
            ))),
            Found::Unreachable => Err(anyhow!("no upstream can be asked").into()),
        }
    }

    /// A directory with all that is below it.
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

    /// One verified block: from the local ones, else from a gateway that gives it.
    ///
    /// # Errors
    /// Exit code 4 when nobody has it.
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
        // Hashed by the engine as well; it is one block.
        Block::verify(*cid, data.freeze()).map_err(Failure::verification)
    }

    /// Follows a URL's path to the CID at its end.
    ///
    /// # Errors
    /// Exit code 4 when the path leads nowhere.
    pub async fn resolve(&self, url: &IpfsUrl) -> Result<Cid, Failure> {
        if url.path.is_empty() {
            return Ok(url.cid);
        }
        let mut resolver = Resolver::new(url.cid, url.path.clone(), Budget::default());
        while let Some(cid) = resolver.wants() {
            resolver
                .push(self.block(&cid).await?)
                .map_err(|error| Failure::not_found(anyhow!("{url}: {error}")))?;
        }
        Ok(resolver.resolved().map_or(url.cid, |resolved| resolved.cid))
    }
}

/// The exit code of a fetch that failed.
pub(super) fn failure(error: FetchError) -> Failure {
    match error {
        FetchError::NotFound { .. } | FetchError::NoGateways { .. } => {
            Failure::not_found(anyhow!("{error}; name gateways by --gateway"))
        }
        FetchError::Unavailable { .. } => {
            Failure::from(anyhow!("{error}; -v says what each gateway did"))
        }
        _ => Failure::verification(error),
    }
}
