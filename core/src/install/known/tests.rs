//! Tests of what is believed, and of what clients get of it.

use super::*;
use crate::signature::{guix, nix};

const HASH_PART: &str = "agkhnj5wmbrb40rigsyf6ynkdi22d89g";
const FIELDS: &str = "StorePath: /gnu/store/agkhnj5wmbrb40rigsyf6ynkdi22d89g-tree\n\
    NarHash: sha256:0dzcznf6ic1ia641rv82ihgq0dhps4k8rva4ryl327416ygfvpww\n\
    NarSize: 1272\nReferences: \n";
const OUR_ENTRY: &str = "URL: nar/agkhnj5wmbrb40rigsyf6ynkdi22d89g-\
    0dzcznf6ic1ia641rv82ihgq0dhps4k8rva4ryl327416ygfvpww.nar\n\
    Compression: none\nFileSize: 1272\n";
const HINTS: &str = "ChunkIndex: bafy1\nSmallPieces: bafy2\nTree: bafy3\n";
const UNSIGNED: &str = "Deriver: x.drv\nSystem: x86_64-linux\nCA: text\nOther: x\n";
const UPSTREAM: &str = "https://cache.example.org/";

fn guix_secret() -> guix::SecretKey {
    guix::SecretKey::from_seed(&[5; 32]).unwrap()
}

fn nix_secret() -> nix::SecretKey {
    nix::SecretKey::from_seed("test-1", &[6; 32]).unwrap()
}

fn believe(text: &str, hash_part: &str, store_dir: Option<&str>) -> Result<Known, Disbelief> {
    let keys = TrustedKeys {
        guix: vec![guix_secret().public_key().clone()],
        nix: vec![nix_secret().public_key()],
    };
    let expected = Expected {
        hash_part,
        store_dir,
    };
    Known::believe(text.as_bytes(), expected, UPSTREAM, &keys)
}

fn signed_above(above: &str) -> String {
    let signature = guix_secret().sign("vm", above.as_bytes());
    format!("{above}Signature: {signature}\n")
}

fn text(bytes: &Bytes) -> &str {
    core::str::from_utf8(bytes).unwrap()
}

#[test]
fn clients_get_no_unsigned_field_below_a_guix_signature() {
    let signed = signed_above(&format!("{FIELDS}Deriver: signed.drv\nSigned: x\n"));
    let unsigned = UNSIGNED.replacen("Deriver: x.drv\n", "", 1);
    let entry = "URL: nar/x\nCompression: zstd\nFileSize: 7\n";
    let sent = format!("{signed}{unsigned}{entry}{HINTS}Sig: test-1:x\n");
    let known = believe(&sent, HASH_PART, None).unwrap();
    assert_eq!(
        text(&known.rewritten),
        format!("{signed}{OUR_ENTRY}{HINTS}")
    );
    assert_eq!(known.deriver(), Some("signed.drv"));
    let at_upstream = entry.replace("nar/x", "https://cache.example.org/nar/x");
    let redirected = redirect(&known).unwrap();
    assert_eq!(text(&redirected), format!("{signed}{at_upstream}{HINTS}"));

    let sent = format!("{}{entry}{UNSIGNED}", signed_above(FIELDS));
    assert_eq!(believe(&sent, HASH_PART, None).unwrap().deriver(), None);
}

#[test]
fn clients_get_the_fields_of_the_format_in_nix_s_dialect() {
    let entry = "URL: nar/x\nCompression: zstd\nFileSize: 7\n";
    let body = format!("{FIELDS}{entry}{UNSIGNED}{HINTS}");
    let fingerprint = NarInfo::parse(body.as_bytes()).unwrap().fingerprint();
    let signature = nix_secret().sign(fingerprint.as_bytes());
    // The proxy checked one signature. It does not hand on the other one.
    let sent = format!("Signature: 1;vm;x\n{body}Sig: {signature}\n");
    let known = believe(&sent, HASH_PART, None).unwrap();
    let (path, rest) = FIELDS.split_at(FIELDS.find("NarHash").unwrap());
    let signed = format!("{path}{OUR_ENTRY}{rest}Deriver: x.drv\nSig: {signature}\nCA: text\n");
    assert_eq!(text(&known.rewritten), format!("{signed}{HINTS}"));
    assert_eq!(known.deriver(), Some("x.drv"));
}

#[test]
fn a_narinfo_must_describe_the_expected_item() {
    let sent = signed_above(FIELDS) + "URL: nar/x\n";
    let error = |hash_part, store_dir| believe(&sent, hash_part, store_dir).err();
    for store_dir in [None, Some("/gnu/store"), Some("/gnu/store/")] {
        assert_eq!(error(HASH_PART, store_dir), None);
    }
    for store_dir in ["/nix/store", "/gnu", "/gnu/store/x", "/"] {
        let found = error(HASH_PART, Some(store_dir));
        assert_eq!(found, Some(Disbelief::OtherStore), "{store_dir}");
    }
    let other = "bnfap3gvj3v0k345a5zkxwyd38m1f2s5";
    assert_eq!(error(other, None), Some(Disbelief::OtherItem));
    let incomplete = TrustError::Incomplete { field: "StorePath" };
    let empty = signed_above("") + FIELDS + "URL: nar/x\n";
    let found = believe(&empty, HASH_PART, None).err();
    assert_eq!(found, Some(Disbelief::Untrusted(incomplete)));
}
