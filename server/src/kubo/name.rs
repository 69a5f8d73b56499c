//! KeyList and their IPNS names, and pins.

use std::time::Duration;

use interplanar_core::cid::Cid;
use interplanar_core::ipns::Name;
use serde::Deserialize;

use super::{Kubo, KuboError, MAX_RESPONSE};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeyEntry {
    name: String,
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeyList {
    keys: Vec<KeyEntry>,
}

impl Kubo {
    /// Returns the IPNS name of a key of the node. Creates an Ed25519 key if it doesn't exist.
    ///
    /// # Errors
    /// As [`Self::version`]; [`KuboError::Protocol`] for a key of another type.
    pub async fn key(&self, key: &str) -> Result<Name, KuboError> {
        let base = ("ipns-base", "base36".to_owned());
        let list: KeyList = self.json("key/list", std::slice::from_ref(&base)).await?;
        let known = list.keys.into_iter().find(|one| one.name == key);
        let key = match known {
            Some(known) => known,
            None => {
                let kind = ("type", "ed25519".to_owned());
                let arguments = [("arg", key.to_owned()), kind, base];
                self.json("key/gen", &arguments).await?
            }
        };
        Name::parse(&key.id)
            .map_err(|error| KuboError::Protocol(format!("key {}: {error}", key.name)))
    }

    /// Publishes a root under the name of a key. Resolvers may cache it for `ttl`.
    ///
    /// # Errors
    /// As [`Self::version`].
    pub async fn name_publish(
        &self,
        key: &str,
        root: &Cid,
        ttl: Duration,
    ) -> Result<(), KuboError> {
        let arguments = [
            ("arg", format!("/ipfs/{root}")),
            ("key", key.to_owned()),
            // The node has the root, so it needn't ask the network.
            ("resolve", "false".to_owned()),
            ("allow-offline", "true".to_owned()),
            ("ttl", format!("{}s", ttl.as_secs().max(1))),
        ];
        self.bytes("name/publish", &arguments, MAX_RESPONSE)
            .await
            .map(drop)
    }

    /// Pins a complete DAG recursively. If `before` is pinned, Kubo visits only the blocks in
    /// which the two differ.
    ///
    /// # Errors
    /// As [`Self::version`]; also if a block is missing.
    pub async fn pin_add(&self, root: &Cid, before: Option<&Cid>) -> Result<(), KuboError> {
        let offline = ("offline", "true".to_owned());
        match before {
            Some(before) => {
                let arguments = [
                    ("arg", before.to_string()),
                    ("arg", root.to_string()),
                    ("unpin", "false".to_owned()),
                    offline,
                ];
                self.bytes("pin/update", &arguments, MAX_RESPONSE).await?;
            }
            None => {
                // With progress, so that a large DAG causes no timeout.
                let progress = ("progress", "true".to_owned());
                let arguments = [("arg", root.to_string()), progress, offline];
                self.bytes("pin/add", &arguments, MAX_RESPONSE).await?;
            }
        }
        // An error in the middle of the response may have been missed.
        if self.is_pinned(root).await? {
            return Ok(());
        }
        Err(KuboError::Protocol(format!("{root} is not pinned")))
    }
}
