//! A client of Kubo's RPC API (`/api/v0/…`).
//!
//! Restrictions: it only sends POST, as Kubo requires; unix sockets are not supported. Bodies are
//! streamed in both directions, so adding a file of any size takes constant memory.
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

/// The longest response that isn't a block: 1 MiB of JSON.
const MAX_RESPONSE: usize = 1 << 20;

/// A Kubo node; cheap to clone.
#[derive(Debug, Clone)]
pub struct Kubo {
    base: Url,
    client: reqwest::Client,
}

/// The identity of a node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Id {
    /// The peer ID.
    #[serde(rename = "ID")]
    pub id: String,
    /// The program and version, such as `kubo/0.43.0/`.
    #[serde(rename = "AgentVersion", default)]
    pub agent: String,
    /// The addresses at which other nodes can reach it.
    #[serde(rename = "Addresses", default, deserialize_with = "null_as_empty")]
    pub addresses: Vec<String>,
}

impl Kubo {
    /// Returns a client for `http://HOST:PORT`, `https://…` or a multiaddr like
    /// `/ip4/127.0.0.1/tcp/5001`. Sends nothing yet.
    ///
    /// # Errors
    /// [`KuboError::Address`] if the address can't be parsed.
    pub fn new(api_url: &str) -> Result<Self, KuboError> {
        let base = address::parse(api_url)?;
        let builder = || {
            reqwest::Client::builder()
                .connect_timeout(Duration::from_secs(10))
                .read_timeout(Duration::from_secs(300))
                .no_proxy()
                // With a kept connection, a stopped node would look broken instead of down.
                .pool_max_idle_per_host(0)
        };
        let client = crate::net::client::build(builder)
            .map_err(|error| KuboError::Protocol(error.to_string()))?;
        Ok(Self { base, client })
    }

    /// Returns the node that `--ipfs-api[=URL]` names; without a URL, that of [`default_url`].
    ///
    /// # Errors
    /// [`KuboError::Address`] if the address can't be parsed.
    pub fn of_flag(flag: Option<&str>) -> Result<Option<Self>, KuboError> {
        let url = flag.map(|url| match url {
            "" => default_url(),
            url => url.to_owned(),
        });
        url.as_deref().map(Self::new).transpose()
    }

    /// The URL of the node's RPC API.
    pub fn url(&self) -> &Url {
        &self.base
    }

    /// Asks for the version of Kubo.
    ///
    /// # Errors
    /// As for all calls: the API can't be reached, refuses, or sends an unexpected response.
    pub async fn version(&self) -> Result<String, KuboError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Version {
            version: String,
        }
        let version: Version = self.json("version", &[]).await?;
        Ok(version.version)
    }

    /// Asks for the identity of the node.
    ///
    /// # Errors
    /// As [`Self::version`].
    pub async fn id(&self) -> Result<Id, KuboError> {
        self.json("id", &[]).await
    }

    /// Returns whether a DAG is pinned recursively.
    ///
    /// # Errors
    /// As [`Self::version`].
    pub async fn is_pinned(&self, cid: &Cid) -> Result<bool, KuboError> {
        let arguments = [("arg", cid.to_string()), ("type", "recursive".to_owned())];
        match self.bytes("pin/ls", &arguments, MAX_RESPONSE).await {
            Ok(_) => Ok(true),
            Err(KuboError::Api { message, .. }) if message.contains("is not pinned") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Unpins a DAG. Returns whether it was pinned.
    ///
    /// # Errors
    /// As [`Self::version`].
    pub async fn pin_rm(&self, cid: &Cid) -> Result<bool, KuboError> {
        match self
            .bytes("pin/rm", &[("arg", cid.to_string())], MAX_RESPONSE)
            .await
        {
            Ok(_) => Ok(true),
            Err(KuboError::Api { message, .. }) if message.contains("not pinned") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns a block that the node has itself, verified; `None` if it lacks it.
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

    /// Returns the length of a block that the node has itself, in bytes; `None` if it lacks it.
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

    /// Returns the URL of a command with its arguments.
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
        let answer = self.bytes(command, arguments, MAX_RESPONSE).await?;
        serde_json::from_slice(&answer)
            .map_err(|error| KuboError::Protocol(format!("{command}: {error}")))
    }

    /// Runs a command and returns its response, of at most `limit` bytes.
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

    /// Returns the body of a response, or the error that it contains.
    async fn collect(
        &self,
        mut response: reqwest::Response,
        limit: usize,
    ) -> Result<Bytes, KuboError> {
        let status = response.status();
        let limit = if status.is_success() {
            limit
        } else {
            MAX_RESPONSE
        };
        let mut body = BytesMut::new();
        while let Some(data) = response
            .chunk()
            .await
            .map_err(|error| self.transport(&error))?
        {
            if body.len() + data.len() > limit {
                return Err(KuboError::Protocol(format!(
                    "the response has more than {limit} bytes"
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

/// Arguments of a block command that doesn't ask the network.
fn local(cid: &Cid) -> [(&'static str, String); 2] {
    [("arg", cid.to_string()), ("offline", "true".to_owned())]
}

fn null_as_empty<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(input)?.unwrap_or_default())
}
