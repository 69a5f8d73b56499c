use super::*;
use crate::dag_cbor;
use crate::dag_pb::protobuf::{put_bytes, put_number};
use core::time::Duration;
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer, SigningKey};
use std::string::ToString;
use std::vec::Vec;

/// A key of Kubo 0.43.0 (`ipfs key gen --type=ed25519`), in both of its forms
/// (`--ipns-base=base36`, `b58mh`).
const NAME: &str = "k51qzi5uqu5djvcneae7gp0ii0k4yy5yc5fb78ujkxmrscdpm7x4uvv9o2bxtt";
const PEER: &str = "12D3KooWKmxH67AZffwL1knpaG339jucDTukpQZEues99JgyfZVS";
/// `ipfs name publish --key=one --lifetime=8760h --ttl=90s /ipfs/bafkrei…` of Kubo 0.43.0, as its
/// gateway returns it for `?format=ipns-record`.
const RECORD: &str = "\
    0a412f697066732f6261666b7265696379736732336b69777633346567326437717765697078776f73646f327079346c647634326e62617567756c75656e3576\
    36616d1240ec97a337c07ee913521015292c8b6c500027b3d40a11e44198d6508b6157225f10e4e72b91c27c303384db976703b14e47df6bb3d7cf4b01ff174d\
    b8435976031800221e323032372d31312d32355430363a32363a33302e3531353333383936345a2800308088aca3cf024240838a0d555245c1ff1a551d442c54\
    6a5f79c35737f57e61b97d507ea0145f09c6a8f70048febcf3f0f5960503d9b0395b7b05d89d1e8eb17f2bb3dc28fc2fc8034a9801a56354544c1b00000014f4\
    6b04006556616c756558412f697066732f6261666b7265696379736732336b69777633346567326437717765697078776f73646f327079346c647634326e6261\
    7567756c75656e357636616d6853657175656e6365006856616c6964697479581e323032372d31312d32355430363a32363a33302e3531353333383936345a6c\
    56616c69646974795479706500";
const VALUE: &str = "/ipfs/bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am";
/// `date -ud 2027-11-25T06:26:30 +%s`
const UNTIL: u64 = 1_827_123_990;

fn golden() -> Vec<u8> {
    HEXLOWER.decode(RECORD.as_bytes()).unwrap()
}

#[test]
fn names_are_written_as_kubo_writes_them_and_parse_back() {
    let name = Name::parse(NAME).unwrap();
    assert_eq!(name.to_string(), NAME);
    assert_eq!(name.peer_id(), PEER);
    let base_32 = crate::cid::text(&name.cid());
    for text in [
        PEER,
        &base_32,
        &std::format!("ipns://{NAME}"),
        &std::format!("/ipns/{NAME}/"),
    ] {
        assert_eq!(Name::parse(text), Ok(name), "{text}");
    }
}

#[test]
fn texts_that_are_not_names_of_ed25519_keys_are_refused() {
    for text in [
        "",
        "k51",
        "example.org",
        "12D3KooW",
        "12D3KooWKmxH67AZffwL1knpaG339jucDTukpQZEues99JgyfZV0",
    ] {
        assert_eq!(Name::parse(text), Err(IpnsError::Name), "{text}");
    }
    // CIDs of content, and the hash of an RSA key.
    for text in [
        "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am",
        "QmTp9VkYvnHyrqKQuFPiuZkiX9gPcqj6x5LJ1rmWuSySnL",
    ] {
        assert_eq!(Name::parse(text), Err(IpnsError::Name), "{text}");
    }
    let hash = ::cid::multihash::Multihash::wrap(crate::cid::SHA2_256, &[7; 32]).unwrap();
    let rsa = crate::cid::Cid::new_v1(crate::cid::LIBP2P_KEY, hash).to_string();
    assert_eq!(Name::parse(&rsa), Err(IpnsError::Key));
}

#[test]
fn a_record_of_kubo_is_read() {
    let name = Name::parse(NAME).unwrap();
    let record = Record::verify(&name, &golden()).unwrap();
    assert_eq!(record.value(), VALUE);
    assert_eq!(record.ipfs().unwrap().cid.to_string(), VALUE[6..]);
    assert_eq!(
        (record.sequence(), record.ttl()),
        (0, Duration::from_secs(90))
    );
    assert_eq!(record.valid_until(), UNTIL);
    assert!(record.is_valid_at(UNTIL) && !record.is_valid_at(UNTIL + 1));
}

#[test]
fn a_changed_or_truncated_record_never_reads_as_another_record() {
    let name = Name::parse(NAME).unwrap();
    let whole = golden();
    let right = Record::verify(&name, &whole).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        // Nothing checks the signature of version 1, and a changed tag may make a field an unknown
        // one.
        if let Ok(record) = Record::verify(&name, &changed) {
            assert_eq!(record, right, "byte {at}");
        }
        if let Ok(record) = Record::verify(&name, &whole[..at]) {
            assert_eq!(record, right, "{at} bytes");
        }
    }
    let other = Name::parse(PEER).unwrap();
    assert_eq!(other, name);
}

