//! The configuration of a worker: environment variables at the edge, or the settings of a service
//! worker.
//!
//! | name | value | default at the edge | default in a service worker |
//! |---|---|---|---|
//! | `UPSTREAMS` | URLs of caches, separated by white space | none | none |
//! | `TRUSTED_KEYS` | Nix public keys, separated by white space | none | none |
//! | `GUIX_ACL` | `(acl …)` or `(public-key …)` | none | none |
//! | `GATEWAYS` | trustless gateways, separated by white space | public ones | public ones |
//! | `LOCAL_GATEWAY` | gateway to prefer, if it answers at the first use; `none` for none | none | `http://127.0.0.1:8080` |
//! | `ALLOW_PRIVATE` | whether the worker may contact private addresses | no | yes |
//! | `OPEN` | whether the worker serves any CID | no | yes |
//! | `STORE_DIR` | store directory in `nix-cache-info`, and of all items | that of the first upstream | the same |
//! | `PRIORITY` | priority in `nix-cache-info` | 30 | 30 |
//! | `SUBREQUESTS` | requests that the platform allows per incoming request | 50 | no limit |
//! | `KEEP_NAR` | largest NAR in bytes to store in the Cache API; 0: none | 512 MB | none; it stores blocks |
//! | `CPU_MS` | CPU time per request in milliseconds; clients fetch larger NARs from the upstream | no limit | no limit |
//!
//! ```
//! use interplanar_worker::config::{Config, ConfigError, Platform};
//! let gateway = |name: &str| (name == "GATEWAYS").then(|| "http://192.168.0.7:8080".to_owned());
//! assert_eq!(Config::parse(Platform::Service, gateway).unwrap().gateways.len(), 1);
//! assert!(matches!(Config::parse(Platform::Edge, gateway), Err(ConfigError::Private { .. })));
//! ```

use crate::address::may_contact;
use interplanar_core::fetch::{Gateway, GatewayUrlError};
use interplanar_core::signature::{SignatureError, guix, nix};
use interplanar_core::trust::TrustedKeys;

/// Public gateways that serve the trustless protocol.
pub const PUBLIC_GATEWAYS: [&str; 3] = [
    "https://trustless-gateway.link",
    "https://ipfs.io",
    "https://dweb.link",
];
/// The default address of Kubo's gateway.
pub const LOCAL_GATEWAY: &str = "http://127.0.0.1:8080";
/// The limit of Cloudflare's free plan; the paid plan allows 1,000.
pub const SUBREQUESTS: u64 = 50;
/// The largest object in bytes that Cloudflare's Cache API stores, on all plans but the largest.
pub const KEEP_NAR: u64 = 512_000_000;
/// Most gateways.
pub const MAX_GATEWAYS: usize = 16;
/// Most upstreams: the worker asks each of them for every narinfo.
pub const MAX_UPSTREAMS: usize = 8;

/// Where the worker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// The edge (workerd), for everyone.
    Edge,
    /// A service worker in a browser, for its user.
    Service,
}

/// The configuration of a worker. See the module for defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the worker runs.
    pub platform: Platform,
    /// Caches, in order of preference; each URL ends in a slash.
    pub upstreams: Vec<String>,
    /// Keys whose signatures are accepted.
    pub keys: TrustedKeys,
    /// IPFS gateways.
    pub gateways: Vec<Gateway>,
    /// Gateway to prefer, if it answers.
    pub local_gateway: Option<Gateway>,
    /// Whether the worker may contact private addresses.
    pub allow_private: bool,
    /// Whether the worker serves any CID.
    pub open: bool,
    /// Store directory in `nix-cache-info`, and of all items.
    pub store_dir: Option<String>,
    /// Priority in `nix-cache-info`.
    pub priority: u32,
    /// Requests that the platform allows per incoming request.
    pub subrequests: u64,
    /// Largest NAR in bytes to store in the Cache API.
    pub keep_nar: u64,
    /// CPU time per request in milliseconds.
    pub cpu_ms: Option<u64>,
}

