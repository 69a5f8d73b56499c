//! CARs: the items don't depend on where the stream is cut.
#![no_main]

use bytes::Bytes;
use interplanar_core::car::{Item, Reader};
use libfuzzer_sys::fuzz_target;

fn read(car: &[u8], piece: usize) -> (Vec<Item>, bool) {
    let (mut reader, mut items) = (Reader::new(), Vec::new());
    for piece in car.chunks(piece) {
        let mut input = Bytes::copy_from_slice(piece);
        loop {
            match reader.push(&mut input) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(_) => return (items, false),
            }
        }
    }
    (items, reader.finish().is_ok())
}

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, car) = input;
    let whole = read(car, usize::MAX);
    let cut = read(car, usize::from(piece) + 1);
    assert_eq!(whole, cut);
});
