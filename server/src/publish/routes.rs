//! Maps URL paths to routes: the paths of `guix publish`, of a Nix binary cache, and our own.
//!
//! ```text
//! /  /index.html                        a page for people
//! /nix-cache-info                       the store directory
//! /signing-key.pub                      the public key
//! /<hash>.narinfo                       hash: characters of Nix's base 32
//! /<hash>.ls                            the item's files
//! /items.json?after=<path>&name=<text>  the items, page by page
//! /<nar path>/[<method>/]<item>         the NAR of the item with this base name; the method can be
//!                                       zstd-whole
//! /file/<name>/sha256/<hash>            a fixed-output file by its hash
//! /log/<name>                           the build log of an item or a derivation
//! /healthz  /metrics                    for the operator of the server
//! ```
//! Components are percent-decoded, and empty ones are ignored, as in Guile's web server.

use crate::bake::WHOLE;
use interplanar_core::narinfo::Compression;
use interplanar_core::nix_base32::ALPHABET;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The characters that Guile's `uri-encode` escapes.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The resource that a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Index,
    Items,
    CacheInfo,
    SigningKey,
    NarInfo(String),
    Listing(String),
    Nar {
        method: Compression,
        /// Whether only the form compressed as one stream will do.
        whole: bool,
        item: String,
    },
    File {
        name: String,
        hash: String,
    },
    Log(String),
    Health,
    Metrics,
    Unknown,
}

/// The prefix of NAR URLs, `--nar-path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NarPath(Vec<String>);

impl NarPath {
    pub(super) fn new(text: &str) -> Self {
        Self(split(text).unwrap_or_default())
    }

    /// Returns the URL of an item's NAR, relative to the cache, for the method with this name.
    pub(super) fn url(&self, method: &str, item: &str) -> String {
        let method = (method != Compression::None.as_str()).then_some(method);
        let parts = self.0.iter().map(String::as_str);
        let parts: Vec<String> = parts
            .chain(method)
            .chain([item])
            .map(|part| utf8_percent_encode(part, ESCAPED).to_string())
            .collect();
        parts.join("/")
    }
}

/// Parses the path of a URL.
pub(super) fn parse(path: &str, nar_path: &NarPath) -> Route {
    let Some(parts) = split(path) else {
        return Route::Unknown;
    };
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["nix-cache-info"] => Route::CacheInfo,
        [] | ["index.html"] => Route::Index,
        ["signing-key.pub"] => Route::SigningKey,
        ["items.json"] => Route::Items,
        ["healthz"] => Route::Health,
        ["metrics"] => Route::Metrics,
        [name] if let Some(hash) = hash_before(name, ".narinfo") => Route::NarInfo(hash),
        [name] if let Some(hash) = hash_before(name, ".ls") => Route::Listing(hash),
        ["file", name, "sha256", hash] => Route::File {
            name: (*name).to_owned(),
            hash: (*hash).to_owned(),
        },
        ["log", name] => Route::Log((*name).to_owned()),
        [prefix @ .., item] => nar(prefix, item, nar_path),
    }
}

fn nar(prefix: &[&str], item: &str, nar_path: &NarPath) -> Route {
    let route = |method, whole| Route::Nar {
        method,
        whole,
        item: item.to_owned(),
    };
    if let [prefix @ .., method] = prefix
        && prefix == nar_path.0
    {
        if *method == WHOLE {
            return route(Compression::Zstd, true);
        }
        if let Some(method) = Compression::parse(method).filter(|one| *one != Compression::None) {
            return route(method, false);
        }
    }
    if prefix == nar_path.0 {
        return route(Compression::None, false);
    }
    Route::Unknown
}

fn split(path: &str) -> Option<Vec<String>> {
    path.split('/')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let part = percent_decode_str(part).decode_utf8().ok()?;
            Some(part.into_owned())
        })
        .collect()
}

fn hash_before(name: &str, suffix: &str) -> Option<String> {
    let hash = name.strip_suffix(suffix)?;
    let is_hash = hash.bytes().all(|byte| ALPHABET.contains(&byte));
    is_hash.then(|| hash.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(path: &str) -> Route {
        parse(path, &NarPath::new("nar"))
    }

    #[test]
    fn paths_have_the_routes_of_guix_publish() {
        let form = |method, whole, item: &str| Route::Nar {
            method,
            whole,
            item: item.to_owned(),
        };
        let nar = |method, item| form(method, false, item);
        let hash = "agkhnj5wmbrb40rigsyf6ynkdi22d89g".to_owned();
        for (path, expected) in [
            ("/", Route::Index),
            ("//index.html", Route::Index),
            ("/nix-cache-info", Route::CacheInfo),
            ("/signing-key.pub", Route::SigningKey),
            (
                "/agkhnj5wmbrb40rigsyf6ynkdi22d89g.narinfo",
                Route::NarInfo(hash.clone()),
            ),
            ("/agkhnj5wmbrb40rigsyf6ynkdi22d89g.ls", Route::Listing(hash)),
            ("/.narinfo", Route::NarInfo(String::new())),
            ("/nonsense.narinfo", Route::Unknown),
            ("/nar/x-y", nar(Compression::None, "x-y")),
            ("/nar/gzip/x-y", nar(Compression::Gzip, "x-y")),
            ("/nar//zstd/x-g%2B%2B", nar(Compression::Zstd, "x-g++")),
            ("/nar/xz/x-g++", nar(Compression::Xz, "x-g++")),
            ("/nar/zstd-whole/x-y", form(Compression::Zstd, true, "x-y")),
            ("/nar/none/x-y", Route::Unknown),
            ("/nar/rot13/x-y", Route::Unknown),
            ("/other/x-y", Route::Unknown),
            ("/nar/gzip/../../../etc/passwd", Route::Unknown),
            ("/nar/%ff", Route::Unknown),
            (
                "/file/n/sha256/h",
                Route::File {
                    name: "n".into(),
                    hash: "h".into(),
                },
            ),
            ("/file/n/md5/h", Route::Unknown),
            ("/log/x-y", Route::Log("x-y".into())),
            ("/items.json", Route::Items),
            ("/healthz", Route::Health),
            ("/metrics", Route::Metrics),
        ] {
            assert_eq!(route(path), expected, "{path}");
        }
    }

    #[test]
    fn nar_urls_are_parsed_again() {
        let path = NarPath::new("/deep/nars/");
        let url = path.url("zstd", "x-gtk+3");
        assert_eq!(url, "deep/nars/zstd/x-gtk%2B3");
        let item = "x-gtk+3".to_owned();
        assert_eq!(
            parse(&format!("/{url}"), &path),
            Route::Nar {
                method: Compression::Zstd,
                whole: false,
                item
            }
        );
        assert_eq!(NarPath::new("").url("none", "x"), "x");
    }
}
