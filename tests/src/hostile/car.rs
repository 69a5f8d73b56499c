//! CARs: the header, lengths and CIDs. The DAGs inside are in [`super::dags`].

use super::{Case, Cases, Reader};
use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::car;
use interplanar_core::cid::MAX_BLOCK;

/// Writes a CAR of these blocks; the last one is the root.
pub(super) fn write(blocks: &[Block]) -> Vec<u8> {
    let root = blocks.last().map(|block| *block.cid());
    let mut out = car::header(root.as_slice());
    for block in blocks {
        out.extend(car::block_prefix(block.cid(), block.data().len()));
        out.extend_from_slice(block.data());
    }
    out
}

/// A section with its length.
fn section(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![u8::try_from(bytes.len()).expect("short")];
    out.extend_from_slice(bytes);
    out
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Cases::new("car", Reader::Car);
    let block = Block::raw(Bytes::from_static(b"hello"));
    let whole = write(std::slice::from_ref(&block));
    cases.accept("whole", &*whole, "a header and a block");
    cases.accept(
        "no-blocks",
        car::header(&[*block.cid()]),
        "the sender has none of the blocks",
    );
    cases.accept(
        "no-roots",
        car::header(&[]),
        "the roots are a claim that nobody believes",
    );
    let head = car::header(&[*block.cid()]).len();
    for at in 0..whole.len() {
        if at == head {
            continue;
        }
        let error = format!("byte {at}: the stream ended inside a header or a block");
        cases.refuse(
            &format!("cut-{at}"),
            &whole[..at],
            error,
            "the stream ends early",
        );
    }
    headers(&mut cases);
    sections(&mut cases, &block);
    cases.list
}

