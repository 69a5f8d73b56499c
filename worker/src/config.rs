//! What a worker is told: variables of the edge's environment, or settings that a service worker keeps.
//!
//! | name | value | at the edge | in a service worker |
//! |---|---|---|---|
//! | `UPSTREAMS` | URLs of caches, by white space | none | none |
//! | `TRUSTED_KEYS` | Nix public keys, by white space | none | none |
//! | `GUIX_ACL` | `(acl …)` or `(public-key …)` | none | none |
//! | `GATEWAYS` | trustless gateways, by white space | public ones | public ones |
//! | `LOCAL_GATEWAY` | preferred if it answers when it is first needed | none | `http://127.0.0.1:8080` |
//! | `ALLOW_PRIVATE` | whether private addresses may be asked | no | yes |
//! | `OPEN` | whether any CID is served | no | yes |
//! | `STORE_DIR` | told to clients | the first upstream's | the same |
//! | `PRIORITY` | told to Nix | 30 | 30 |
//! | `SUBREQUESTS` | requests that the platform allows for each of its own | 50 | no limit |
//! | `KEEP_NAR` | bytes of the largest NAR that the Cache API keeps; 0: none | 512 MB | none; it keeps blocks |
//! | `CPU_MS` | its CPU time for each, in milliseconds; a NAR that would take more is left to its upstream | no limit | no limit |
//!
//! ```
//! use interplanar_worker::config::{Config, ConfigError, Place};
//! let gateway = |name: &str| (name == "GATEWAYS").then(|| "http://192.168.0.7:8080".to_owned());
//! assert_eq!(Config::parse(Place::Service, gateway).unwrap().gateways.len(), 1);
//! assert!(matches!(Config::parse(Place::Edge, gateway), Err(ConfigError::Private { .. })));
//! ```

use crate::address::may_ask;
use interplanar_core::fetch::{Gateway, GatewayUrlError};
use interplanar_core::signature::{SignatureError, guix, nix};
use interplanar_core::trust::TrustedKeys;

/// Gateways of the public that serve the trustless protocol.
pub const PUBLIC_GATEWAYS: [&str; 3] = [
    "https://trustless-gateway.link",
    "https://ipfs.io",
    "https://dweb.link",
];
/// Where Kubo's gateway listens unless it is told otherwise.
pub const LOCAL_GATEWAY: &str = "http://127.0.0.1:8080";
/// What Cloudflare's free plan allows; 1,000 on the paid one.
pub const SUBREQUESTS: u64 = 50;
/// The largest object that Cloudflare's Cache API keeps, on all but its largest plan.
pub const KEEP_NAR: u64 = 512_000_000;
/// Gateways that are taken at most.
pub const MAX_GATEWAYS: usize = 16;
/// Upstreams that are taken at most: each is asked for each narinfo.
pub const MAX_UPSTREAMS: usize = 8;

/// Where the worker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At the edge, for strangers.
    Edge,
    /// In a browser, for its user.
    Service,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where it runs.
    pub place: Place,
    /// Caches, in order of preference; each URL ends in a slash.
    pub upstreams: Vec<String>,
    /// Keys whose narinfos are believed.
    pub keys: TrustedKeys,
    /// IPFS gateways.
    pub gateways: Vec<Gateway>,
    /// One to prefer if it answers.
    pub local_gateway: Option<Gateway>,
    /// Whether private addresses may be asked.
    pub allow_private: bool,
    /// Whether any CID is served.
    pub open: bool,
    /// Told to clients.
    pub store_dir: Option<String>,
    /// Told to Nix.
    pub priority: u32,
    /// Requests of its own for each request.
    pub subrequests: u64,
    /// Bytes of the largest NAR that the Cache API keeps.
    pub keep_nar: u64,
    /// Milliseconds of CPU for each request.
    pub cpu_ms: Option<u64>,
}

