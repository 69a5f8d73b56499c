//! Chunk indexes: an accepted index has one encoding, and covers its NAR without a gap.
#![no_main]

use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::dedup::{Index, IndexBody, PieceLocation, PieceMap};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(index) = Index::decode(data) else {
        return;
    };
    assert_eq!(index.encode().data(), data, "an index has one encoding");
    let root = Block::raw(Bytes::copy_from_slice(data));
    let map = PieceMap::new(&root, index.nar_size).expect("the same index");
    let mut at = 0;
    while at < index.nar_size {
        let end = match (map.place(at), &index.body) {
            (Some(PieceLocation::Piece(piece)), _) => piece.end(),
            (Some(PieceLocation::Part(cid)), IndexBody::Parts(parts)) => {
                let part = parts
                    .iter()
                    .find(|part| part.cid == cid && part.offset + part.length > at);
                let part = part.expect("one of its parts");
                drop(part.decode(data));
                part.offset + part.length
            }
            (place, _) => panic!("{place:?} at {at}"),
        };
        assert!(end > at);
        at = end;
    }
    assert_eq!(map.place(at), None);
});
