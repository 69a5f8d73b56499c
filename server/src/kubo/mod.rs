//! A client of Kubo's RPC API (`/api/v0/…`).
//!
//! Restrictions: POST only, as Kubo wants it; a unix socket is not supported. Bodies are streamed both ways, so an `add` of any size takes
//! constant memory.
//!
//! ```no_run
//! # async fn example() -> Result<(), interplanar_server::kubo::KuboError> {
//! use interplanar_server::kubo::Kubo;
//! let kubo = Kubo::new("/ip4/127.0.0.1/tcp/5001")?;
//! println!("Kubo {}", kubo.version().await?);
//! # Ok(())
//! # }
//! ```

mod add;
mod address;
mod error;
mod import;
mod lines;
mod name;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use interplanar_core::block::Block;
use interplanar_core::cid::{self, Cid, MAX_BLOCK};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

pub use add::Added;
pub use address::default_url;
pub use error::KuboError;

/// The longest answer that isn't a block: 1 MiB of JSON.
const MAX_ANSWER: usize = 1 << 20;

/// One Kubo node; cheap to clone.
#[derive(Debug, Clone)]
pub struct Kubo {
    base: Url,
    client: reqwest::Client,
}

/// Who a node is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Id {
    /// Its peer ID.
    #[serde(rename = "ID")]
    pub id: String,
    /// `kubo/0.43.0/` and the like.
    #[serde(rename = "AgentVersion", default)]
    pub agent: String,
    /// Where it can be dialled.
    #[serde(rename = "Addresses", default, deserialize_with = "null_as_empty")]
    pub addresses: Vec<String>,
}

impl Kubo {
    /// A node at `http://HOST:PORT`, `https://…` or a multiaddr like `/ip4/127.0.0.1/tcp/5001`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`KuboError::Address`].
    pub fn new(api_url: &str) -> Result<Self, KuboError> {
        let base = address::parse(api_url)?;
        let builder = || {
            reqwest::Client::builder()
                .connect_timeout(Duration::from_secs(10))
                .read_timeout(Duration::from_secs(300))
                .no_proxy()
                // A kept connection to a node that was stopped would look broken, and not down.
                .pool_max_idle_per_host(0)
        };
        let client = crate::net::client::build(builder)
            .map_err(|error| KuboError::Protocol(error.to_string()))?;
        Ok(Self { base, client })
    }

    /// The node that a command line names by `--ipfs-api[=URL]`; without a URL the one that is here.
    ///
    /// # Errors
    /// [`KuboError::Address`].
    pub fn of_flag(flag: Option<&str>) -> Result<Option<Self>, KuboError> {
        let url = flag.map(|url| match url {
            "" => default_url(),
            url => url.to_owned(),
        });
        url.as_deref().map(Self::new).transpose()
    }

    /// The address of its API.
    pub fn url(&self) -> &Url {
        &self.base
    }

    /// The version of Kubo.
    ///
    /// # Errors
    /// As all calls: the API cannot be reached, refuses, or answers what it shouldn't.
    pub async fn version(&self) -> Result<String, KuboError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Version {
            version: String,
        }
        let version: Version = self.json("version", &[]).await?;
        Ok(version.version)
    }

    /// Who the node is.
    ///
    /// # Errors
    /// As [`Self::version`].
    pub async fn id(&self) -> Result<Id, KuboError> {
        self.json("id", &[]).await
    }

    /// Whether a DAG is pinned recursively.
    ///
    /// # Errors
    /// As [`Self::version`].
    pub async fn is_pinned(&self, cid: &Cid) -> Result<bool, KuboError> {
        let arguments = [("arg", cid.to_string()), ("type", "recursive".to_owned())];
        match self.bytes("pin/ls", &arguments, MAX_ANSWER).await {
            Ok(_) => Ok(true),
            Err(KuboError::Api { message, .. }) if message.contains("is not pinned") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Unpins a DAG; gives whether it was pinned.
    ///
    /// # Errors
    /// As [`Self::version`].
    pub async fn pin_rm(&self, cid: &Cid) -> Result<bool, KuboError> {
        match self
            .bytes("pin/rm", &[("arg", cid.to_string())], MAX_ANSWER)
            .await
        {
            Ok(_) => Ok(true),
            Err(KuboError::Api { message, .. }) if message.contains("not pinned") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A block that the node has itself, verified; `None` if it has not.
    ///
    /// # Errors
    /// As [`Self::version`]; [`KuboError::Protocol`] if the data doesn't match the CID.
    pub async fn block_get(&self, cid: &Cid) -> Result<Option<Block>, KuboError> {
        let data = match self.bytes("block/get", &local(cid), MAX_BLOCK).await {
            Ok(data) => data,
            Err(error) if error.is_absent() => return Ok(None),
            Err(error) => return Err(error),
        };
        let wrong = |error: cid::CidError| KuboError::Protocol(error.to_string());
        Block::verify(*cid, data).map(Some).map_err(wrong)
    }

    /// The length in bytes of a block that the node has itself; `None` if it has not.
    ///
    /// # Errors
    /// As [`Self::version`].
    pub async fn block_stat(&self, cid: &Cid) -> Result<Option<u64>, KuboError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Stat {
            size: u64,
        }
        match self.json::<Stat>("block/stat", &local(cid)).await {
            Ok(stat) => Ok(Some(stat.size)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The URL of a command with its arguments.
    fn command(&self, command: &str, arguments: &[(&str, String)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!(
            "{}/api/v0/{command}",
            self.base.path().trim_end_matches('/')
        ));
        if !arguments.is_empty() {
            url.query_pairs_mut().extend_pairs(arguments);
        }
        url
    }

    async fn json<T: DeserializeOwned>(
        &self,
        command: &str,
        arguments: &[(&str, String)],
    ) -> Result<T, KuboError> {
        let answer = self.bytes(command, arguments, MAX_ANSWER).await?;
        serde_json::from_slice(&answer)
            .map_err(|error| KuboError::Protocol(format!("{command}: {error}")))
    }

    /// Runs a command and collects its answer, which may take `limit` bytes.
    async fn bytes(
        &self,
        command: &str,
        arguments: &[(&str, String)],
        limit: usize,
    ) -> Result<Bytes, KuboError> {
        let request = self.client.post(self.command(command, arguments));
        let response = request
            .send()
            .await
            .map_err(|error| self.transport(&error))?;
        self.collect(response, limit).await
    }

    /// The body of an answer, or the error that it is.
    async fn collect(
        &self,
        mut response: reqwest::Response,
        limit: usize,
    ) -> Result<Bytes, KuboError> {
        let status = response.status();
        let limit = if status.is_success() {
            limit
        } else {
            MAX_ANSWER
        };
        let mut body = BytesMut::new();
        while let Some(data) = response
            .chunk()
            .await
            .map_err(|error| self.transport(&error))?
        {
            if body.len() + data.len() > limit {
                return Err(KuboError::Protocol(format!(
                    "an answer of more than {limit} bytes"
                )));
            }
            body.extend_from_slice(&data);
        }
        if status.is_success() {
            return Ok(body.freeze());
        }
        Err(KuboError::api(status.as_u16(), &body))
    }

    fn transport(&self, error: &reqwest::Error) -> KuboError {
        KuboError::transport(&self.base, error)
    }
}

/// A block command that doesn't ask the network.
fn local(cid: &Cid) -> [(&'static str, String); 2] {
    [("arg", cid.to_string()), ("offline", "true".to_owned())]
}

fn null_as_empty<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(input)?.unwrap_or_default())
}
