use super::*;
use crate::dedup::cut::tests::{content, seeded};
use std::vec;
use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd::zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer};

/// Returns the output of one flush of a frame with one worker.
fn flush(context: &mut CCtx<'_>, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(zstd::zstd_safe::compress_bound(bytes.len()) + 1024);
    let mut input = InBuffer::around(bytes);
    let mut output = OutBuffer::around(&mut out);
    let directive = ZSTD_EndDirective::ZSTD_e_flush;
    while context
        .compress_stream2(&mut output, &mut input, directive)
        .unwrap()
        > 0
    {}
    out
}

/// Compresses a piece with libzstd's public interface. The second job of a frame starts without
/// repeat offsets.
pub(in crate::dedup) fn compress(bytes: &[u8], level: i32) -> Vec<u8> {
    let mut context = CCtx::create();
    for parameter in [
        CParameter::CompressionLevel(level),
        CParameter::NbWorkers(1),
        CParameter::OverlapSizeLog(1),
    ] {
        context.set_parameter(parameter).unwrap();
    }
    flush(&mut context, b"-");
    flush(&mut context, bytes)
}

/// Generates text with repeats.
fn text(seed: u64, length: usize) -> Vec<u8> {
    let words = [
        "store", "item ", "glibc", " lib", "/bin", "\n", "share", "-2.39",
    ];
    let pick = seeded(seed, length);
    let words = pick.iter().map(|byte| words[usize::from(*byte) % 8]);
    words.flat_map(str::bytes).take(length).collect()
}

/// Returns the plain bytes of [`DISTURBANCE`]: letters of which some are frequent, and matches at
/// three far offsets that a fresh decoder doesn't know.
fn disturbing() -> Vec<u8> {
    let skewed = |(one, other): (&u8, &u8)| b'a' + (one & other & 15);
    let (one, other) = (seeded(5, 300), seeded(6, 300));
    let mut plain: Vec<u8> = one.iter().zip(&other).map(skewed).collect();
    for start in [17, 101, 203] {
        plain.extend_from_slice(b"-+-");
        plain.extend_from_within(start..start + 40);
    }
    plain
}

fn frame(pieces: &[&[u8]]) -> Vec<u8> {
    [&HEADER, &pieces.concat()[..], &TAIL].concat()
}

/// Returns contents of every type: without repeats, one byte repeated, text, more than a block,
/// more matches than a window holds.
fn contents() -> Vec<Vec<u8>> {
    vec![
        vec![1],
        vec![0; 300_000],
        b"zzzzzzzzzzzz, abcdabcdabcdabcd".to_vec(),
        content(200_000),
        text(1, 5000),
        text(2, 400_000),
    ]
}

#[test]
fn pieces_in_any_order_form_one_frame() {
    let contents = contents();
    for level in [1, 3, 9, 19] {
        let pieces: Vec<_> = contents
            .iter()
            .map(|bytes| compress(bytes, level))
            .collect();
        let mut order: Vec<usize> = (0..pieces.len()).chain((0..pieces.len()).rev()).collect();
        order.push(0);
        let frame = frame(&order.iter().map(|n| &pieces[*n][..]).collect::<Vec<_>>());
        let plain: Vec<u8> = order.iter().flat_map(|n| contents[*n].clone()).collect();
        // Decode with libzstd, which reads exactly one frame here, and with our decoder, which uses
        // ruzstd.
        let mut first = zstd::Decoder::new(&frame[..]).unwrap().single_frame();
        let mut decoded = vec![];
        std::io::Read::read_to_end(&mut first, &mut decoded).unwrap();
        assert!(decoded == plain, "level {level}");
        let joined = order
            .iter()
            .flat_map(|n| pieces[*n].clone())
            .collect::<Vec<_>>();
        assert!(decode(&joined, plain.len() as u32) == Ok(plain));
    }
}

#[test]
fn each_piece_is_decoded_alone_and_independent() {
    for bytes in contents() {
        for level in [1, 9, 19] {
            let (piece, length) = (compress(&bytes, level), bytes.len() as u32);
            assert_eq!(check(&piece), Ok(()));
            assert!(decode(&piece, length) == Ok(bytes.clone()));
            assert_eq!(is_independent(&piece, length), Ok(true));
            let shorter = decode(&piece, length - 1);
            assert_eq!(
                shorter,
                Err(DecompressError::OutputLimit {
                    limit: u64::from(length) - 1
                }
                .into())
            );
            assert_eq!(
                decode(&piece, length + 1),
                Err(FrameError::Length(bytes.len()))
            );
        }
    }
}

