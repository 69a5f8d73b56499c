use super::*;
use crate::block::Block;
use crate::cid::{Cid, Version};
use crate::unixfs::{self, Builder, DirectoryBuilder, Profile};
use alloc::vec::Vec;
use alloc::{format, vec};
use bytes::Bytes;
use sha2::{Digest, Sha512};

/// Blocks of [`built_here`].
const BUILT: usize = 362;

/// A CAR that Kubo wrote.
fn written_by_kubo() -> Bytes {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/fixtures/kubo-0.43.0/shapes.car"
    );
    Bytes::from(std::fs::read(path).unwrap())
}

/// Blocks of every kind, built here: files of both versions of CIDs, a sharded directory, symlinks, a document, and a SHA-512.
fn built_here() -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut sink = |block| blocks.push(block);
    let content: Vec<u8> = (0..6000_u32).flat_map(u32::to_le_bytes).collect();
    for (cid_version, raw_leaves) in [
        (Version::V0, false),
        (Version::V0, true),
        (Version::V1, false),
        (Version::V1, true),
    ] {
        let mut builder = Builder::new(Profile {
            chunk: 1000,
            cid_version,
            raw_leaves,
            links: 5,
        });
        builder.push(&content, &mut sink);
        builder.finish(&mut sink);
        unixfs::symlink(b"../content", cid_version, &mut sink);
    }
    // Names that are long enough for Kubo's limit of a plain directory.
    let mut directory = DirectoryBuilder::new(Version::V1);
    let leaf = Block::raw(Bytes::from_static(b"leaf"));
    for number in 0..1000 {
        directory.add(format!("{number:0>240}").into(), *leaf.cid(), 4);
    }
    directory.finish(&mut sink).unwrap();
    sink(leaf);
    sink(Block::raw(Bytes::new()));
    sink(Block::raw(vec![b'x'; 1 << 20].into()));
    sink(Block::dag_cbor(Bytes::from_static(b"\xa1dkeysevalue")));
    let data = Bytes::from_static(b"hello\n");
    let cid = [&[1, 0x55, 0x13, 64][..], &Sha512::digest(&data)].concat();
    sink(Block::verify(Cid::try_from(&cid[..]).unwrap(), data).unwrap());
    blocks
}

/// The CAR of [`built_here`]; its root is the first block.
fn written_here() -> Bytes {
    let blocks = built_here();
    let roots = vec![*blocks[0].cid()];
    let mut items = vec![Item::Header { roots }];
    items.extend(
        blocks
            .into_iter()
            .map(Block::into_parts)
            .map(|(cid, data)| Item::Block { cid, data }),
    );
    Bytes::from(write(&items))
}

/// Reads all items of a stream that arrives in these pieces.
fn read(pieces: impl IntoIterator<Item = Bytes>) -> Result<Vec<Item>, CarError> {
    let (mut reader, mut items) = (Reader::new(), Vec::new());
    for mut piece in pieces {
        while let Some(item) = reader.push(&mut piece)? {
            items.push(item);
        }
        assert!(piece.is_empty());
    }
    reader.finish()?;
    Ok(items)
}

fn write(items: &[Item]) -> Vec<u8> {
    let mut out = Vec::new();
    for item in items {
        match item {
            Item::Header { roots } => out.extend(header(roots)),
            Item::Block { cid, data } => {
                out.extend(block_prefix(cid, data.len()));
                out.extend(data);
            }
        }
    }
    out
}

/// A CAR with two roots (one of version 0) and blocks of 0, 5 and 200 bytes.
fn sample() -> (Vec<Item>, Bytes) {
    let blocks = [
        Block::raw(Bytes::new()),
        Block::raw(Bytes::from_static(b"hello")),
        Block::dag_pb(Bytes::from(vec![7; 200]), Version::V0),
    ];
    let roots = vec![*blocks[2].cid(), *blocks[1].cid()];
    let mut items = vec![Item::Header { roots }];
    items.extend(
        blocks
            .map(Block::into_parts)
            .map(|(cid, data)| Item::Block { cid, data }),
    );
    let stream = Bytes::from(write(&items));
    (items, stream)
}

#[test]
fn cars_of_kubo_and_ours_are_read_whole_and_verify_and_are_written_back_byte_for_byte() {
    for (stream, count) in [(written_by_kubo(), 94), (written_here(), BUILT + 1)] {
        let items = read([stream.clone()]).unwrap();
        assert_eq!(items.len(), count);
        for item in &items[1..] {
            let Item::Block { cid, data } = item else {
                panic!("a second header")
            };
            Block::verify(*cid, data.clone()).unwrap();
        }
        assert_eq!(write(&items), stream);
    }
    let blocks = built_here();
    let items = read([written_here()]).unwrap();
    for (block, item) in blocks.iter().zip(&items[1..]) {
        let (cid, data) = block.clone().into_parts();
        assert_eq!(*item, Item::Block { cid, data });
    }
}

#[test]
fn a_block_inside_one_piece_is_not_copied() {
    let (_, stream) = sample();
    let inside = |data: &Bytes| stream.as_ptr_range().contains(&data.as_ptr());
    for item in read([stream.clone()]).unwrap() {
        if let Item::Block { data, .. } = item {
            assert!(data.is_empty() || inside(&data));
        }
    }
}

