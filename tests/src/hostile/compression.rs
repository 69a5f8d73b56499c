//! gzip, zstd, lzip and xz streams.
//!
//! The bases hold their content without compression where the format allows it, so that each field
//! has a place that the cases can name. Windows and dictionary sizes above the limits are tested in
//! core.

use super::{Case, Cases, Reader};
use interplanar_core::hash::Sha256Hasher;
use interplanar_core::narinfo::Compression;

pub(super) fn cases() -> Vec<Case> {
    let mut list = gzip();
    list.extend(zstd());
    list.extend(lzip());
    list.extend(xz());
    let methods = [("bzip2", Compression::Bzip2), ("br", Compression::Br)];
    for (grammar, method) in methods {
        let mut cases = Cases::new(grammar, Reader::Decoder(method));
        let error = format!(
            "compression {grammar} is not supported: expected none, gzip, zstd, lzip or xz"
        );
        cases.refuse(
            "any",
            "BZh91AY&SY",
            error,
            "no decoder: Nix and Guix write it no more",
        );
        list.extend(cases.list);
    }
    list
}

/// Adds what holds for each format: nothing follows the last member, and every truncation is one.
fn ends(cases: &mut Cases, whole: &[u8], first: &str) {
    cases.accept("whole", whole, "a valid stream");
    cases.accept(
        "members",
        whole.repeat(3),
        "members in a row are one stream",
    );
    cases.refuse(
        "junk",
        [whole, b"junk behind the stream"].concat(),
        first,
        "bytes that are no member",
    );
    for at in 0..whole.len() {
        let cut = &whole[..at];
        cases.refuse(
            &format!("cut-{at}"),
            cut,
            format!("the compressed data is truncated at byte {at}"),
            "the stream ends early",
        );
    }
}

fn crc32(bytes: &[u8]) -> [u8; 4] {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    (!crc).to_le_bytes()
}

const TEXT: &[u8] = b"hello";

/// A gzip member with these flags, and these optional fields, around a stored block.
fn member(flags: u8, fields: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3];
    out.extend_from_slice(fields);
    out.extend([1, 5, 0, 0xfa, 0xff]);
    out.extend_from_slice(TEXT);
    out.extend(crc32(TEXT));
    out.extend(5_u32.to_le_bytes());
    out
}

/// Returns the bytes with one of them replaced.
fn with(bytes: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut out = bytes.to_vec();
    out[at] = byte;
    out
}

