//! All that comes as text: narinfos, keys, signatures, URLs, records.
#![no_main]

use interplanar_core::cid::{self, IpfsUrl};
use interplanar_core::fetch::Gateway;
use interplanar_core::install;
use interplanar_core::ipns::{Name, Record};
use interplanar_core::nar::Listing;
use interplanar_core::narinfo::NarInfo;
use interplanar_core::signature::{guix, nix};
use interplanar_core::store_path::StorePath;
use interplanar_core::trust::{TrustedKeys, Unverified};
use libfuzzer_sys::fuzz_target;

const NAME: &str = "k51qzi5uqu5djdczd6zw0grmo23j2vkj9uzvujencg15s5rlkq0ss4ivll8wqw";

fuzz_target!(|data: &[u8]| {
    let Some((which, data)) = data.split_first() else {
        return;
    };
    if which % 8 == 0 {
        if let Ok(info) = NarInfo::parse(data) {
            // It reads back as it was written, whatever it holds.
            let text = info.to_string();
            let again = NarInfo::parse(text.as_bytes()).expect("its own text");
            assert_eq!(again.nar_hash(), info.nar_hash());
            assert_eq!(again.store_path(), info.store_path());
            drop(info.fingerprint());
            drop(TrustedKeys::default().verify(Unverified::new(info)));
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
