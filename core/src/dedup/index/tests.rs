use super::*;
use crate::block::Block;
use crate::dag_cbor::{put_array, put_bytes, put_map, put_text, put_uint};
use crate::dedup::cut::Sizes;
use std::format;
use std::vec;

fn piece(n: u32, compressed: u32) -> PieceEntry {
    let leaf = |part: usize| Sha256::of(format!("{n} {part}").as_bytes());
    PieceEntry {
        offset: 0,
        length: n % MAX_PIECE + 1,
        compressed,
        plain: Sha256::of(&n.to_le_bytes()),
        leaves: (0..super::leaves(compressed)).map(leaf).collect(),
    }
}

fn build(pieces: impl IntoIterator<Item = PieceEntry>) -> (Vec<Block>, Cid, Vec<PieceEntry>) {
    let (mut blocks, mut all, mut offset) = (vec![], vec![], 0);
    let mut builder = IndexBuilder::new(Parameters::SMALL);
    for piece in pieces {
        all.push(PieceEntry {
            offset,
            ..piece.clone()
        });
        offset += u64::from(piece.length);
        builder.add(piece, &mut |block| blocks.push(block));
    }
    let root = builder.finish(&mut |block| blocks.push(block));
    (blocks, root, all)
}

fn read(blocks: &[Block]) -> Vec<PieceEntry> {
    let (root, parts) = blocks.split_last().unwrap();
    match Index::decode(root.data()).unwrap().body {
        IndexBody::Pieces(pieces) => pieces,
        IndexBody::Parts(all) => {
            assert!(
                all.iter()
                    .map(|part| &part.cid)
                    .eq(parts.iter().map(Block::cid))
            );
            let pieces = all.iter().zip(parts);
            pieces
                .flat_map(|(part, block)| part.decode(block.data()).unwrap())
                .collect()
        }
    }
}

#[test]
fn an_index_of_any_length_reads_back() {
    for count in [0, 1, 23, 24, 4096, 4097, 9000] {
        let (blocks, root, all) = build((0..count).map(|n| piece(n, n + 1)));
        assert_eq!(
            blocks.len(),
            1 + if count > 4096 {
                (count as usize).div_ceil(4096)
            } else {
                0
            }
        );
        assert_eq!(blocks.last().map(Block::cid), Some(&root));
        assert_eq!(read(&blocks), all);
        let index = Index::decode(blocks.last().unwrap().data()).unwrap();
        assert_eq!(index.nar_size, all.last().map_or(0, PieceEntry::end));
        assert_eq!(index.parameters, Parameters::SMALL);
        assert_eq!(*index.encode().cid(), root);
    }
}

#[test]
fn no_block_is_longer_than_a_leaf() {
    let longest = PieceEntry {
        length: MAX_PIECE,
        ..piece(1, MAX_COMPRESSED)
    };
    assert_eq!(longest.leaves.len(), 5);
    let (blocks, _, all) = build(core::iter::repeat_n(longest, 2 * MAX_PIECES));
    assert!(blocks.iter().all(|block| block.data().len() < MAX_LEAF));
    assert_eq!(read(&blocks), all);
}

/// Encodes an index without checks, so also malformed ones.
struct RawIndex {
    numbers: [u64; 8],
    size: u64,
    key: &'static [u8],
    version: u64,
    pieces: Vec<(u64, u64, usize)>,
}

impl RawIndex {
    fn new() -> Self {
        let p = Parameters::LARGE;
        let sizes = |s: Sizes| [s.min, s.average, s.max].map(u64::from);
        let ([a, b, c], [d, e, f]) = (sizes(p.file()), sizes(p.group()));
        Self {
            numbers: [p.threshold().into(), p.join().into(), a, b, c, d, e, f],
            size: 30,
            key: b"pieces",
            version: 1,
            pieces: vec![(10, 5, 32), (20, (1 << 20) + 1, 64)],
        }
    }

    fn decode(&self) -> Result<Index, IndexError> {
        let out = &mut vec![];
        put_map(4, out);
        put_text(b"cut", out);
        put_array(8, out);
        self.numbers
            .iter()
            .for_each(|number| put_uint(*number, out));
        put_text(b"size", out);
        put_uint(self.size, out);
        put_text(self.key, out);
        put_array(self.pieces.len(), out);
        for (length, compressed, leaves) in &self.pieces {
            put_array(4, out);
            put_uint(*length, out);
            put_uint(*compressed, out);
            put_bytes(&[1; 32], out);
            put_bytes(&vec![2; *leaves], out);
        }
        put_text(b"version", out);
        put_uint(self.version, out);
        Index::decode(out)
    }
}

