use super::*;
use interplanar_core::hash::Sha256;
use interplanar_core::install::{
    Expected, Known, is_hash_part, nar_path, parse_nar_name, redirect,
};
use interplanar_core::narinfo::{Compression, Entry, NarInfo};

const NARINFOS: [&str; 6] = [
    "guix-1.5.0/agkhnj5wmbrb40rigsyf6ynkdi22d89g.narinfo",
    "guix-1.5.0/rcff5adc6nm3b2y1lx9flnpqksfm7ka5.narinfo",
    "guix-1.5.0/zvknnn6gzcjdyb9hn5ffp4sx1ncjp45r.narinfo",
    "nix-2.34.8/none/bnfap3gvj3v0k345a5zkxwyd38m1f2s5.narinfo",
    "nix-2.34.8/xz/bnfap3gvj3v0k345a5zkxwyd38m1f2s5.narinfo",
    "nix-2.34.8/zstd/bnfap3gvj3v0k345a5zkxwyd38m1f2s5.narinfo",
];

const UPSTREAM: &str = "https://cache.example.org/x/";

/// Returns what the proxy makes of a narinfo whose file has this path.
fn known(path: &str, text: &[u8]) -> Known {
    let name = path.rsplit('/').next().unwrap();
    let expected = Expected {
        hash_part: name.trim_end_matches(".narinfo"),
        store_dir: None,
    };
    Known::believe(text, expected, UPSTREAM, &fixture_keys()).unwrap()
}

#[test]
fn a_rewritten_narinfo_keeps_its_signature_and_has_one_plain_entry() {
    for path in NARINFOS {
        let narinfo = NarInfo::parse(&fixture(path)).unwrap();
        let known = known(path, &fixture(path));
        let rewritten = NarInfo::parse(&known.rewritten).unwrap();
        assert_eq!(
            fixture_keys().verify(&rewritten).as_ref(),
            Ok(&known.signed)
        );
        let url = nar_path(narinfo.store_path().hash_part(), &narinfo.nar_hash());
        let file_size = Some(narinfo.nar_size());
        assert_eq!(
            rewritten.entries(),
            [Entry {
                url,
                compression: Compression::None,
                file_size,
                file_hash: None
            }],
            "{path}"
        );
        assert_eq!(rewritten.store_path(), narinfo.store_path());
        assert_eq!(rewritten.signed_text(), narinfo.signed_text());
        assert_eq!(rewritten.fingerprint(), narinfo.fingerprint());
    }
}

#[test]
fn a_redirected_narinfo_keeps_its_signature_and_has_no_ipfs_entry() {
    for path in NARINFOS {
        let text = String::from_utf8(fixture(path)).unwrap();
        // Like publish: one more entry, which the signature doesn't cover.
        let with_ipfs = text + "URL: ipfs://bafkqaaa\nCompression: none\nFileSize: 1\n";
        let known = known(path, with_ipfs.as_bytes());
        let redirected = NarInfo::parse(&redirect(&known).unwrap()).unwrap();
        assert_eq!(fixture_keys().verify(&redirected), Ok(known.signed));
        assert!(!redirected.entries().is_empty());
        for entry in redirected.entries() {
            assert!(entry.url.starts_with(UPSTREAM), "{path}: {}", entry.url);
        }
    }
}

#[test]
fn the_path_of_a_nar_contains_its_hash_part_and_nar_hash() {
    let hash = Sha256::of(b"nar");
    let path = nar_path("agkhnj5wmbrb40rigsyf6ynkdi22d89g", &hash);
    let name = path.strip_prefix("nar/").unwrap();
    assert_eq!(
        parse_nar_name(name),
        Some(("agkhnj5wmbrb40rigsyf6ynkdi22d89g", hash))
    );
    for wrong in [
        "",
        ".nar",
        "-.nar",
        &name[1..],
        &name[..name.len() - 1],
        &name.replace('-', "_"),
        &name.replace("ag", "eo"),
    ] {
        assert_eq!(parse_nar_name(wrong), None, "{wrong}");
    }
}

#[test]
fn a_hash_part_is_32_characters_of_nix_base32() {
    assert!(is_hash_part("agkhnj5wmbrb40rigsyf6ynkdi22d89g"));
    for wrong in [
        "",
        "agkhnj5wmbrb40rigsyf6ynkdi22d89",
        "egkhnj5wmbrb40rigsyf6ynkdi22d89g",
        "../hnj5wmbrb40rigsyf6ynkdi22d89g",
    ] {
        assert!(!is_hash_part(wrong), "{wrong}");
    }
}