#[test]
fn any_split_gives_the_same_items() {
    let (items, stream) = sample();
    for at in 0..=stream.len() {
        assert_eq!(
            read([stream.slice(..at), stream.slice(at..)]).unwrap(),
            items
        );
    }
    let single = (0..stream.len()).map(|at| stream.slice(at..=at));
    assert_eq!(read(single).unwrap(), items);
    for whole in [written_by_kubo(), written_here()] {
        let pieces = (0..whole.len())
            .step_by(1000)
            .map(|at| whole.slice(at..whole.len().min(at + 1000)));
        assert_eq!(read(pieces), read([whole.clone()]));
    }
}

#[test]
fn every_truncation_that_cuts_something_is_an_error() {
    let (items, stream) = sample();
    let ends: Vec<usize> = (1..=items.len())
        .map(|n| write(&items[..n]).len())
        .collect();
    for at in 0..stream.len() {
        let result = read([stream.slice(..at)]);
        match ends.iter().position(|end| *end == at) {
            Some(n) => assert_eq!(result.unwrap(), items[..=n]),
            None => assert_eq!(result, Err(CarError::Truncated { offset: at as u64 })),
        }
    }
}

#[test]
fn hostile_lengths_are_refused_before_anything_is_buffered() {
    let (_, stream) = sample();
    let head = header(&[]);
    let after = |tail: &[u8]| read([Bytes::from([&head[..], tail].concat())]);
    let offset = head.len() as u64;
    assert_eq!(after(&[0]), Err(CarError::EmptySection { offset }));
    assert_eq!(after(&[0x80, 0]), Err(CarError::Varint { offset }));
    assert_eq!(after(&[0xff; 9]), Err(CarError::Varint { offset }));
    assert_eq!(
        after(&[0xff, 0xff, 0xff, 0x7f]),
        Err(CarError::BlockTooLarge { offset })
    );
    assert_eq!(
        after(&[3, 1, 0x55, 0x12]),
        Err(CarError::Cid { offset: offset + 1 })
    );
    assert_eq!(
        after(&[2, b'<', b'h']),
        Err(CarError::Cid { offset: offset + 1 })
    );
    assert_eq!(
        read([Bytes::from_static(&[0])]),
        Err(CarError::HeaderLength { offset: 0 })
    );
    assert_eq!(
        read([Bytes::from_static(&[0x81, 0x80, 2])]),
        Err(CarError::HeaderLength { offset: 0 })
    );
    let mut reader = Reader::new();
    assert!(reader.push(&mut Bytes::from_static(&[0])).is_err());
    assert_eq!(reader.push(&mut stream.clone()), Err(CarError::Poisoned));
    assert_eq!(reader.finish(), Err(CarError::Poisoned));
}

#[test]
fn a_block_of_the_largest_size_is_read_and_one_byte_more_is_not() {
    let block = |len| {
        let cid = *Block::raw(Bytes::new()).cid();
        let items = [
            Item::Header { roots: Vec::new() },
            Item::Block {
                cid,
                data: vec![0; len].into(),
            },
        ];
        read([Bytes::from(write(&items))])
    };
    assert!(block(MAX_BLOCK).is_ok());
    let offset = header(&[]).len() as u64;
    assert_eq!(
        block(MAX_BLOCK + 1),
        Err(CarError::BlockTooLarge { offset })
    );
}

#[test]
fn headers_of_other_shapes_are_refused_with_their_offset() {
    let parse = |cbor: &[u8]| read([Bytes::from([&[cbor.len() as u8], cbor].concat())]);
    let wrong = |offset, expected| Err(CarError::Header { offset, expected });
    assert_eq!(
        parse(b"\xa1gversion\x02"),
        Err(CarError::Version { version: 2 })
    );
    assert_eq!(parse(b"\xa1gversion\x01"), wrong(11, "the key \"roots\""));
    assert_eq!(parse(b"<html>"), wrong(1, "a map of roots and version"));
    assert_eq!(
        parse(b"\xbferoots\x80gversion\x01\xff"),
        wrong(1, "a map of roots and version")
    );
    assert_eq!(
        parse(b"\xa2gversion\x01eroots\x80"),
        wrong(2, "the key \"roots\"")
    );
    assert_eq!(
        parse(b"\xa2eroots\x80gversion\x18\x01"),
        wrong(17, "a version")
    );
    assert_eq!(
        parse(b"\xa2eroots\x80gversion\x03"),
        Err(CarError::Version { version: 3 })
    );
    assert_eq!(
        parse(b"\xa2eroots\x80gversion\x01\x00"),
        wrong(18, "the end of the header")
    );
    assert_eq!(
        parse(b"\xa2eroots\x81\xd8\x2a\x43\x01\x55\x00gversion\x01"),
        wrong(9, "a link (tag 42, a zero byte and a CID)")
    );
    assert_eq!(
        parse(b"\xa2eroots\x99\x04\x01"),
        Err(CarError::TooManyRoots { offset: 8 })
    );
    assert!(parse(b"\xa2eroots\x80gversion\x01").is_ok());
}

#[test]
fn cids_of_both_versions_keep_their_bytes_and_other_hashes_are_accepted() {
    let (items, _) = sample();
    let Item::Header { roots } = &items[0] else {
        panic!()
    };
    assert_eq!(roots[0].version(), Version::V0);
    let sha512 = [&[1, 0x55, 0x13, 64][..], &[9; 64]].concat();
    let cid = Cid::try_from(&sha512[..]).unwrap();
    let items = [
        Item::Header { roots: vec![cid] },
        Item::Block {
            cid,
            data: Bytes::from_static(b"x"),
        },
    ];
    assert_eq!(read([Bytes::from(write(&items))]).unwrap(), items);
    assert_eq!(
        format!("{}", CarError::Poisoned),
        "the CAR reader stopped at an earlier error"
    );
}