fn gzip() -> Vec<Case> {
    let mut cases = Cases::new("gzip", Reader::Decoder(Compression::Gzip));
    let whole = member(0, b"");
    let header = "expected a gzip header";
    ends(&mut cases, &whole, header);
    for (rule, at, byte) in [("magic-0", 0, 0x1e), ("magic-1", 1, 0), ("method", 2, 7)] {
        cases.refuse(rule, with(&whole, at, byte), header, "another format");
    }
    for bit in 5..8 {
        let flagged = with(&whole, 3, 1 << bit);
        cases.refuse(
            &format!("flag-{bit}"),
            flagged,
            "expected known gzip flags",
            "a field of unknown length would follow",
        );
    }
    cases.accept("flag-text", member(1, b""), "says nothing about the format");
    let header_crc = |bytes: &[u8]| {
        let head = [&[0x1f, 0x8b, 8, 2, 0, 0, 0, 0, 0, 3], bytes].concat();
        crc32(&head)[..2].to_vec()
    };
    cases.accept(
        "header-crc",
        member(2, &header_crc(b"")),
        "a checksum of the header",
    );
    cases.accept(
        "header-crc-wrong",
        member(2, b"\0\0"),
        "the header says nothing that is used",
    );
    cases.accept("extra", member(4, b"\x03\0abc"), "a field with a length");
    cases.accept("name", member(8, b"name\0"), "a text");
    cases.accept("comment", member(16, b"comment\0"), "a text");
    cases.accept(
        "all-fields",
        member(0x1c, b"\x01\0xname\0comment\0"),
        "in their order",
    );
    cases.refuse(
        "extra-long",
        member(4, b"\xff\xffabc"),
        "the compressed data is truncated at byte 33",
        "its length leads beyond the end",
    );
    let long = [&[b'n'; (1 << 16) + 1][..], b"\0"].concat();
    let error = "expected a name of at most 64 KiB in a gzip header";
    cases.refuse("name-long", member(8, &long), error, "time for nothing");
    let deflate = "expected deflated data";
    cases.refuse(
        "block-type",
        with(&whole, 10, 7),
        deflate,
        "a reserved type of block",
    );
    cases.refuse(
        "stored-length",
        with(&whole, 13, 0),
        deflate,
        "the length and its complement differ",
    );
    // A block with fixed codes whose first symbol is a match of 3 bytes at distance 1.
    let mut early = whole[..10].to_vec();
    early.extend([0x03, 0x02, 0x00]);
    early.extend(crc32(&[0; 3]));
    early.extend(3_u32.to_le_bytes());
    cases.accept(
        "distance-before-start",
        early,
        "the window starts with zeros; whether the bytes are right is for the NarHash to say",
    );
    for at in 20..24 {
        let wrong = with(&whole, at, whole[at] ^ 1);
        cases.refuse(
            &format!("crc-{}", at - 20),
            wrong,
            "the CRC-32 of a gzip member does not match the data",
            "damaged content",
        );
    }
    for at in 24..28 {
        let wrong = with(&whole, at, whole[at] ^ 1);
        cases.refuse(
            &format!("size-{}", at - 24),
            wrong,
            "the size of a gzip member does not match the data",
            "damaged content",
        );
    }
    cases.refuse(
        "content",
        with(&whole, 15, b'H'),
        "the CRC-32 of a gzip member does not match the data",
        "damaged content",
    );
    cases.accept(
        "zeros-after",
        [&whole[..], &[0; 9]].concat(),
        "padding of tapes, which gzip ignores too",
    );
    cases.refuse(
        "zeros-then-junk",
        [&whole[..], &[0; 9], b"junk behind the padding"].concat(),
        header,
        "bytes that are no member",
    );
    cases.refuse("zeros-only", vec![0; 20], header, "no member at all");
    cases.list
}

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A block header: last, type and size.
fn block(last: bool, kind: u32, size: u32) -> Vec<u8> {
    let header = u32::from(last) | kind << 1 | size << 3;
    header.to_le_bytes()[..3].to_vec()
}

/// A frame of one segment with this content size and these blocks, without a checksum.
fn frame(size: u8, blocks: &[&[u8]]) -> Vec<u8> {
    [&ZSTD_MAGIC[..], &[0x20, size], &blocks.concat()].concat()
}