/// Why a value can't be used.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No URL of a gateway.
    #[error("{name}: {url:?}: {error}")]
    Gateway {
        /// The variable.
        name: &'static str,
        /// What stands there.
        url: String,
        /// What is wrong with it.
        error: GatewayUrlError,
    },
    /// An address that isn't public.
    #[error("{name}: {url:?} is a private address; ALLOW_PRIVATE allows them")]
    Private {
        /// The variable.
        name: &'static str,
        /// What stands there.
        url: String,
    },
    /// No key.
    #[error("{name}: {error}")]
    Key {
        /// The variable.
        name: &'static str,
        /// What is wrong with it.
        error: SignatureError,
    },
    /// Neither yes nor no.
    #[error("{name}: expected true or false")]
    Switch {
        /// The variable.
        name: &'static str,
    },
    /// No number.
    #[error("{name}: expected a number")]
    Number {
        /// The variable.
        name: &'static str,
    },
    /// No absolute path.
    #[error("STORE_DIR: expected an absolute path in one line")]
    StoreDir,
    /// More than [`MAX_GATEWAYS`] or [`MAX_UPSTREAMS`].
    #[error("{name}: too many")]
    TooMany {
        /// The variable.
        name: &'static str,
    },
}

impl Config {
    /// Reads it from variables; empty ones are none.
    ///
    /// # Errors
    /// The first value that can't be used.
    pub fn parse(place: Place, get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let get = |name: &str| {
            get(name)
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let service = place == Place::Service;
        let allow_private = switch("ALLOW_PRIVATE", &get)?.unwrap_or(service);
        let urls = |name: &'static str, value: &str| gateways(name, value, allow_private);
        let upstreams = get("UPSTREAMS").unwrap_or_default();
        let upstreams = urls("UPSTREAMS", &upstreams)?;
        let given = get("GATEWAYS").unwrap_or_else(|| PUBLIC_GATEWAYS.join(" "));
        let local = get("LOCAL_GATEWAY").or_else(|| service.then(|| LOCAL_GATEWAY.to_owned()));
        let local = local.filter(|local| local != "none").unwrap_or_default();
        Ok(Self {
            place,
            upstreams: at_most("UPSTREAMS", MAX_UPSTREAMS, upstreams)?
                .into_iter()
                .map(|gateway| gateway.url + "/")
                .collect(),
            keys: keys(&get)?,
            gateways: at_most("GATEWAYS", MAX_GATEWAYS, urls("GATEWAYS", &given)?)?,
            local_gateway: urls("LOCAL_GATEWAY", &local)?.into_iter().next(),
            allow_private,
            open: switch("OPEN", &get)?.unwrap_or(service),
            store_dir: store_dir(get("STORE_DIR"))?,
            priority: number("PRIORITY", &get)?.unwrap_or(30),
            subrequests: number("SUBREQUESTS", &get)?.unwrap_or(if service {
                u64::MAX
            } else {
                SUBREQUESTS
            }),
            // In a browser its blocks are kept.
            keep_nar: match service {
                true => 0,
                false => number("KEEP_NAR", &get)?.unwrap_or(KEEP_NAR),
            },
            cpu_ms: number("CPU_MS", &get)?,
        })
    }
}

fn gateways(
    name: &'static str,
    value: &str,
    allow_private: bool,
) -> Result<Vec<Gateway>, ConfigError> {
    let one = |text: &str| {
        let url = text.to_owned();
        match Gateway::parse(text) {
            Err(error) => Err(ConfigError::Gateway { name, url, error }),
            Ok(_) if !may_ask(text, allow_private) => Err(ConfigError::Private { name, url }),
            Ok(gateway) => Ok(gateway),
        }
    };
    value.split_ascii_whitespace().map(one).collect()
}

fn at_most<T>(name: &'static str, most: usize, values: Vec<T>) -> Result<Vec<T>, ConfigError> {
    if values.len() > most {
        return Err(ConfigError::TooMany { name });
    }
    Ok(values)
}

fn keys(get: &impl Fn(&str) -> Option<String>) -> Result<TrustedKeys, ConfigError> {
    let mut keys = TrustedKeys::default();
    for key in get("TRUSTED_KEYS")
        .unwrap_or_default()
        .split_ascii_whitespace()
    {
        let name = "TRUSTED_KEYS";
        let key = nix::PublicKey::parse(key).map_err(|error| ConfigError::Key { name, error })?;
        keys.nix.push(key);
    }
    if let Some(text) = get("GUIX_ACL") {
        let name = "GUIX_ACL";
        keys.guix = match guix::PublicKey::parse(&text) {
            Ok(key) => vec![key],
            Err(_) => {
                let acl = guix::Acl::parse(&text);
                acl.map_err(|error| ConfigError::Key { name, error })?.keys
            }
        };
    }
    Ok(keys)
}

fn switch(
    name: &'static str,
    get: &impl Fn(&str) -> Option<String>,
) -> Result<Option<bool>, ConfigError> {
    match get(name).map(|value| value.to_ascii_lowercase()).as_deref() {
        None => Ok(None),
        Some("true" | "yes" | "1" | "on") => Ok(Some(true)),
        Some("false" | "no" | "0" | "off") => Ok(Some(false)),
        Some(_) => Err(ConfigError::Switch { name }),
    }
}

fn number<T: std::str::FromStr>(
    name: &'static str,
    get: &impl Fn(&str) -> Option<String>,
) -> Result<Option<T>, ConfigError> {
    let parsed = get(name).map(|value| value.parse());
    parsed.transpose().map_err(|_| ConfigError::Number { name })
}

fn store_dir(value: Option<String>) -> Result<Option<String>, ConfigError> {
    let plain = |value: &String| value.starts_with('/') && !value.contains(char::is_control);
    match value {
        Some(value) if !plain(&value) => Err(ConfigError::StoreDir),
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(place: Place, pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::parse(place, |name| {
            let found = pairs.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_worker_for_strangers_is_closed_and_one_of_the_users_own_is_open() {
        let edge = parse(Place::Edge, &[]).unwrap();
        assert_eq!((edge.open, edge.allow_private), (false, false));
        assert_eq!((edge.subrequests, edge.local_gateway), (50, None));
        assert_eq!(edge.keep_nar, KEEP_NAR);
        assert!(edge.keys.is_empty() && edge.gateways.len() == 3);
        let service = parse(Place::Service, &[]).unwrap();
        assert_eq!((service.open, service.allow_private), (true, true));
        let local = service.local_gateway.unwrap();
        assert_eq!(
            (service.subrequests, &*local.url),
            (u64::MAX, LOCAL_GATEWAY)
        );
    }

    type Expected = fn(&ConfigError) -> bool;

    #[test]
    fn values_are_read_and_wrong_ones_named() {
        let key = "cache.example.org-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let config = parse(
            Place::Edge,
            &[
                (
                    "UPSTREAMS",
                    "https://cache.example.org https://b.example/x/",
                ),
                ("TRUSTED_KEYS", key),
                ("STORE_DIR", " /gnu/store "),
                ("SUBREQUESTS", "1000"),
                ("OPEN", "Yes"),
                ("PRIORITY", ""),
                ("KEEP_NAR", "0"),
            ],
        );
        let config = config.unwrap();
        assert_eq!(
            config.upstreams,
            ["https://cache.example.org/", "https://b.example/x/"]
        );
        assert_eq!(config.keys.nix.len(), 1);
        assert_eq!(config.keep_nar, 0);
        assert_eq!(config.store_dir.as_deref(), Some("/gnu/store"));
        assert_eq!(
            (config.subrequests, config.open, config.priority),
            (1000, true, 30)
        );
        let many = "https://a.example ".repeat(MAX_GATEWAYS + 1);
        let table: [(&str, &str, Expected); 10] = [
            ("UPSTREAMS", "cache.example.org", |error| {
                matches!(error, ConfigError::Gateway { .. })
            }),
            ("UPSTREAMS", "http://127.0.0.1/", |error| {
                matches!(error, ConfigError::Private { .. })
            }),
            ("GATEWAYS", "http://[::1]:8080", |error| {
                matches!(error, ConfigError::Private { .. })
            }),
            ("LOCAL_GATEWAY", LOCAL_GATEWAY, |error| {
                matches!(error, ConfigError::Private { .. })
            }),
            ("GATEWAYS", &many, |error| {
                matches!(error, ConfigError::TooMany { .. })
            }),
            ("TRUSTED_KEYS", "nonsense", |error| {
                matches!(error, ConfigError::Key { .. })
            }),
            ("GUIX_ACL", "(acl", |error| {
                matches!(error, ConfigError::Key { .. })
            }),
            ("OPEN", "perhaps", |error| {
                matches!(error, ConfigError::Switch { .. })
            }),
            ("SUBREQUESTS", "-1", |error| {
                matches!(error, ConfigError::Number { .. })
            }),
            ("STORE_DIR", "gnu/store", |error| {
                *error == ConfigError::StoreDir
            }),
        ];
        for (name, value, expected) in table {
            let error = parse(Place::Edge, &[(name, value)]).unwrap_err();
            assert!(expected(&error), "{name}={value}: {error:?}");
        }
    }
}