#[test]
fn the_disturbance_decodes_to_its_plain_bytes() {
    assert_eq!(
        decode(&DISTURBANCE, DISTURBANCE_LENGTH as u32),
        Ok(disturbing())
    );
    assert_eq!(
        is_independent(&DISTURBANCE, DISTURBANCE_LENGTH as u32),
        Ok(true)
    );
}

/// Fresh repeat offsets are 1, 4 and 8, so a frame that starts with such repeats uses them.
#[test]
fn a_stripped_frame_that_uses_fresh_offsets_is_not_independent() {
    let encode = |bytes: &[u8]| strip(&zstd::encode_all(bytes, 19).unwrap()).unwrap();
    let repeats = b"zzzzzzzzzzzz, abcdabcdabcdabcd, or so";
    let piece = encode(repeats);
    let length = repeats.len() as u32;
    assert_eq!(decode(&piece, length).as_deref(), Ok(&repeats[..]));
    assert_eq!(is_independent(&piece, length), Ok(false));
    // Bytes that don't compress are raw blocks, which depend on nothing.
    let bytes = content(300_000);
    assert_eq!(is_independent(&encode(&bytes), 300_000), Ok(true));
}

#[test]
fn every_type_of_header_is_stripped() {
    let bytes = text(3, 300_000);
    let mut checked = zstd::Encoder::new(vec![], 3).unwrap();
    checked.include_checksum(true).unwrap();
    std::io::Write::write_all(&mut checked, &bytes).unwrap();
    let streamed = checked.finish().unwrap();
    // Without a size, and with a size of four, two and one bytes.
    let mut frames = vec![(streamed, 300_000)];
    for length in [300_000, 3000, 30] {
        let frame = zstd::bulk::compress(&bytes[..length], 3).unwrap();
        frames.push((frame, length));
    }
    for (frame, length) in frames {
        let piece = strip(&frame).unwrap();
        assert!(decode(&piece, length as u32).as_deref() == Ok(&bytes[..length]));
        let end = frame.len();
        assert_eq!(
            strip(&[&frame[..], b"x"].concat()),
            Err(FrameError::Trailing { at: end })
        );
        for cut in [0, 3, 4, 5, 6, end - 5, end - 1] {
            assert!(strip(&frame[..cut]).is_err(), "{cut}");
        }
    }
}

#[test]
fn malformed_pieces_give_exact_errors() {
    let raw = b"\x28\0\0hello";
    assert_eq!(check(b""), Err(FrameError::Empty));
    for cut in 1..raw.len() {
        assert_eq!(check(&raw[..cut]), Err(FrameError::Truncated { at: 0 }));
    }
    assert_eq!(
        check(&[&raw[..], &TAIL].concat()),
        Err(FrameError::Last { at: 8 })
    );
    assert_eq!(check(b"\x06\0\0"), Err(FrameError::Reserved { at: 0 }));
    assert_eq!(check(b"\x08\0\x10"), Err(FrameError::TooLong { at: 0 }));
    // The longest valid block: 128 KiB of one byte.
    assert_eq!(check(b"\x02\0\x10x"), Ok(()));
    assert_eq!(decode(b"\x02\0\x10x", 128 << 10), Ok(vec![b'x'; 128 << 10]));
    let malformed = decode(b"\x2c\0\0hello", 5);
    assert!(matches!(
        malformed,
        Err(FrameError::Decode(DecompressError::Malformed { .. }))
    ));
}

#[test]
fn frames_that_can_not_become_pieces_are_refused() {
    // A dictionary, the reserved bit, a window of 16 MiB, a content of 9 MiB in one segment.
    for start in [&b"\x01"[..], b"\x08", b"\0\x70", b"\xa0\0\0\x90\0"] {
        let frame = [b"\x28\xb5\x2f\xfd", start, b"\x29\0\0hello"].concat();
        assert_eq!(strip(&frame), Err(FrameError::Header));
    }
    assert_eq!(
        strip(b"\x28\xb5\x2f\xfe\x20\x05\x29\0\0hello"),
        Err(FrameError::Header)
    );
}
