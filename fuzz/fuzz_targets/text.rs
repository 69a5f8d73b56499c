//! Text formats: narinfos, keys, signatures, URLs, listings and IPNS records.
#![no_main]

use interplanar_core::cid::{self, IpfsUrl};
use interplanar_core::fetch::Gateway;
use interplanar_core::hash::Sha256;
use interplanar_core::install;
use interplanar_core::ipns::{Name, Record};
use interplanar_core::nar::Listing;
use interplanar_core::narinfo::NarInfo;
use interplanar_core::signature::{guix, nix};
use interplanar_core::store_path::StorePath;
use interplanar_core::trust::{Signed, TrustError, TrustedKeys};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

const NAME: &str = "k51qzi5uqu5djdczd6zw0grmo23j2vkj9uzvujencg15s5rlkq0ss4ivll8wqw";

static KEY: LazyLock<guix::SecretKey> =
    LazyLock::new(|| guix::SecretKey::from_seed(&[7; 32]).expect("a key"));

/// Gives a Guix narinfo a correct signature over the text that its signature covers. If it then
/// verifies, all that it proves stands in that text.
fn resigned(info: &NarInfo) {
    let Some(above) = info.signed_text() else {
        return;
    };
    let signature = KEY.sign("fuzz", above.as_bytes()).to_string();
    let below = info.as_str()[above.len()..].split_once('\n');
    let below = below.map_or("", |(_, below)| below);
    let text = format!("{above}Signature: {signature}\n{below}");
    let keys = TrustedKeys {
        guix: vec![KEY.public_key().clone()],
        nix: Vec::new(),
    };
    let Ok(info) = NarInfo::parse(text.as_bytes()) else {
        return;
    };
    let has = |field: &str| above.split('\n').any(|line| line.starts_with(field));
    match keys.verify(&info) {
        Ok(signed) => assert!(stands_in(&signed, above)),
        Err(TrustError::Incomplete { field }) => assert!(!has(&format!("{field}:"))),
        Err(error) => panic!("{error}"),
    }
}

/// Returns whether each field is in the text, literally.
fn stands_in(signed: &Signed, text: &str) -> bool {
    let value = |field: &str| text.split('\n').find_map(|line| line.strip_prefix(field));
    let references = value("References:").unwrap_or_default().split(' ');
    let references: Vec<&str> = references.filter(|name| !name.is_empty()).collect();
    value("StorePath: ") == Some(signed.store_path().as_str())
        && value("NarHash: ").and_then(|hash| Sha256::parse(hash).ok()) == Some(signed.nar_hash())
        && value("NarSize: ").and_then(|size| size.parse().ok()) == Some(signed.nar_size())
        && value("References:").is_some()
        && references == signed.references()
        && value("Deriver: ").unwrap_or_default() == signed.deriver().unwrap_or_default()
}

fuzz_target!(|data: &[u8]| {
    let Some((which, data)) = data.split_first() else {
        return;
    };
    if which % 8 == 0 {
        if let Ok(info) = NarInfo::parse(data) {
            // What is written parses again to the same values.
            let text = info.to_string();
            let again = NarInfo::parse(text.as_bytes()).expect("its own text");
            assert_eq!(again.nar_hash(), info.nar_hash());
            assert_eq!(again.store_path(), info.store_path());
            drop(info.fingerprint());
            assert!(TrustedKeys::default().verify(&info).is_err());
            resigned(&info);
        }
        return;
    }
    if which % 8 == 1 {
        if let Ok(name) = Name::parse(NAME) {
            drop(Record::verify(&name, data));
        }
        return;
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match which % 8 {
        2 => {
            drop(guix::PublicKey::parse(text));
            drop(guix::Acl::parse(text));
            drop(guix::SecretKey::parse(text));
        }
        3 => {
            if let Ok(signature) = guix::Signature::parse(text) {
                drop(signature.key().verify(b"text", &signature));
            }
        }
        4 => {
            drop(nix::PublicKey::parse(text));
            drop(nix::SecretKey::parse(text));
            drop(nix::Signature::parse(text));
        }
        5 => {
            if let Ok(url) = IpfsUrl::parse(text) {
                let again = IpfsUrl::parse(&url.to_string()).expect("its own text");
                assert_eq!(again, url);
            }
            drop(IpfsUrl::parse_gateway(text));
            drop(cid::parse(text));
            drop(Name::parse(text));
        }
        6 => {
            drop(Gateway::parse(text));
            let _ = install::is_private(text);
            drop(install::join("https://cache.example.org/a/", text));
            drop(StorePath::parse(text));
        }
        _ => {
            if let Some(listing) = Listing::from_json(text) {
                let again = Listing::from_json(&listing.to_json()).expect("its own text");
                assert_eq!(again.entries(), listing.entries());
            }
        }
    }
});