#[test]
fn contradictory_numbers_are_errors() {
    assert!(RawIndex::new().decode().is_ok());
    let with = |change: fn(&mut RawIndex)| {
        let mut index = RawIndex::new();
        change(&mut index);
        index.decode().unwrap_err()
    };
    assert_eq!(
        with(|d| d.size = 31),
        IndexError::Size {
            pieces: 30,
            expected: 31
        }
    );
    assert_eq!(with(|d| d.version = 2), IndexError::Version { version: 2 });
    assert_eq!(with(|d| d.numbers[4] = 0), IndexError::Parameters);
    assert_eq!(with(|d| d.numbers[4] = 1 << 32), IndexError::Parameters);
    assert_eq!(with(|d| d.numbers[0] = u64::MAX), IndexError::Parameters);
    for (index, change) in [
        (0, (|d| d.pieces[0].0 = 0) as fn(&mut RawIndex)),
        (0, |d| d.pieces[0].0 = u64::from(MAX_PIECE) + 1),
        (0, |d| d.pieces[0].1 = 0),
        (1, |d| d.pieces[1].1 = u64::from(MAX_COMPRESSED) + 1),
        (1, |d| d.pieces[1].0 = u64::MAX),
        // One leaf too many, one too few, none.
        (0, |d| d.pieces[0].2 = 64),
        (1, |d| d.pieces[1].2 = 32),
        (0, |d| d.pieces[0].2 = 0),
    ] {
        assert_eq!(with(change), IndexError::Piece { index });
    }
    let half = with(|d| d.pieces[0].2 = 31);
    assert!(matches!(
        half,
        IndexError::Unexpected {
            expected: "the SHA-256 of leaves",
            ..
        }
    ));
    let many = with(|d| d.pieces = vec![(1, 1, 32); 4097]);
    assert_eq!(many, IndexError::Count { count: 4097 });
    let other = with(|d| d.key = b"chunks");
    assert!(matches!(other, IndexError::Unexpected { .. }));
}

#[test]
fn contradictory_parts_are_errors() {
    let (blocks, _, _) = build((0..5000).map(|n| piece(n, 7)));
    let IndexBody::Parts(parts) = Index::decode(blocks[2].data()).unwrap().body else {
        panic!("parts")
    };
    let (part, block) = (parts[1], blocks[1].data());
    assert!(part.decode(block).is_ok());
    let longer = IndexPart {
        length: part.length + 1,
        ..part
    };
    let pieces = part.length;
    assert_eq!(
        longer.decode(block),
        Err(IndexError::Size {
            pieces,
            expected: pieces + 1
        })
    );
    let fewer = IndexPart {
        pieces: part.pieces - 1,
        ..part
    };
    assert_eq!(fewer.decode(block), Err(IndexError::Count { count: 904 }));
    let beyond = IndexPart {
        offset: u64::MAX - 10,
        ..part
    };
    assert!(matches!(
        beyond.decode(block),
        Err(IndexError::Piece { .. })
    ));
    let root = |count: u32| Index {
        parameters: Parameters::LARGE,
        nar_size: u64::MAX,
        body: IndexBody::Parts(vec![IndexPart {
            length: u64::MAX,
            pieces: count,
            ..part
        }]),
    };
    assert!(Index::decode(root(1).encode().data()).is_ok());
    for count in [0, 4097] {
        let error = IndexError::Count {
            count: count.into(),
        };
        assert_eq!(Index::decode(root(count).encode().data()), Err(error));
    }
    let mut twice = root(1);
    twice.body = IndexBody::Parts(vec![
        IndexPart {
            length: u64::MAX,
            ..part
        };
        2
    ]);
    assert_eq!(
        Index::decode(twice.encode().data()),
        Err(IndexError::Piece { index: 1 })
    );
}

/// A truncation, a flipped bit or a further byte gives an error or another index, but never the
/// same one.
#[test]
fn each_index_has_a_single_form() {
    let (blocks, _, _) = build((0..3).map(|n| piece(n, 7)));
    let bytes = blocks[0].data();
    let whole = Index::decode(bytes).unwrap();
    for end in 0..bytes.len() {
        assert!(
            matches!(
                Index::decode(&bytes[..end]),
                Err(IndexError::Unexpected { .. })
            ),
            "{end}"
        );
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(index) = Index::decode(&flipped) {
            assert_ne!(index, whole, "{bit}");
            assert_eq!(index.encode().data(), &flipped, "{bit}");
        }
    }
    let longer = [bytes, &[0][..]].concat();
    let at = bytes.len();
    assert_eq!(
        Index::decode(&longer),
        Err(IndexError::Unexpected {
            at,
            expected: "the end of the block"
        })
    );
}

/// The length that a list claims allocates nothing.
#[test]
fn no_memory_is_allocated_for_claimed_lengths() {
    let mut bytes = vec![];
    put_array(4096, &mut bytes);
    let part = IndexPart {
        cid: *Block::raw("x".into()).cid(),
        offset: 0,
        length: 1,
        pieces: 4096,
    };
    let expected = "a list of two lengths, a digest and leaves";
    assert_eq!(
        part.decode(&bytes),
        Err(IndexError::Unexpected { at: 3, expected })
    );
    let endless = [0x9b, 255, 255, 255, 255, 255, 255, 255, 255];
    assert_eq!(
        part.decode(&endless),
        Err(IndexError::Count { count: u64::MAX })
    );
}
