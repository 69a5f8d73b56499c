//! CARs with a block whose bytes are not what its CID names. Whoever verifies them refuses them.

use interplanar_core::block::Block;
use interplanar_core::car;
use interplanar_core::cid::{Cid, Version};

/// Name of the fault, CID, and bytes that came for it.
#[must_use]
pub fn blocks() -> Vec<(&'static str, Cid, Vec<u8>)> {
    let raw = Block::raw("the right bytes\n".into());
    let node = Block::dag_pb("a node\n".into(), Version::V0);
    let document = Block::dag_cbor(bytes::Bytes::from_static(b"\xa1aa\x01"));
    let (empty, data) = (Block::raw("".into()), raw.data().to_vec());
    let mut flipped = data.clone();
    flipped[3] ^= 1;
    vec![
        ("one bit differs", *raw.cid(), flipped),
        (
            "the last byte is missing",
            *raw.cid(),
            data[..data.len() - 1].to_vec(),
        ),
        ("a byte too many", *raw.cid(), [&data[..], b"\n"].concat()),
        ("nothing", *raw.cid(), Vec::new()),
        ("something for nothing", *empty.cid(), data.clone()),
        ("the block of another CID", *node.cid(), data),
        (
            "a document that reads the same",
            *document.cid(),
            b"\xa1aa\x18\x01".to_vec(),
        ),
    ]
}

/// The CAR of one of them.
#[must_use]
pub fn car(cid: &Cid, data: &[u8]) -> Vec<u8> {
    let mut out = car::header(&[*cid]);
    out.extend(car::block_prefix(cid, data.len()));
    out.extend_from_slice(data);
    out
}