fn zstd() -> Vec<Case> {
    let mut cases = Cases::new("zstd", Reader::Decoder(Compression::Zstd));
    let raw = block(true, 0, 5);
    let whole = frame(5, &[&raw, TEXT]);
    let magic = "expected a zstd frame";
    ends(&mut cases, &whole, magic);
    let header = "expected a zstd frame header";
    let bad_block = "expected a zstd block";
    let size = "the content size of a zstd frame does not match the data";
    for at in 0..4 {
        cases.refuse(
            &format!("magic-{at}"),
            with(&whole, at, whole[at] ^ 1),
            magic,
            "another format",
        );
    }
    cases.refuse(
        "reserved-bit",
        with(&whole, 4, 0x28),
        header,
        "the format keeps the bit for later",
    );
    cases.refuse(
        "content-size-more",
        frame(6, &[&raw, TEXT]),
        size,
        "the header says something else",
    );
    cases.refuse(
        "content-size-less",
        frame(4, &[&raw, TEXT]),
        bad_block,
        "a block is no longer than the content",
    );
    cases.accept(
        "content-size-unknown",
        [&ZSTD_MAGIC[..], &[0, 0], &raw, TEXT].concat(),
        "streams don't know it",
    );
    cases.accept(
        "no-content",
        frame(0, &[&block(true, 0, 0)]),
        "an empty file",
    );
    cases.accept(
        "run",
        frame(5, &[&block(true, 1, 5), b"h"]),
        "one byte, repeated",
    );
    cases.accept(
        "blocks",
        frame(10, &[&block(false, 0, 5), TEXT, &raw, TEXT]),
        "two blocks",
    );
    cases.refuse(
        "block-reserved",
        frame(5, &[&block(true, 3, 5), TEXT]),
        bad_block,
        "a reserved type of block",
    );
    let most = "expected a zstd block of at most 128 KiB";
    cases.refuse(
        "block-long",
        frame(5, &[&block(true, 0, (128 << 10) + 8), TEXT]),
        most,
        "longer than any block",
    );
    cases.refuse(
        "block-not-last",
        frame(5, &[&block(false, 0, 5), TEXT]),
        "the compressed data is truncated at byte 14",
        "the last block is missing",
    );
    cases.refuse(
        "dictionary",
        [&ZSTD_MAGIC[..], &[0x21, 7, 5], &raw, TEXT].concat(),
        "a dictionary of zstd is not supported",
        "no dictionary is known here",
    );
    let compressed = |body: &[u8]| {
        let head = block(true, 2, u32::try_from(body.len()).expect("small"));
        frame(5, &[&head, body])
    };
    cases.refuse(
        "compressed-empty",
        compressed(b""),
        bad_block,
        "a compressed block has two sections at least",
    );
    // Raw literals of 5 bytes (0x28), then no sequences.
    cases.accept(
        "compressed-literals",
        compressed(b"\x28hello\0"),
        "literals alone",
    );
    cases.refuse(
        "literals-long",
        compressed(b"\x30hello\0"),
        "expected literals that fit into a zstd block",
        "the literals lead beyond the block",
    );
    cases.refuse(
        "literals-without-table",
        compressed(b"\x53\0\0hello\0"),
        bad_block,
        "the table of a block before, but there is none",
    );
    cases.refuse(
        "sequences-missing",
        compressed(b"\x28hello"),
        bad_block,
        "the number of sequences is missing",
    );
    cases.refuse(
        "sequences-reserved",
        compressed(b"\x28hello\x01\x03\0"),
        bad_block,
        "a reserved bit",
    );
    cases.refuse(
        "sequences-without-table",
        compressed(b"\x28hello\x01\xfc\x01"),
        bad_block,
        "the tables of a block before, but there are none",
    );
    let skippable = |length: u32, body: &[u8]| {
        [&[0x50, 0x2a, 0x4d, 0x18][..], &length.to_le_bytes(), body].concat()
    };
    cases.accept(
        "skippable-before",
        [skippable(3, b"abc"), whole.clone()].concat(),
        "skipped",
    );
    cases.accept(
        "skippable-after",
        [whole.clone(), skippable(3, b"abc")].concat(),
        "skipped",
    );
    cases.accept(
        "skippable-empty",
        [skippable(0, b""), whole.clone()].concat(),
        "skipped",
    );
    cases.refuse(
        "skippable-long",
        skippable(u32::MAX, b"abc"),
        "the compressed data is truncated at byte 11",
        "its length leads beyond the end",
    );
    // `printf hello | zstd --check`
    let checked = [
        &ZSTD_MAGIC[..],
        &[4, 0x58],
        &block(true, 0, 5),
        TEXT,
        &[0xa3, 0x6d, 0x9f, 0x88],
    ]
    .concat();
    cases.accept("checksum", &*checked, "of the content");
    for at in 14..18 {
        cases.refuse(
            &format!("checksum-{}", at - 14),
            with(&checked, at, checked[at] ^ 1),
            "the checksum of a zstd frame does not match the data",
            "damaged content",
        );
    }
    cases.refuse(
        "checksum-missing",
        &checked[..14],
        "the compressed data is truncated at byte 14",
        "the header announces it",
    );
    cases.refuse(
        "content",
        with(&checked, 9, b'H'),
        "the checksum of a zstd frame does not match the data",
        "damaged content",
    );
    cases.list
}

/// `printf hello | lzip -0c`: a header of 6 bytes, 15 of LZMA and a trailer of 20.
const LZIP: [u8; 41] = *b"LZIP\x01\x0c\x00\x34\x19\x49\xee\x8e\x68\x21\xff\xff\xff\xb9\xe0\x00\x00\
    \x86\xa6\x10\x36\x05\0\0\0\0\0\0\0\x29\0\0\0\0\0\0\0";

