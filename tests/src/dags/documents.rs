//! Documents: DAG-CBOR and DAG-JSON with links into documents and files, plain CBOR and JSON.

use super::{Dags, files, with_kubo};
use crate::kubo::Repo;
use interplanar_core::cid::{Cid, DAG_CBOR};

/// Codecs (multicodec table).
const JSON: u64 = 0x0200;
const CBOR: u64 = 0x51;
const DAG_JSON: u64 = 0x0129;

/// A link in DAG-CBOR.
fn link(cid: &Cid) -> Vec<u8> {
    let cid = cid.to_bytes();
    // Tag 42, and bytes whose length takes one byte.
    let mut link = vec![0xd8, 42, 0x58, cid.len() as u8 + 1, 0];
    link.extend(cid);
    link
}

fn json_last() -> &'static str {
    r#"{"hello":"this is not a link"}"#
}

fn json_middle(last: &Cid) -> String {
    format!(r#"{{"bar":{{"/":"{last}"}}}}"#)
}

fn json_first(middle: &Cid) -> String {
    format!(r#"{{"foo":{{"link":{{"/":"{middle}"}},"object":{{"banana":10,"monkey":false}}}}}}"#)
}

/// What a document that links to files says, in DAG-JSON.
fn json_files(single: &Cid, multi: &Cid) -> String {
    format!(
        r#"{{"bytes":{{"/":{{"bytes":"AAEC"}}}},"cats":"not cats","files":{{"multi":{{"/":"{multi}"}},"single":{{"/":"{single}"}}}},"list":[{{"/":"{single}"}},null,1.5,-3],"monkeys":true}}"#
    )
}

const CHAIN: [&str; 7] = [
    "/foo",
    "/foo/object",
    "/foo/object/banana",
    "/foo/object/fruit",
    "/foo/link",
    "/foo/link/bar",
    "/foo/link/bar/hello",
];
const FILES: [&str; 8] = [
    "/files",
    "/files/single",
    "/files/multi",
    "/files/single/x",
    "/list/0",
    "/list/9",
    "/cats",
    "/nope",
];

fn linked_files(dags: &mut Dags) -> (Cid, Cid) {
    let single = files::text(dags, "a file of a document\n");
    let profile = interplanar_core::unixfs::Profile {
        chunk: 16,
        ..interplanar_core::unixfs::SIZE_262144_V1
    };
    let multi = files::store(
        dags,
        profile,
        b"a file of a document, with several leaves\n",
    );
    (single, multi)
}

/// Builds with bytes that are written here.
pub(super) fn build(dags: &mut Dags) {
    let last = dags.put_as(DAG_JSON, json_last());
    let middle = dags.put_as(DAG_JSON, json_middle(&last));
    let first = dags.put_as(DAG_JSON, json_first(&middle));
    dags.add("document/dag-json/chain", first, &CHAIN);

    let last = dags.put_as(DAG_CBOR, &b"\xa1ehellorthis is not a link"[..]);
    let middle = [&b"\xa1cbar"[..], &link(&last)].concat();
    let middle = dags.put_as(DAG_CBOR, middle);
    let first = [
        &b"\xa1cfoo\xa2dlink"[..],
        &link(&middle),
        b"fobject\xa2fbanana\nfmonkey\xf4",
    ];
    let first = dags.put_as(DAG_CBOR, first.concat());
    dags.add("document/dag-cbor/chain", first, &CHAIN);

    let (single, multi) = linked_files(dags);
    let cbor = [
        &b"\xa5dcatshnot catsdlist\x84"[..],
        &link(&single),
        b"\xf6\xfb\x3f\xf8\0\0\0\0\0\0\x22ebytesC\x00\x01\x02efiles\xa2emulti",
        &link(&multi),
        b"fsingle",
        &link(&single),
        b"gmonkeys\xf5",
    ];
    let cbor = dags.put_as(DAG_CBOR, cbor.concat());
    dags.add("document/dag-cbor/files", cbor, &FILES);
    let json = dags.put_as(DAG_JSON, json_files(&single, &multi));
    dags.add("document/dag-json/files", json, &FILES);

    for (name, codec, bytes) in [
        (
            "json/indented",
            JSON,
            &b"{\n\t\"test\": \"plain json\"\n}\n"[..],
        ),
        ("json/compact", JSON, b"{\"test\":{\"0\":null}}"),
        ("cbor/text", CBOR, b"\xa1dtestjplain cbor"),
        ("cbor/number", CBOR, b"\x18\x2a"),
        ("dag-cbor/empty", DAG_CBOR, b"\xa0"),
        ("dag-json/text", DAG_JSON, "\"zażółć\"".as_bytes()),
    ] {
        let root = dags.put_as(codec, bytes);
        dags.add(&format!("document/{name}"), root, &["/test", "/0"]);
    }
}

/// Builds the documents with links with Kubo's own encoders.
pub(super) fn build_with_kubo(dags: &mut Dags, repo: &Repo) {
    let put = |codec: &str, json: &str| {
        let mut put = repo.ipfs();
        put.args(["dag", "put", &format!("--store-codec={codec}")]);
        with_kubo::root_of(&mut put, json.as_bytes())
    };
    let (single, multi) = linked_files(dags);
    for codec in ["dag-json", "dag-cbor"] {
        let last = put(codec, json_last());
        let middle = put(codec, &json_middle(&last));
        let first = put(codec, &json_first(&middle));
        dags.add(&format!("document/{codec}/chain"), first, &[]);
        let files = put(codec, &json_files(&single, &multi));
        dags.add(&format!("document/{codec}/files"), files, &[]);
    }
}

/// A document whose link leads to a block that is missing.
pub(super) fn incomplete(dags: &mut Dags, absent: &Cid) {
    let cbor = [&b"\xa1dlink"[..], &link(absent)].concat();
    let root = dags.put_as(DAG_CBOR, cbor);
    dags.add("incomplete/document", root, &["/link", "/link/x"]);
}
