use super::*;
use crate::signature::{guix, nix};
use crate::trust::{TrustError, TrustedKeys};
use std::path::{Path, PathBuf};
use std::string::ToString;
use std::{format, fs, vec};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures")
}

/// Every narinfo that Guix 1.5.0 and Nix 2.34.8 wrote.
fn narinfos() -> Vec<Vec<u8>> {
    let folders = [
        "guix-1.5.0",
        "nix-2.34.8/none",
        "nix-2.34.8/xz",
        "nix-2.34.8/zstd",
    ];
    let files = folders
        .iter()
        .flat_map(|folder| fs::read_dir(fixtures().join(folder)).unwrap());
    let paths = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "narinfo"));
    let all: Vec<_> = paths.map(|path| fs::read(path).unwrap()).collect();
    assert_eq!(all.len(), 6);
    all
}

fn keys() -> TrustedKeys {
    let read = |name| fs::read_to_string(fixtures().join(name)).unwrap();
    TrustedKeys {
        guix: vec![guix::PublicKey::parse(&read("guix-1.5.0/signing-key.pub")).unwrap()],
        nix: vec![nix::PublicKey::parse(&read("nix-2.34.8/nix.pub")).unwrap()],
    }
}

fn verify(info: &NarInfo) -> Result<(), TrustError> {
    keys().verify(info).map(drop)
}

#[test]
fn real_narinfos_round_trip_and_their_signatures_verify() {
    for bytes in narinfos() {
        let info = NarInfo::parse(&bytes).unwrap();
        assert_eq!(info.to_string().as_bytes(), bytes);
        assert_eq!(verify(&info), Ok(()));
        assert!(matches!(
            TrustedKeys::default().verify(&info),
            Err(TrustError::UnknownKey { .. })
        ));
    }
}

#[test]
fn one_flipped_bit_anywhere_in_the_signed_part_fails() {
    for bytes in narinfos() {
        let info = NarInfo::parse(&bytes).unwrap();
        let signed = match info.signed_text() {
            Some(text) => 0..text.len(),
            // The fingerprint: the line of the store path and those from NarHash to References.
            None => 0..bytes.len(),
        };
        for at in signed {
            let nix_hint = info.dialect() == Dialect::Nix && !is_in_fingerprint(&bytes, at);
            if nix_hint {
                continue;
            }
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            let accepted = NarInfo::parse(&flipped).is_ok_and(|info| verify(&info).is_ok());
            assert!(!accepted, "byte {at} of {:?}", info.store_path());
        }
    }
}

/// Returns whether a byte of a Nix narinfo belongs to a signed value or to the signature.
fn is_in_fingerprint(bytes: &[u8], at: usize) -> bool {
    let start = bytes[..at]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    let line = &bytes[start..];
    let fields = ["StorePath: ", "NarHash: ", "NarSize: ", "Sig: "];
    fields.iter().any(|field| {
        line.starts_with(field.as_bytes()) && at - start >= field.len() && bytes[at] != b'\n'
    })
}