fn lzip() -> Vec<Case> {
    let mut cases = Cases::new("lzip", Reader::Decoder(Compression::Lzip));
    let header = "expected an lzip member of version 1";
    ends(&mut cases, &LZIP, header);
    for at in 0..4 {
        cases.refuse(
            &format!("magic-{at}"),
            with(&LZIP, at, b'X'),
            header,
            "another format",
        );
    }
    cases.refuse(
        "version-0",
        with(&LZIP, 4, 0),
        header,
        "an old version without the member's size",
    );
    cases.refuse("version-2", with(&LZIP, 4, 2), header, "an unknown version");
    let dictionary = "expected an lzip dictionary size from 4 KiB to 512 MiB";
    cases.refuse("dictionary-small", with(&LZIP, 5, 11), dictionary, "2 KiB");
    cases.refuse("dictionary-large", with(&LZIP, 5, 30), dictionary, "1 GiB");
    cases.refuse(
        "dictionary-fraction",
        with(&LZIP, 5, 0x2c),
        dictionary,
        "4 KiB less a sixteenth",
    );
    cases.accept("dictionary-larger", with(&LZIP, 5, 20), "1 MiB for 5 bytes");
    let data = "expected LZMA data";
    cases.refuse(
        "first-byte",
        with(&LZIP, 6, 1),
        data,
        "the range decoder starts with a zero",
    );
    let trailer = |rule: &str, at: usize, field: &str, cases: &mut Cases| {
        let error = format!("the {field} of an lzip member does not match the data");
        cases.refuse(
            rule,
            with(&LZIP, at, LZIP[at] ^ 1),
            error,
            "damaged content",
        );
    };
    for at in 21..25 {
        trailer(&format!("crc-{}", at - 21), at, "CRC-32", &mut cases);
    }
    for at in 25..33 {
        trailer(
            &format!("data-size-{}", at - 25),
            at,
            "data size",
            &mut cases,
        );
    }
    for at in 33..41 {
        trailer(
            &format!("member-size-{}", at - 33),
            at,
            "member size",
            &mut cases,
        );
    }
    cases.refuse(
        "zeros-after",
        [&LZIP[..], &[0; 9]].concat(),
        header,
        "bytes that are no member",
    );
    cases.refuse(
        "half-a-header",
        [&LZIP[..], b"LZI"].concat(),
        "the compressed data is truncated at byte 44",
        "the next member is cut",
    );
    cases.list
}

/// The parts of an xz stream; the cases change one each.
struct Xz {
    flags: [u8; 2],
    /// The block's flags, sizes, filter and dictionary.
    fields: Vec<u8>,
    chunks: Vec<u8>,
    check: Vec<u8>,
    /// Number of blocks according to the index, and the sizes of the one block.
    count: u8,
    sizes: Option<[u8; 2]>,
    backward: u32,
    footer_flags: [u8; 2],
    end: [u8; 2],
}

impl Default for Xz {
    fn default() -> Self {
        let chunks = [&[1, 0, 4], TEXT, &[0]].concat();
        Self {
            flags: [0, 1],
            fields: vec![0, 0x21, 1, 0],
            chunks,
            check: crc32(TEXT).to_vec(),
            count: 1,
            sizes: None,
            backward: 1,
            footer_flags: [0, 1],
            end: *b"YZ",
        }
    }
}

impl Xz {
    fn bytes(&self) -> Vec<u8> {
        let mut out = b"\xfd7zXZ\0".to_vec();
        out.extend(self.flags);
        out.extend(crc32(&self.flags));
        // The header's own length, in words less one, with its checksum.
        let length = (1 + self.fields.len()).next_multiple_of(4) + 4;
        let mut header = vec![u8::try_from(length / 4 - 1).expect("small")];
        header.extend(&self.fields);
        header.resize(length - 4, 0);
        header.extend(crc32(&header));
        out.extend(&header);
        out.extend(&self.chunks);
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend(&self.check);
        let unpadded = header.len() + self.chunks.len() + self.check.len();
        let sizes = [u8::try_from(unpadded).expect("small"), 5];
        let mut index = vec![0, self.count];
        if self.count > 0 {
            index.extend(self.sizes.unwrap_or(sizes));
        }
        index.resize(index.len().next_multiple_of(4), 0);
        index.extend(crc32(&index));
        out.extend(&index);
        let footer = [&self.backward.to_le_bytes()[..], &self.footer_flags].concat();
        out.extend(crc32(&footer));
        out.extend(footer);
        out.extend(self.end);
        out
    }
}