fn headers(cases: &mut Cases) {
    let varint = "byte 0: expected a varint of at most 9 bytes in its shortest form";
    let length = "byte 0: expected a header of 1 to 32768 bytes";
    cases.refuse("header-length-zero", [0], length, "no header");
    cases.refuse(
        "header-length-large",
        [0x81, 0x80, 2],
        length,
        "the header is held in memory",
    );
    cases.refuse(
        "header-length-2-pow-62",
        [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40],
        length,
        "nothing is allocated for it",
    );
    cases.refuse(
        "header-length-ten-bytes",
        [0xff; 10],
        varint,
        "a varint has nine bytes at most",
    );
    cases.refuse(
        "header-length-padded",
        [0x80, 0],
        varint,
        "two encodings of one number",
    );
    let shape =
        |at: usize, expected: &str| format!("byte {at}: expected {expected} in the CAR header");
    let map = "a map of roots and version";
    let roots = "the key \"roots\"";
    let link = "a link (tag 42, a zero byte and a CID)";
    let headers: [(&str, &[u8], String, &'static str); 17] = [
        (
            "html",
            b"<html>",
            shape(1, map),
            "an error page instead of a CAR",
        ),
        ("list", b"\x82\x80\x01", shape(1, map), "no map"),
        (
            "one-key",
            b"\xa1gversion\x01",
            shape(11, roots),
            "the roots are missing",
        ),
        (
            "three-keys",
            b"\xa3eroots\x80gversion\x01ax\x01",
            shape(1, map),
            "another key",
        ),
        (
            "indefinite-map",
            b"\xbferoots\x80gversion\x01\xff",
            shape(1, map),
            "not canonical",
        ),
        (
            "order",
            b"\xa2gversion\x01eroots\x80",
            shape(2, roots),
            "not canonical",
        ),
        (
            "key-unknown",
            b"\xa2eroott\x80gversion\x01",
            shape(2, roots),
            "another key",
        ),
        (
            "roots-number",
            b"\xa2eroots\x01gversion\x01",
            shape(8, "a list of roots"),
            "no list",
        ),
        (
            "roots-indefinite",
            b"\xa2eroots\x9f\xffgversion\x01",
            shape(8, "a list of roots"),
            "not canonical",
        ),
        (
            "roots-beyond",
            b"\xa2eroots\x82gversion\x01",
            shape(9, link),
            "fewer roots than announced",
        ),
        (
            "root-without-tag",
            b"\xa2eroots\x81\x43\x00\x01\x55gversion\x01",
            shape(9, link),
            "no link",
        ),
        (
            "root-other-tag",
            b"\xa2eroots\x81\xd8\x2b\x43\x00\x01\x55gversion\x01",
            shape(9, link),
            "no link",
        ),
        (
            "root-without-zero",
            b"\xa2eroots\x81\xd8\x2a\x43\x01\x55\x00gversion\x01",
            shape(9, link),
            "no multibase prefix",
        ),
        (
            "root-no-cid",
            b"\xa2eroots\x81\xd8\x2a\x43\x00\x01\x55gversion\x01",
            shape(9, link),
            "no CID",
        ),
        (
            "version-text",
            b"\xa2eroots\x80gversiona1",
            shape(17, "a version"),
            "no number",
        ),
        (
            "version-padded",
            b"\xa2eroots\x80gversion\x18\x01",
            shape(17, "a version"),
            "two encodings of one number",
        ),
        (
            "trailing",
            b"\xa2eroots\x80gversion\x01\x00",
            shape(18, "the end of the header"),
            "bytes that mean nothing",
        ),
    ];
    for (rule, header, error, reason) in headers {
        cases.refuse(&format!("header-{rule}"), section(header), error, reason);
    }
    for version in [0, 2, 3] {
        let mut header = b"\xa2eroots\x80gversion".to_vec();
        header.push(version);
        let error = format!("expected CAR version 1, found version {version}");
        cases.refuse(
            &format!("version-{version}"),
            section(&header),
            error,
            "another format",
        );
    }
    let pragma = section(b"\xa1gversion\x02");
    cases.refuse(
        "version-2-container",
        pragma,
        "expected CAR version 1, found version 2",
        "a CARv2 starts with this",
    );
    let many = section(b"\xa2eroots\x99\x04\x01gversion\x01");
    cases.refuse(
        "roots-1025",
        many,
        "byte 8: expected at most 1024 roots",
        "the roots are held in memory",
    );
    let huge = section(b"\xa2eroots\x9b\xff\xff\xff\xff\xff\xff\xff\xffgversion\x01");
    cases.refuse(
        "roots-2-pow-64",
        huge,
        "byte 8: expected at most 1024 roots",
        "nothing is allocated for it",
    );
}

fn sections(cases: &mut Cases, block: &Block) {
    let head = car::header(&[]);
    let at = head.len();
    let after = |tail: &[u8]| [&head[..], tail].concat();
    let varint = format!("byte {at}: expected a varint of at most 9 bytes in its shortest form");
    let large = format!("byte {at}: expected a block of at most {MAX_BLOCK} bytes");
    let cid = format!("byte {}: expected a CID", at + 1);
    cases.refuse(
        "section-empty",
        after(&[0]),
        format!("byte {at}: expected a section, found an empty one"),
        "padding is not supported",
    );
    cases.refuse(
        "section-length-padded",
        after(&[0x85, 0]),
        &*varint,
        "two encodings of one number",
    );
    cases.refuse(
        "section-length-ten-bytes",
        after(&[0xff; 10]),
        &*varint,
        "a varint has nine bytes at most",
    );
    cases.refuse(
        "section-length-2-pow-28",
        after(&[0xff, 0xff, 0xff, 0x7f]),
        &*large,
        "nothing is allocated for it",
    );
    let sections: [(&str, &[u8], &'static str); 7] = [
        ("html", b"<h", "no CID"),
        ("cid-version-0", &[0, 0x55, 0x12], "no such version"),
        ("cid-version-2", &[2, 0x55, 0x12], "no such version"),
        (
            "cid-cut",
            &[1, 0x55, 0x12],
            "the digest's length is missing",
        ),
        (
            "cid-digest-cut",
            &[1, 0x55, 0x12, 0x20, 1, 2, 3],
            "the section ends inside of the digest",
        ),
        (
            "cid-digest-long",
            &[1, 0x55, 0x12, 0x41, 1, 2, 3],
            "longer than any digest",
        ),
        (
            "cid-v0-other-hash",
            &[0x12, 0x1f, 1],
            "version 0 has SHA-256 of 32 bytes",
        ),
    ];
    for (rule, bytes, reason) in sections {
        cases.refuse(
            &format!("section-{rule}"),
            after(&section(bytes)),
            &*cid,
            reason,
        );
    }
    // The reader leaves it to its caller to verify blocks.
    let mut damaged = write(std::slice::from_ref(block));
    *damaged.last_mut().expect("bytes") ^= 1;
    cases.accept("block-damaged", &*damaged, "the reader doesn't hash");
    let mut verified = Cases::new("car-block", Reader::File);
    let wrong = "the block's hash doesn't match its CID";
    verified.accept(
        "whole",
        write(std::slice::from_ref(block)),
        "the block of its CID",
    );
    verified.refuse("damaged", damaged, wrong, "not the block of its CID");
    let other = Block::raw(Bytes::from_static(b"other"));
    let mut swapped = car::header(&[*block.cid()]);
    swapped.extend(car::block_prefix(block.cid(), 5));
    swapped.extend_from_slice(other.data());
    verified.refuse("of-another", swapped, wrong, "not the block of its CID");
    let mut codec = car::header(&[*block.cid()]);
    codec.extend(section(
        &[&[1, 0x55, 0x14, 0x20][..], &[7; 32], b"hello"].concat(),
    ));
    verified.refuse(
        "hash-unknown",
        codec,
        "hash function 0x14 is not supported: expected sha2-256, sha2-512 or identity",
        "nothing can be verified",
    );
    let mut short = car::header(&[*block.cid()]);
    short.extend(section(
        &[&[1, 0x55, 0x12, 8][..], &[7; 8], b"hello"].concat(),
    ));
    verified.refuse(
        "digest-short",
        short,
        "a digest of 8 bytes has the wrong length for its hash function",
        "another block with such a digest is easy to find",
    );
    verified.refuse(
        "missing",
        car::header(&[*block.cid()]),
        "a block is missing",
        "the root is not there",
    );
    verified.refuse("no-root", car::header(&[]), "no root", "nothing to read");
    cases.list.extend(verified.list);
}