/// A record whose parts each test chooses.
struct Draft {
    data: Vec<u8>,
    before: Vec<u8>,
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn name() -> Name {
    Name::of_bytes(key().verifying_key().as_bytes()).unwrap()
}

impl Draft {
    /// Makes the usual data map. `extra` is appended to it, and `count` is the number of extra
    /// keys.
    fn new(value: &[u8], validity: &[u8], extra: &[u8], count: usize) -> Self {
        let mut data = Vec::new();
        dag_cbor::put_map(5 + count, &mut data);
        dag_cbor::put_text(b"TTL", &mut data);
        dag_cbor::put_uint(1, &mut data);
        dag_cbor::put_text(b"Value", &mut data);
        dag_cbor::put_bytes(value, &mut data);
        dag_cbor::put_text(b"Sequence", &mut data);
        dag_cbor::put_uint(3, &mut data);
        dag_cbor::put_text(b"Validity", &mut data);
        dag_cbor::put_bytes(validity, &mut data);
        dag_cbor::put_text(b"ValidityType", &mut data);
        dag_cbor::put_uint(0, &mut data);
        data.extend_from_slice(extra);
        Self {
            data,
            before: Vec::new(),
        }
    }

    fn usual() -> Self {
        Self::new(VALUE.as_bytes(), b"2027-11-25T06:26:30Z", b"", 0)
    }

    fn verify(&self) -> Result<Record, IpnsError> {
        let signature = key().sign(&[b"ipns-signature:", self.data.as_slice()].concat());
        let mut bytes = self.before.clone();
        put_bytes(&mut bytes, 8, &signature.to_bytes());
        put_bytes(&mut bytes, 9, &self.data);
        Record::verify(&name(), &bytes)
    }
}

#[test]
fn a_record_of_version_2_alone_is_read_and_unknown_keys_are_ignored() {
    let record = Draft::usual().verify().unwrap();
    assert_eq!((record.sequence(), record.valid_until()), (3, UNTIL));
    // "x": [{"y": -1}, h'00', null, 1.5]
    let extra = b"\x61x\x84\xa1\x61y\x20\x41\0\xf6\xfb\x3f\xf8\0\0\0\0\0\0";
    let draft = Draft::new(VALUE.as_bytes(), b"2027-11-25T06:26:30Z", extra, 1);
    assert_eq!(draft.verify(), Ok(record));
    // A list that claims more items than the data contains is an error.
    let bomb = b"\x61x\x9b\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    let draft = Draft::new(VALUE.as_bytes(), b"2027-11-25T06:26:30Z", bomb, 1);
    assert!(matches!(draft.verify(), Err(IpnsError::Data { .. })));
}

#[test]
fn errors_name_what_is_wrong_with_a_record() {
    let name = name();
    assert_eq!(Record::verify(&name, &[]), Err(IpnsError::Unsigned));
    assert_eq!(
        Record::verify(&name, &std::vec![0; MAX_RECORD + 1]),
        Err(IpnsError::TooLong(MAX_RECORD + 1))
    );
    assert_eq!(Record::verify(&name, &golden()), Err(IpnsError::Signature));
    let value = |value: &[u8]| Draft::new(value, b"2027-11-25T06:26:30Z", b"", 0).verify();
    assert_eq!(value(b"/http/x"), Err(IpnsError::Value));
    assert_eq!(value(b"x"), Err(IpnsError::Value));
    assert_eq!(value(b"/ipns/k51").map(|record| record.ipfs()), Ok(None));
    let cid = crate::cid::parse(&VALUE[6..]).unwrap();
    assert_eq!(value(&cid.to_bytes()).unwrap().value(), VALUE);
    let twice = b"\x63TTL\x01";
    assert!(matches!(
        Draft::new(VALUE.as_bytes(), b"2027-11-25T06:26:30Z", twice, 1).verify(),
        Err(IpnsError::Data {
            expected: "each key once",
            ..
        })
    ));
    assert!(matches!(
        Draft::new(VALUE.as_bytes(), b"tomorrow", b"", 0).verify(),
        Err(IpnsError::Data { .. })
    ));
    let mut other = Draft::usual();
    let stranger = SigningKey::from_bytes(&[8; 32]);
    let mut key = std::vec![8, 1, 0x12, 32];
    key.extend_from_slice(stranger.verifying_key().as_bytes());
    put_bytes(&mut other.before, 7, &key);
    assert_eq!(other.verify(), Err(IpnsError::OtherKey));
    let mut old = Draft::usual();
    put_bytes(&mut old.before, 1, b"/ipfs/other");
    put_number(&mut old.before, 5, 3);
    assert_eq!(old.verify(), Err(IpnsError::Contradiction));
}