fn xz() -> Vec<Case> {
    let mut cases = Cases::new("xz", Reader::Decoder(Compression::Xz));
    let whole = Xz::default().bytes();
    let header = "expected an xz stream header";
    ends(&mut cases, &whole, header);
    for at in 0..6 {
        cases.refuse(
            &format!("magic-{at}"),
            with(&whole, at, whole[at] ^ 1),
            header,
            "another format",
        );
    }
    cases.refuse(
        "stream-header-crc",
        with(&whole, 8, whole[8] ^ 1),
        header,
        "a damaged header",
    );
    let check = |kind: u8, check: &[u8]| Xz {
        flags: [0, kind],
        footer_flags: [0, kind],
        check: check.to_vec(),
        ..Xz::default()
    };
    cases.accept("check-none", check(0, b"").bytes(), "no checksum");
    let mut hasher = Sha256Hasher::new();
    hasher.update(TEXT);
    cases.accept(
        "check-sha-256",
        check(10, hasher.finish().as_bytes()).bytes(),
        "a checksum",
    );
    let unknown = "this type of check in xz is not supported";
    cases.refuse(
        "check-unknown",
        check(2, &[0; 4]).bytes(),
        unknown,
        "a reserved type of check",
    );
    let reserved = Xz {
        flags: [1, 1],
        footer_flags: [1, 1],
        ..Xz::default()
    };
    cases.refuse(
        "stream-flags-reserved",
        reserved.bytes(),
        unknown,
        "a later version may use it",
    );
    let checked = "the check of an xz block does not match the data";
    cases.refuse(
        "check-wrong",
        check(1, &[0; 4]).bytes(),
        checked,
        "damaged content",
    );
    cases.refuse(
        "check-sha-256-wrong",
        check(10, &[0; 32]).bytes(),
        checked,
        "damaged content",
    );
    let fields = |fields: &[u8]| Xz {
        fields: fields.to_vec(),
        ..Xz::default()
    };
    let malformed = "expected an xz block header";
    let filter = "a filter of xz other than LZMA2 is not supported";
    cases.refuse(
        "block-header-crc",
        with(&whole, 20, whole[20] ^ 1),
        "the CRC-32 of an xz block header does not match the data",
        "a damaged header",
    );
    cases.refuse(
        "filters-2",
        fields(&[1, 3, 1, 0, 0x21, 1, 0]).bytes(),
        filter,
        "xz and Nix write LZMA2 alone",
    );
    cases.refuse(
        "filter-unknown",
        fields(&[0, 0x22, 1, 0]).bytes(),
        filter,
        "no such filter",
    );
    cases.refuse(
        "block-flags-reserved",
        fields(&[4, 0x21, 1, 0]).bytes(),
        filter,
        "a later version may use it",
    );
    cases.refuse(
        "properties-2",
        fields(&[0, 0x21, 2, 0, 0]).bytes(),
        malformed,
        "LZMA2 has one byte of properties",
    );
    cases.refuse(
        "dictionary-reserved",
        fields(&[0, 0x21, 1, 41]).bytes(),
        malformed,
        "sizes end at 4 GiB",
    );
    cases.refuse(
        "header-padding",
        fields(&[0, 0x21, 1, 0, 0, 1]).bytes(),
        malformed,
        "a later version may use it",
    );
    cases.accept(
        "claimed-sizes",
        fields(&[0xc0, 9, 5, 0x21, 1, 0]).bytes(),
        "the sizes of the block",
    );
    let size = "the size of an xz block does not match the data";
    cases.refuse(
        "claimed-packed",
        fields(&[0x40, 8, 0x21, 1, 0]).bytes(),
        size,
        "the header says something else",
    );
    cases.refuse(
        "claimed-unpacked",
        fields(&[0x80, 6, 0x21, 1, 0]).bytes(),
        size,
        "the header says something else",
    );
    cases.refuse(
        "claimed-number-long",
        fields(&[
            0x40, 0x89, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 0x21, 1, 0,
        ])
        .bytes(),
        malformed,
        "numbers have 63 bits",
    );
    let chunks = |chunks: &[u8]| Xz {
        chunks: chunks.to_vec(),
        ..Xz::default()
    };
    let chunk = "expected an LZMA2 chunk";
    cases.refuse(
        "chunk-without-reset",
        chunks(b"\x02\0\x04hello\0").bytes(),
        chunk,
        "the first chunk resets the dictionary",
    );
    cases.refuse(
        "chunk-reserved",
        chunks(b"\x03\0\x04hello\0").bytes(),
        chunk,
        "no such chunk",
    );
    cases.refuse(
        "chunk-without-properties",
        chunks(b"\x80\0\x04\0\x04hello\0").bytes(),
        chunk,
        "the first chunk sets the properties",
    );
    cases.refuse(
        "chunk-properties",
        chunks(b"\xe0\0\x04\0\x04\xe1hello\0").bytes(),
        chunk,
        "pb is at most 4",
    );
    cases.refuse(
        "chunk-lc-lp",
        chunks(b"\xe0\0\x04\0\x04\x2chello\0").bytes(),
        chunk,
        "lc and lp together are at most 4",
    );
    cases.refuse(
        "chunk-content",
        chunks(b"\xe0\0\x04\0\x04\x5dhello\0").bytes(),
        chunk,
        "no LZMA stream",
    );
    let mut dirty = Xz {
        fields: vec![0, 0x21, 1, 0],
        ..Xz::default()
    };
    dirty.chunks = b"\x01\0\x00h\x02\0\x03ello\0".to_vec();
    cases.accept("chunks-2", dirty.bytes(), "two chunks");
    let padding = "expected zeros as padding in xz";
    let block_end = 12 + 12 + Xz::default().chunks.len();
    cases.refuse(
        "block-padding",
        with(&whole, block_end, 1),
        padding,
        "a later version may use it",
    );
    let index = block_end.next_multiple_of(4) + 4;
    let crc = |whole: &[u8]| {
        let mut out = whole.to_vec();
        let crc = crc32(&out[index..index + 4]);
        out[index + 4..index + 8].copy_from_slice(&crc);
        out
    };
    cases.refuse(
        "index-crc",
        with(&whole, index + 4, whole[index + 4] ^ 1),
        "the CRC-32 of the xz index does not match the data",
        "a damaged index",
    );
    let count = "the number of blocks in the xz index does not match the data";
    cases.refuse(
        "index-count-more",
        crc(&with(&whole, index + 1, 2)),
        count,
        "the index says something else",
    );
    cases.refuse(
        "index-count-none",
        Xz {
            count: 0,
            ..Xz::default()
        }
        .bytes(),
        count,
        "the index says something else",
    );
    let sizes = "the sizes in the xz index do not match the data";
    let sizes = sizes.replace("do not", "does not");
    cases.refuse(
        "index-unpadded",
        crc(&with(&whole, index + 2, whole[index + 2] + 1)),
        &*sizes,
        "the index says something else",
    );
    cases.refuse(
        "index-unpacked",
        crc(&with(&whole, index + 3, 6)),
        &*sizes,
        "the index says something else",
    );
    let footer = "expected an xz stream footer";
    let at = index + 8;
    cases.refuse(
        "footer-crc",
        with(&whole, at, whole[at] ^ 1),
        footer,
        "a damaged footer",
    );
    cases.refuse(
        "backward-size",
        Xz {
            backward: 2,
            ..Xz::default()
        }
        .bytes(),
        footer,
        "the index would start elsewhere",
    );
    cases.refuse(
        "footer-flags",
        Xz {
            footer_flags: [0, 4],
            ..Xz::default()
        }
        .bytes(),
        footer,
        "the header says something else",
    );
    cases.refuse(
        "footer-magic",
        Xz {
            end: *b"YX",
            ..Xz::default()
        }
        .bytes(),
        footer,
        "no end of a stream",
    );
    let after = |zeros: usize| [&whole[..], &vec![0; zeros]].concat();
    cases.accept("stream-padding", after(8), "a multiple of four zeros");
    cases.refuse(
        "stream-padding-odd",
        after(6),
        format!(
            "the compressed data is truncated at byte {}",
            whole.len() + 6
        ),
        "no multiple of four",
    );
    cases.accept("no-blocks", no_blocks(), "an empty file");
    cases.list
}

/// A stream without blocks.
fn no_blocks() -> Vec<u8> {
    let mut out = b"\xfd7zXZ\0\0\x01".to_vec();
    out.extend(crc32(&[0, 1]));
    let index = [0, 0, 0, 0];
    out.extend(index);
    out.extend(crc32(&index));
    let footer = [1, 0, 0, 0, 0, 1];
    out.extend(crc32(&footer));
    out.extend(footer);
    out.extend(b"YZ");
    out
}
