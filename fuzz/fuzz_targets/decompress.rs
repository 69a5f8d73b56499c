//! Every decoder: the output stays within its limit, and doesn't depend on where the input is cut.
#![no_main]

use interplanar_core::decompress::{Decoder, Limits};
use interplanar_core::narinfo::Compression;
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits {
    max_output: 1 << 20,
    max_window: 1 << 20,
};

fn decode(compression: Compression, input: &[u8], piece: usize) -> Option<Vec<u8>> {
    let mut decoder = Decoder::new(compression, LIMITS).expect("a method with a decoder");
    let mut out = Vec::new();
    for mut piece in input.chunks(piece) {
        while !piece.is_empty() {
            let before = (piece.len(), out.len());
            decoder.push(&mut piece, &mut out).ok()?;
            assert!(out.len() as u64 <= LIMITS.max_output);
            assert_ne!((piece.len(), out.len()), before, "a push makes progress");
        }
    }
    while !decoder.finish(&mut out).ok()? {
        assert!(out.len() as u64 <= LIMITS.max_output);
    }
    Some(out)
}

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (method, piece, input) = input;
    let methods = [
        Compression::Gzip,
        Compression::Zstd,
        Compression::Lzip,
        Compression::Xz,
    ];
    let compression = methods[usize::from(method) % methods.len()];
    let whole = decode(compression, input, usize::MAX);
    assert_eq!(whole, decode(compression, input, usize::from(piece) + 1));
});
