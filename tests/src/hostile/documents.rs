//! `.ls` listings, CIDs, IPNS names and records, and chunk indexes.

use super::{Case, Cases, Reader};
use ed25519_dalek::{Signer, SigningKey};
use interplanar_core::dedup::{Index, IndexBody, IndexPart, Parameters, PieceEntry};
use interplanar_core::hash::Sha256;
use interplanar_core::ipns::Name;

pub(super) fn cases() -> Vec<Case> {
    let mut list = listings();
    list.extend(cids());
    list.extend(ipns());
    list.extend(indexes());
    list
}

fn listings() -> Vec<Case> {
    let mut cases = Cases::new("ls", Reader::Listing);
    let none = "not a listing";
    let file = r#"{"type":"regular","size":5,"narOffset":96}"#;
    let root = |node: &str| format!(r#"{{"version":1,"root":{node}}}"#);
    let directory = |entries: &str| {
        root(&format!(
            r#"{{"type":"directory","entries":{{{entries}}}}}"#
        ))
    };
    cases.accept("file", root(file), "a file");
    cases.accept(
        "symlink",
        root(r#"{"type":"symlink","target":"t"}"#),
        "a link",
    );
    cases.accept(
        "directory",
        directory(&format!(r#""a":{file}"#)),
        "a directory",
    );
    cases.accept(
        "unknown-field",
        root(&file.replace('{', r#"{"x":[1],"#)),
        "a later version may have it",
    );
    for (rule, text) in [
        ("empty", String::new()),
        ("no-object", "[]".into()),
        ("no-fields", "{}".into()),
        ("version-missing", format!(r#"{{"root":{file}}}"#)),
        ("version-2", root(file).replace("1,", "2,")),
        ("version-text", root(file).replace("1,", r#""1","#)),
        ("root-missing", r#"{"version":1}"#.into()),
        ("type-missing", root("{}")),
        ("type-unknown", root(r#"{"type":"fifo"}"#)),
        ("size-negative", root(&file.replace('5', "-5"))),
        ("size-fraction", root(&file.replace('5', "5.5"))),
        (
            "size-2-pow-64",
            root(&file.replace('5', "18446744073709551616")),
        ),
        ("target-missing", root(r#"{"type":"symlink"}"#)),
        ("entries-missing", root(r#"{"type":"directory"}"#)),
        ("entries-list", root(r#"{"type":"directory","entries":[]}"#)),
        ("cut", root(file)[..40].into()),
        ("trailing", format!("{}x", root(file))),
    ] {
        cases.refuse(rule, text, none, "not of Nix's form");
    }
    let shown = "names are for show here: nothing is written by a listing";
    for (rule, name) in [
        ("dot-dot", ".."),
        ("slash", "a/b"),
        ("empty", ""),
        ("control", "\\u001b[2J"),
    ] {
        cases.accept(
            &format!("name-{rule}"),
            directory(&format!(r#""{name}":{file}"#)),
            shown,
        );
    }
    let nested = |depth: usize| {
        let open = r#"{"type":"directory","entries":{"d":"#;
        root(&format!(
            "{}{file}{}",
            open.repeat(depth),
            "}}".repeat(depth)
        ))
    };
    cases.accept("depth-60", nested(60), "below the limit of archives");
    cases.refuse("depth-65", nested(65), none, "no archive is deeper");
    cases.refuse(
        "depth-100000",
        nested(100_000),
        none,
        "no recursion on the depth of the input",
    );
    cases.list
}

fn cids() -> Vec<Case> {
    let mut cases = Cases::new("cid", Reader::Cid);
    const V1: &str = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
    const V0: &str = "QmTp9VkYvnHyrqKQuFPiuZkiX9gPcqj6x5LJ1rmWuSySnL";
    cases.accept("v1", V1, "base 32");
    cases.accept("v0", V0, "base 58");
    cases.accept(
        "v1-upper-case",
        V1.to_uppercase(),
        "base 32 has either case",
    );
    cases.accept(
        "v0-with-prefix",
        format!("z{V0}"),
        "as the cid crate reads it; the specification says no",
    );
    cases.accept(
        "trailing-byte",
        format!("f01551220{}00", "07".repeat(32)),
        "the bytes after the digest are ignored",
    );
    let syntax = "not a CID";
    for (rule, text) in [
        ("empty", String::new()),
        ("prefix-alone", "b".into()),
        ("prefix-unknown", format!("x{V1}")),
        ("digit", V1.replace('h', "1")),
        ("cut", V1[..58].into()),
        ("trailing", format!("{V1}aaaa")),
        ("space", format!(" {V1}")),
        ("line-feed", format!("{V1}\n")),
        ("v0-cut", V0[..45].into()),
        ("v0-digit", V0.replace('T', "0")),
        ("not-ascii", "bé".into()),
        ("version-2", "f0255122000".into()),
        ("codec-cut", "f01".into()),
        ("digest-cut", "f0155122000".into()),
        ("digest-long", format!("f015512{}", "ff".repeat(70))),
    ] {
        cases.refuse(rule, text, syntax, "no text of a CID");
    }
    let hash = |code: &str, bytes: usize| format!("f0155{code}{bytes:02x}{}", "07".repeat(bytes));
    let wrong = |bytes: usize| {
        format!("a digest of {bytes} bytes has the wrong length for its hash function")
    };
    cases.accept("sha-512", hash("13", 64), "supported");
    cases.accept("identity", hash("00", 4), "the data itself");
    for (rule, code, bytes) in [
        ("sha-256-short", "12", 31),
        ("sha-256-long", "12", 33),
        ("sha-256-empty", "12", 0),
        ("sha-512-short", "13", 32),
        ("sha-1-short", "11", 19),
    ] {
        cases.refuse(
            rule,
            hash(code, bytes),
            wrong(bytes),
            "another block with such a digest is easy to find, or none exists",
        );
    }
    for (rule, code, number) in [
        ("sha-1", "11", "0x11"),
        ("sha3-512", "14", "0x14"),
        ("md5", "d501", "0xd5"),
    ] {
        let error = format!(
            "hash function {number} is not supported: expected sha2-256, sha2-512 or identity"
        );
        cases.refuse(rule, hash(code, 32), error, "its blocks can't be verified");
    }
    cases.refuse(
        "long",
        format!("b{}", "a".repeat(5_000)),
        "a text of 5001 bytes is too long for a CID",
        "decoding costs time",
    );
    cases.list
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// The name that the records of the cases are checked for.
pub(super) fn ipns_name() -> Name {
    Name::of_bytes(key(7).verifying_key().as_bytes()).expect("a key")
}

/// A protobuf field of bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).expect("seven bits"));
    out.extend_from_slice(bytes);
    out
}

/// DAG-CBOR of a text or bytes shorter than 24 (or 256) bytes.
fn cbor(major: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).expect("short");
    let mut out = if length < 24 {
        vec![major << 5 | length]
    } else {
        vec![major << 5 | 24, length]
    };
    out.extend_from_slice(bytes);
    out
}

const VALUE: &[u8] = b"/ipfs/bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
const VALIDITY: &[u8] = b"2030-01-02T03:04:05Z";

/// The signed data with these entries: the key, and the value as DAG-CBOR.
fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![0xa0 | u8::try_from(entries.len()).expect("few")];
    for (key, value) in entries {
        out.extend(cbor(3, key.as_bytes()));
        out.extend(value);
    }
    out
}

fn entries() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("TTL", vec![1]),
        ("Value", cbor(2, VALUE)),
        ("Sequence", vec![3]),
        ("Validity", cbor(2, VALIDITY)),
        ("ValidityType", vec![0]),
    ]
}

fn record(data: &[u8], seed: u8) -> Vec<u8> {
    let signature = key(seed).sign(&[b"ipns-signature:", data].concat());
    [field(8, &signature.to_bytes()), field(9, data)].concat()
}

fn ipns() -> Vec<Case> {
    let mut cases = Cases::new("ipns-name", Reader::IpnsName);
    let name = ipns_name();
    let invalid = "not an IPNS name: expected k51… or 12D3Koo…, as `ipfs key list -l` prints it";
    cases.accept("k51", name.to_string(), "as Kubo writes it");
    cases.accept("peer", name.peer_id(), "as libp2p writes it");
    for (rule, text) in [
        ("empty", String::new()),
        ("domain", "example.org".into()),
        (
            "content",
            "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku".into(),
        ),
        ("cut", name.to_string()[..40].into()),
        ("peer-cut", "12D3KooW".into()),
    ] {
        cases.refuse(rule, text, invalid, "no name");
    }
    let other = "the name's key is not an Ed25519 key; make one with `ipfs key gen --type=ed25519`";
    let rsa = format!("f01721220{}", "07".repeat(32));
    cases.refuse("rsa", rsa, other, "the name doesn't contain the key");
    let point = format!("f0172002408011220{}{}", "02", "00".repeat(31));
    cases.refuse("no-point", point, other, "no point of the curve");
    let mut list = cases.list;

    let mut cases = Cases::new("ipns-record", Reader::IpnsRecord);
    let data = map(&entries());
    let whole = record(&data, 7);
    cases.accept("whole", &*whole, "signed by the name's key");
    let unsigned = "the record has no signature of version 2";
    cases.refuse("empty", "", unsigned, "no fields");
    cases.refuse(
        "signature-missing",
        field(9, &data),
        unsigned,
        "nobody vouches for it",
    );
    cases.refuse("data-missing", &whole[..66], unsigned, "nothing is signed");
    let wrong = "the record's signature is wrong";
    cases.refuse(
        "signature-of-another",
        record(&data, 8),
        wrong,
        "another key",
    );
    cases.refuse(
        "signature-short",
        [field(8, &[0; 63]), field(9, &data)].concat(),
        wrong,
        "a byte is missing",
    );
    let mut changed = whole.clone();
    *changed.last_mut().expect("bytes") ^= 1;
    cases.refuse(
        "data-changed",
        changed,
        wrong,
        "the signature covers the data",
    );
    let old = [
        field(1, VALUE),
        field(2, &[0; 64]),
        field(4, VALIDITY),
        vec![0x28, 3],
    ]
    .concat();
    cases.refuse(
        "version-1-alone",
        old,
        unsigned,
        "version 1 doesn't sign the sequence",
    );
    let contradiction = "the record's fields of version 1 contradict its signed data";
    let both = [field(1, b"/ipfs/other"), whole.clone()].concat();
    cases.refuse(
        "version-1-contradicts",
        both,
        contradiction,
        "an old reader would be led elsewhere",
    );
    let malformed = |at: usize| format!("the record is malformed at byte {at}");
    cases.refuse(
        "field-twice",
        [&whole[..], &field(9, &data)].concat(),
        malformed(0),
        "two programs could read different ones",
    );
    cases.refuse("field-type", [0x48, 1], malformed(0), "data are bytes");
    cases.refuse(
        "field-beyond",
        [0x4a, 9, 1],
        malformed(0),
        "it leads beyond the record",
    );
    let mut stranger = vec![8, 1, 0x12, 32];
    stranger.extend(key(8).verifying_key().as_bytes());
    cases.refuse(
        "key-of-another",
        [field(7, &stranger), whole.clone()].concat(),
        "the record's key is not the name's key",
        "a name is its key",
    );
    cases.refuse(
        "long",
        vec![0; (10 << 10) + 1],
        "the record has 10241 bytes, more than the limit of 10 KiB",
        "the specification's limit",
    );
    let missing = |at: usize| {
        format!(
            "the record's data is invalid at byte {at}: expected the keys TTL, Value, Sequence, Validity and ValidityType"
        )
    };
    for (index, (key, _)) in entries().iter().enumerate() {
        let mut fewer = entries();
        fewer.remove(index);
        let data = map(&fewer);
        cases.refuse(
            &format!("{key}-missing"),
            record(&data, 7),
            missing(data.len()),
            "each key is needed",
        );
        let mut twice = entries();
        let again = twice[index].clone();
        twice.push(again);
        let at = map(&entries()).len();
        let error = format!("the record's data is invalid at byte {at}: expected each key once");
        cases.refuse(
            &format!("{key}-twice"),
            record(&map(&twice), 7),
            error,
            "two programs could read different ones",
        );
    }
    let with = |key: &str, value: Vec<u8>| {
        let changed = entries()
            .into_iter()
            .map(|(own, old)| (own, if own == key { value.clone() } else { old }));
        record(&map(&changed.collect::<Vec<_>>()), 7)
    };
    let mut deep = entries();
    deep.push(("x", [vec![0x81; 9_000], vec![1]].concat()));
    cases.accept(
        "extra-deep",
        record(&map(&deep), 7),
        "unknown keys are skipped without recursion",
    );
    let mut beyond = entries();
    beyond.push((
        "x",
        vec![0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
    ));
    let end = map(&beyond).len();
    let error = format!("the record's data is invalid at byte {end}: expected a value");
    cases.refuse(
        "extra-2-pow-64",
        record(&map(&beyond), 7),
        error,
        "nothing is allocated for it",
    );
    let path = "the record's value is not an /ipfs/ or /ipns/ path";
    cases.refuse(
        "value-other-path",
        with("Value", cbor(2, b"/http/x")),
        path,
        "it leads elsewhere",
    );
    cases.refuse(
        "value-not-utf-8",
        with("Value", cbor(2, b"/ipfs/\xff")),
        path,
        "no text",
    );
    cases.refuse(
        "value-empty",
        with("Value", cbor(2, b"")),
        path,
        "it leads nowhere",
    );
    let time = "the record's data is invalid at byte 0: expected ValidityType 0 and a Validity in RFC 3339, in UTC";
    cases.refuse(
        "validity-words",
        with("Validity", cbor(2, b"tomorrow")),
        time,
        "no time",
    );
    cases.refuse(
        "validity-month-13",
        with("Validity", cbor(2, b"2030-13-02T03:04:05Z")),
        time,
        "no time",
    );
    cases.refuse(
        "validity-zone",
        with("Validity", cbor(2, b"2030-01-02T03:04:05+01:00")),
        time,
        "not in UTC",
    );
    cases.refuse(
        "validity-type-1",
        with("ValidityType", vec![1]),
        time,
        "another meaning",
    );
    list.extend(cases.list);
    list
}

fn indexes() -> Vec<Case> {
    let mut cases = Cases::new("index", Reader::Index);
    let piece = |length: u32, compressed: u32, leaves: usize| PieceEntry {
        offset: 0,
        length,
        compressed,
        plain: Sha256::of(b"plain"),
        leaves: vec![Sha256::of(b"leaf"); leaves],
    };
    let encode = |nar_size: u64, pieces: Vec<PieceEntry>| {
        let index = Index {
            parameters: Parameters::LARGE,
            nar_size,
            body: IndexBody::Pieces(pieces),
        };
        index.encode().data().to_vec()
    };
    let whole = encode(96, vec![piece(96, 40, 1)]);
    cases.accept("whole", &*whole, "one piece");
    let shape = |at: usize, expected: &str| format!("byte {at}: expected {expected}");
    cases.refuse(
        "empty",
        "",
        shape(0, "a map of cut, size, pieces or parts, and version"),
        "no map",
    );
    // Where each item of the block starts, and what must stand there.
    let mut items = vec![(1, "the key \"cut\""), (5, "a list of 8 lengths")];
    items.extend([6, 11, 14, 19, 24, 29, 34, 39].map(|at| (at, "a length")));
    items.extend([
        (44, "the key \"size\""),
        (49, "a number of bytes"),
        (51, "the key \"parts\" or \"pieces\""),
        (58, "a list of pieces"),
        (59, "a list of two lengths, a digest and leaves"),
        (60, "a length"),
        (62, "a length"),
        (64, "a SHA-256 of 32 bytes"),
        (98, "the SHA-256 of leaves"),
        (132, "the key \"version\""),
        (140, "a version"),
    ]);
    for at in 1..whole.len() {
        let (start, expected) = items
            .iter()
            .rfind(|(start, _)| *start <= at)
            .expect("an item");
        let error = shape(*start, expected);
        cases.refuse(
            &format!("cut-{at}"),
            &whole[..at],
            error,
            "the block ends early",
        );
    }
    let trailing = [&whole[..], &[0]].concat();
    cases.refuse(
        "trailing",
        trailing,
        shape(whole.len(), "the end of the block"),
        "bytes that mean nothing",
    );
    let version = with_last(&whole, 2);
    cases.refuse(
        "version-2",
        version,
        "the chunk index has the unknown version 2",
        "another format",
    );
    let size = |pieces: u64, expected: u64| {
        format!("the pieces have {pieces} bytes in total, not {expected}")
    };
    cases.refuse(
        "size-more",
        encode(97, vec![piece(96, 40, 1)]),
        size(96, 97),
        "the NAR would have a gap",
    );
    cases.refuse(
        "size-less",
        encode(95, vec![piece(96, 40, 1)]),
        size(96, 95),
        "the pieces lead beyond the NAR",
    );
    let impossible = "piece 0 of the chunk index has impossible lengths";
    cases.refuse(
        "length-zero",
        encode(0, vec![piece(0, 40, 1)]),
        impossible,
        "a piece has bytes",
    );
    cases.refuse(
        "length-large",
        encode((4 << 20) + 1, vec![piece((4 << 20) + 1, 40, 1)]),
        impossible,
        "a piece is held in memory",
    );
    cases.refuse(
        "compressed-zero",
        encode(96, vec![piece(96, 0, 0)]),
        impossible,
        "a piece has bytes",
    );
    cases.refuse(
        "compressed-large",
        encode(96, vec![piece(96, 5 << 20, 5)]),
        impossible,
        "a piece is held in memory",
    );
    cases.refuse(
        "leaves-none",
        encode(96, vec![piece(96, 40, 0)]),
        impossible,
        "each MiB is a leaf",
    );
    cases.refuse(
        "leaves-more",
        encode(96, vec![piece(96, 40, 2)]),
        impossible,
        "each MiB is a leaf",
    );
    cases.refuse(
        "pieces-4097",
        encode(4097, vec![piece(1, 1, 1); 4097]),
        "the chunk index has 4097 pieces or parts, which is out of bounds",
        "a block has at most 4096 pieces",
    );
    parts(&mut cases);
    cases.list
}

/// The list of parts of a long index.
fn parts(cases: &mut Cases) {
    let part = |length: u64, pieces: u32| IndexPart {
        cid: ipns_name().cid(),
        offset: 0,
        length,
        pieces,
    };
    let encode = |nar_size: u64, parts: Vec<IndexPart>| {
        let index = Index {
            parameters: Parameters::LARGE,
            nar_size,
            body: IndexBody::Parts(parts),
        };
        index.encode().data().to_vec()
    };
    let count = |count: usize| {
        format!("the chunk index has {count} pieces or parts, which is out of bounds")
    };
    cases.accept("parts", encode(96, vec![part(96, 1)]), "one part");
    cases.refuse(
        "parts-size",
        encode(95, vec![part(96, 1)]),
        "the pieces have 96 bytes in total, not 95",
        "the parts lead beyond the NAR",
    );
    cases.refuse(
        "parts-overflow",
        encode(96, vec![part(u64::MAX, 1); 2]),
        "piece 1 of the chunk index has impossible lengths",
        "the sum is not in 64 bits",
    );
    cases.refuse(
        "part-without-pieces",
        encode(96, vec![part(96, 0)]),
        count(0),
        "a request for nothing",
    );
    cases.refuse(
        "part-pieces-4097",
        encode(96, vec![part(96, 4097)]),
        count(4097),
        "a block has at most 4096 pieces",
    );
    cases.refuse(
        "parts-4097",
        encode(4097, vec![part(1, 1); 4097]),
        count(4097),
        "the parts are held in memory",
    );
}

fn with_last(bytes: &[u8], last: u8) -> Vec<u8> {
    let mut out = bytes.to_vec();
    *out.last_mut().expect("bytes") = last;
    out
}