#[test]
fn new_entries_leave_the_signature_valid_and_all_other_lines_as_they_were() {
    let entry = Entry {
        url: "nar/new".into(),
        compression: Compression::None,
        file_size: Some(7),
        file_hash: None,
    };
    for bytes in narinfos() {
        let before = NarInfo::parse(&bytes).unwrap();
        let mut info = before.clone();
        info.set_entries(vec![entry.clone()]);
        assert_eq!(info.entries(), std::slice::from_ref(&entry));
        assert_eq!(
            NarInfo::parse(info.to_string().as_bytes())
                .unwrap()
                .entries(),
            info.entries()
        );
        assert_eq!(
            verify(&NarInfo::parse(info.to_string().as_bytes()).unwrap()),
            Ok(())
        );
        let others = |info: &NarInfo| {
            read::lines(&info.text)
                .filter(|line| !read::is_entry(line.text))
                .map(|line| line.text.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(others(&info), others(&before));
        info.set_entries(before.entries().to_vec());
        assert_eq!(info.entries(), before.entries());
    }
}

#[test]
fn setting_the_same_entries_gives_the_same_bytes() {
    for bytes in narinfos() {
        let mut info = NarInfo::parse(&bytes).unwrap();
        info.set_entries(info.entries().to_vec());
        assert_eq!(info.to_string().as_bytes(), bytes);
    }
}

#[test]
fn a_draft_is_what_guix_and_nix_wrote() {
    for bytes in narinfos() {
        let info = NarInfo::parse(&bytes).unwrap();
        let draft = Draft {
            store_path: info.store_path().clone(),
            entries: info.entries().to_vec(),
            nar_hash: info.nar_hash(),
            nar_size: info.nar_size(),
            references: info.references().to_vec(),
            deriver: info.deriver().map(String::from),
            system: None,
            ca: info.ca().map(String::from),
            signatures: info.signatures().to_vec(),
            extra: vec![],
        };
        if info.dialect() == Dialect::Nix {
            assert_eq!(
                draft.unsigned(Dialect::Nix).unwrap().to_string().as_bytes(),
                bytes
            );
            continue;
        }
        let key = guix::SecretKey::from_seed(&[5; 32]).unwrap();
        let signed = draft.sign_guix(&key, "vm").unwrap();
        assert_eq!(signed.signed_text(), info.signed_text());
        let trusted = TrustedKeys {
            guix: vec![key.public_key().clone()],
            nix: vec![],
        };
        assert!(trusted.verify(&signed).is_ok());
        let lines = |info: &NarInfo| {
            read::lines(&info.text)
                .map(|line| line.text.split(':').next().unwrap().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(lines(&signed), lines(&info));
    }
}

#[test]
fn signing_with_nix_keys_keeps_existing_signatures() {
    let info = NarInfo::parse(&narinfos().pop().unwrap()).unwrap();
    let draft = Draft {
        store_path: info.store_path().clone(),
        entries: info.entries().to_vec(),
        nar_hash: info.nar_hash(),
        nar_size: info.nar_size(),
        references: vec![],
        deriver: None,
        system: None,
        ca: None,
        signatures: info.signatures().to_vec(),
        extra: vec![],
    };
    let key = nix::SecretKey::from_seed("mine", &[5; 32]).unwrap();
    let signed = draft.sign_nix(&[key]).unwrap();
    assert_eq!(signed.signatures().len(), info.signatures().len() + 1);
}

/// No signature covers further fields. They stay when the entries are replaced.
#[test]
fn further_fields_of_a_draft_are_unsigned() {
    for dialect in [Dialect::Guix, Dialect::Nix] {
        let mut bytes = narinfos().into_iter();
        let info = bytes.find_map(|bytes| {
            let info = NarInfo::parse(&bytes).unwrap();
            (info.dialect() == dialect).then_some(info)
        });
        let info = info.unwrap();
        let draft = |extra| Draft {
            store_path: info.store_path().clone(),
            entries: info.entries().to_vec(),
            nar_hash: info.nar_hash(),
            nar_size: info.nar_size(),
            references: info.references().to_vec(),
            deriver: None,
            system: None,
            ca: None,
            signatures: vec![],
            extra,
        };
        let sign = |draft: Draft| match dialect {
            Dialect::Guix => {
                let key = guix::SecretKey::from_seed(&[5; 32]).unwrap();
                draft.sign_guix(&key, "vm").unwrap()
            }
            Dialect::Nix => {
                let key = nix::SecretKey::from_seed("mine", &[5; 32]).unwrap();
                draft.sign_nix(&[key]).unwrap()
            }
        };
        let mut with = sign(draft(vec![("ChunkIndex", "bafy".into())]));
        assert_eq!(with.extra("ChunkIndex"), Some("bafy"));
        let without = sign(draft(vec![])).to_string();
        assert_eq!(with.to_string(), format!("{without}ChunkIndex: bafy\n"));
        with.set_entries(vec![info.entries()[0].clone()]);
        assert_eq!(with.extra("ChunkIndex"), Some("bafy"));
    }
}

const MINIMAL: &str = "StorePath: /gnu/store/agkhnj5wmbrb40rigsyf6ynkdi22d89g-tree\n\
    NarHash: sha256:0dzcznf6ic1ia641rv82ihgq0dhps4k8rva4ryl327416ygfvpww\n\
    NarSize: 1272\nReferences: \nURL: nar/x\nCompression: none\n";

#[test]
fn malformed_narinfos_give_exact_errors() {
    let parse = |from: &str, to: &str| {
        NarInfo::parse(MINIMAL.replacen(from, to, 1).as_bytes()).unwrap_err()
    };
    assert_eq!(
        parse("NarSize: 1272", "NarSize"),
        NarInfoError::Syntax { line: 3 }
    );
    assert_eq!(
        parse("1272", "+1272"),
        NarInfoError::Value {
            line: 3,
            field: "NarSize"
        }
    );
    assert_eq!(
        parse("1272", "99999999999999999999"),
        NarInfoError::Value {
            line: 3,
            field: "NarSize"
        }
    );
    assert_eq!(
        parse("sha256:0", "sha256:"),
        NarInfoError::Value {
            line: 2,
            field: "NarHash"
        }
    );
    assert_eq!(
        parse("/gnu/store/", "gnu/"),
        NarInfoError::Value {
            line: 1,
            field: "StorePath"
        }
    );
    assert_eq!(
        parse("References: ", "References: x"),
        NarInfoError::Value {
            line: 4,
            field: "References"
        }
    );
    assert_eq!(
        parse("References: ", "NarSize: 1"),
        NarInfoError::Repeated {
            line: 4,
            field: "NarSize"
        }
    );
    assert_eq!(
        parse("none", "rot13"),
        NarInfoError::Value {
            line: 6,
            field: "Compression"
        }
    );
    assert_eq!(
        parse("URL: nar/x\nCompression: none\n", ""),
        NarInfoError::NoUrl
    );
    assert_eq!(parse("URL: nar/x", "X: y"), NarInfoError::NoUrl);
    assert_eq!(
        parse("NarSize: 1272\n", ""),
        NarInfoError::Missing { field: "NarSize" }
    );
    assert_eq!(NarInfo::parse(&[0xff]), Err(NarInfoError::Utf8(0)));
    assert_eq!(
        NarInfo::parse(&vec![b'x'; MAX_NARINFO + 1]),
        Err(NarInfoError::TooLong(MAX_NARINFO + 1))
    );
}

#[test]
fn unknown_fields_are_kept_and_can_be_read() {
    let text = format!("{MINIMAL}Custom: value: more");
    let info = NarInfo::parse(text.as_bytes()).unwrap();
    assert_eq!(info.extra("Custom"), Some("value: more"));
    assert_eq!(info.extra("NarSize"), None);
    assert_eq!(info.to_string(), text);
}

fn entry(url: &str, compression: Compression, file_size: Option<u64>) -> Entry {
    Entry {
        url: url.into(),
        compression,
        file_size,
        file_hash: None,
    }
}

#[test]
fn for_guix_every_ipfs_entry_follows_an_http_entry_that_guix_prefers() {
    let http = vec![
        entry("nar/zstd/x", Compression::Zstd, Some(10)),
        entry("nar/gzip/x", Compression::Gzip, None),
    ];
    let gateway = vec![entry(
        "http://127.0.0.1:8080/ipfs/b",
        Compression::Zstd,
        Some(10),
    )];
    let ipfs = vec![
        entry("ipfs://b", Compression::Zstd, Some(10)),
        entry("ipfs://smaller", Compression::Zstd, Some(9)),
        entry("ipfs://no-size", Compression::Gzip, Some(10)),
        entry("ipfs://other", Compression::Lzip, Some(20)),
    ];
    let ordered = order_entries(Dialect::Guix, http, gateway, ipfs);
    let urls: Vec<_> = ordered.iter().map(|entry| entry.url.as_str()).collect();
    assert_eq!(
        urls,
        [
            "http://127.0.0.1:8080/ipfs/b",
            "nar/zstd/x",
            "nar/gzip/x",
            "ipfs://b"
        ]
    );
}

#[test]
fn for_nix_the_last_url_is_an_http_one() {
    let http = vec![entry("nar/x", Compression::Zstd, Some(10))];
    let ipfs = vec![entry("ipfs://b", Compression::Zstd, Some(10))];
    let ordered = order_entries(Dialect::Nix, http, vec![], ipfs.clone());
    assert_eq!(ordered.last().map(|entry| entry.is_ipfs()), Some(false));
    assert_eq!(ordered.len(), 2);
    assert!(order_entries(Dialect::Nix, vec![], vec![], ipfs).is_empty());
}