/// Why a variable is invalid.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The value isn't the URL of a gateway or cache.
    #[error("{name}: {url:?} isn't a usable URL: {error}")]
    Gateway {
        /// The variable.
        name: &'static str,
        /// The value.
        url: String,
        /// The error.
        error: GatewayUrlError,
    },
    /// The address is private.
    #[error("{name}: {url:?} is a private address; set ALLOW_PRIVATE=true to allow it")]
    Private {
        /// The variable.
        name: &'static str,
        /// The value.
        url: String,
    },
    /// The value isn't a public key.
    #[error("{name}: can't read a public key: {error}")]
    Key {
        /// The variable.
        name: &'static str,
        /// The error.
        error: SignatureError,
    },
    /// The value is neither true nor false.
    #[error("{name}: expected true or false")]
    Switch {
        /// The variable.
        name: &'static str,
    },
    /// The value isn't a number.
    #[error("{name}: expected a whole number")]
    Number {
        /// The variable.
        name: &'static str,
    },
    /// The value isn't an absolute path.
    #[error("STORE_DIR: expected an absolute path on one line")]
    StoreDir,
    /// There are more than [`MAX_GATEWAYS`] or [`MAX_UPSTREAMS`] values.
    #[error("{name}: expected at most {most} values")]
    TooMany {
        /// The variable.
        name: &'static str,
        /// Limit.
        most: usize,
    },
}

impl Config {
    /// Reads the configuration from variables. An empty variable counts as absent.
    ///
    /// # Errors
    /// [`ConfigError`] for the first invalid variable.
    pub fn parse(
        platform: Platform,
        get: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let get = |name: &str| {
            get(name)
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let service = platform == Platform::Service;
        let allow_private = switch("ALLOW_PRIVATE", &get)?.unwrap_or(service);
        let urls = |name: &'static str, value: &str| gateways(name, value, allow_private);
        let upstreams = get("UPSTREAMS").unwrap_or_default();
        let upstreams = urls("UPSTREAMS", &upstreams)?;
        let given = get("GATEWAYS").unwrap_or_else(|| PUBLIC_GATEWAYS.join(" "));
        let local = get("LOCAL_GATEWAY").or_else(|| service.then(|| LOCAL_GATEWAY.to_owned()));
        let local = local.filter(|local| local != "none").unwrap_or_default();
        Ok(Self {
            platform,
            upstreams: check_count("UPSTREAMS", MAX_UPSTREAMS, upstreams)?
                .into_iter()
                .map(|gateway| gateway.url + "/")
                .collect(),
            keys: keys(&get)?,
            gateways: check_count("GATEWAYS", MAX_GATEWAYS, urls("GATEWAYS", &given)?)?,
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
            // A service worker stores blocks instead.
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
            Ok(_) if !may_contact(text, allow_private) => Err(ConfigError::Private { name, url }),
            Ok(gateway) => Ok(gateway),
        }
    };
    value.split_ascii_whitespace().map(one).collect()
}

fn check_count<T>(name: &'static str, most: usize, values: Vec<T>) -> Result<Vec<T>, ConfigError> {
    if values.len() > most {
        return Err(ConfigError::TooMany { name, most });
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

    fn parse(platform: Platform, pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::parse(platform, |name| {
            let found = pairs.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn an_edge_worker_is_closed_and_a_service_worker_is_open() {
        let edge = parse(Platform::Edge, &[]).unwrap();
        assert_eq!((edge.open, edge.allow_private), (false, false));
        assert_eq!((edge.subrequests, edge.local_gateway), (50, None));
        assert_eq!(edge.keep_nar, KEEP_NAR);
        assert!(edge.keys.is_empty() && edge.gateways.len() == 3);
        let service = parse(Platform::Service, &[]).unwrap();
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
            Platform::Edge,
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
            let error = parse(Platform::Edge, &[(name, value)]).unwrap_err();
            assert!(expected(&error), "{name}={value}: {error:?}");
        }
    }
}
