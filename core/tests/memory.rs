//! The memory that decoders and parsers take while they read hostile lengths, counted by the
//! allocator. A length in the input must never decide how much is reserved.

use interplanar_core::car;
use interplanar_core::decompress::{Decoder, DecompressError, Limits, MAX_STEP, MAX_TABLES, STEP};
use interplanar_core::dedup::{Index, IndexError};
use interplanar_core::nar;
use interplanar_core::narinfo::{Compression, NarInfo};
use interplanar_core::signature::guix::Acl;
use peak_alloc::PeakAlloc;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The window that the tests allow.
const WINDOW: usize = 1 << 20;
/// Limits of an item whose size nobody signed.
const LARGE: Limits = Limits {
    max_output: 1 << 40,
    max_window: WINDOW as u64,
};
/// Limits of a small item: data with any window is accepted, because the output bounds it.
const SMALL: Limits = Limits {
    max_output: WINDOW as u64,
    max_window: WINDOW as u64,
};

/// Lets one test run at a time, because the allocator counts the whole process.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work` and returns its result, and the most bytes that it had allocated at a time.
fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let result = work();
    (result, MEMORY.peak_usage().saturating_sub(before))
}

/// Decodes the pieces of an input, drops the output and returns its length.
fn decode(method: Compression, limits: Limits, pieces: &[&[u8]]) -> Result<u64, DecompressError> {
    let mut decoder = Decoder::new(method, limits)?;
    let mut out = Vec::new();
    for piece in pieces {
        let mut piece = *piece;
        while !piece.is_empty() {
            decoder.push(&mut piece, &mut out)?;
            out.clear();
        }
    }
    while !decoder.finish(&mut out)? {
        out.clear();
    }
    Ok(decoder.produced())
}

/// The most that a decoder may take under the limits of this file, with its output. A vector that
/// grows holds its old and its new bytes.
const DECODER: usize = 3 * WINDOW + MAX_TABLES + 2 * (STEP + MAX_STEP);

/// Asserts the result for the whole input and for every split, and that no decoder takes more
/// memory than the limit.
fn assert_bounded(
    name: &str,
    method: Compression,
    limits: Limits,
    input: &[u8],
    expected: &Result<u64, DecompressError>,
) {
    for cut in 0..=input.len() {
        let (head, tail) = input.split_at(cut);
        let (result, bytes) = peak(|| decode(method, limits, &[head, tail]));
        assert_eq!(result, *expected, "{name}, cut at {cut}");
        assert!(bytes <= DECODER, "{name}, cut at {cut}: {bytes} bytes");
    }
    let each: Vec<&[u8]> = input.chunks(1).collect();
    let (result, bytes) = peak(|| decode(method, limits, &each));
    assert_eq!(result, *expected, "{name}, byte by byte");
    assert!(bytes <= DECODER, "{name}, byte by byte: {bytes} bytes");
}

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// A frame with a window of 1 KiB and no content.
const EMPTY: &[u8] = b"\x28\xb5\x2f\xfd\0\0\x01\0\0";

/// Makes a zstd frame from its header, after the magic number, and its blocks.
fn frame(header: &[u8], blocks: &[u8]) -> Vec<u8> {
    [&MAGIC, header, blocks].concat()
}

/// Makes the header of a zstd block.
fn block(last: bool, kind: u32, size: u32) -> [u8; 3] {
    let [a, b, c, _] = (u32::from(last) | kind << 1 | size << 3).to_le_bytes();
    [a, b, c]
}

#[test]
fn every_zstd_frame_has_a_bounded_window() {
    let _alone = alone();
    let too_large = |window| DecompressError::WindowLimit {
        window,
        limit: LARGE.max_window,
    };
    let truncated = |at: usize| DecompressError::Truncated { at: at as u64 };
    let single = |size: u64| [&[0xe0][..], &size.to_le_bytes()].concat();
    // The byte after the descriptor is the window: 5 bits of exponent, 3 bits of eighths.
    let table: [(&str, Vec<u8>, u64); 5] = [
        ("2 TiB", vec![0, 0xf8], 1 << 41),
        ("3.75 TiB", vec![0, 0xff], 15 << 38),
        ("8 GiB", vec![0, 0xb8], 1 << 33),
        ("9/8 MiB", vec![0, 0x51], 9 << 17),
        ("a single segment", single(u64::MAX), u64::MAX),
    ];
    for (name, header, window) in table {
        let last = frame(&header, &[]);
        for before in [0, 1, 3] {
            let input = [EMPTY.repeat(before), last.clone()].concat();
            let error = too_large(window);
            assert_bounded(name, Compression::Zstd, LARGE, &input, &Err(error));
            // Under a small limit of output, the window may be declared, but is not reserved.
            let error = truncated(input.len());
            assert_bounded(name, Compression::Zstd, SMALL, &input, &Err(error));
            let whole = [input, block(true, 0, 5).to_vec(), b"hello".to_vec()].concat();
            let expected = match header.first() {
                Some(0) => Ok(5),
                _ => Err(DecompressError::Mismatch {
                    at: whole.len() as u64,
                    what: "the content size of a zstd frame",
                }),
            };
            assert_bounded(name, Compression::Zstd, SMALL, &whole, &expected);
        }
    }
}

#[test]
fn windows_that_grow_from_frame_to_frame_stay_bounded() {
    let _alone = alone();
    // 1 KiB to 1 MiB in eighths, each with a block as long as it may be.
    let mut input = Vec::new();
    let mut length = 0;
    for window in 0..=0x50_u32 {
        let base = 1_u32 << (10 + (window >> 3));
        let size = (base + base / 8 * (window & 7)).min(128 << 10);
        // A repeated byte.
        let blocks = [&block(true, 1, size)[..], b"a"].concat();
        input.extend(frame(&[0, window as u8], &blocks));
        length += u64::from(size);
    }
    assert_bounded("growing", Compression::Zstd, LARGE, &input, &Ok(length));
}

#[test]
fn the_output_limit_is_told_before_the_window() {
    let _alone = alone();
    // A block of 128 KiB in a frame that allows 2 TiB, where 5 bytes are expected.
    let blocks = [&block(true, 1, 128 << 10)[..], b"a"].concat();
    let limits = Limits {
        max_output: 5,
        ..LARGE
    };
    let error = DecompressError::OutputLimit { limit: 5 };
    let input = frame(&[0, 0xf8], &blocks);
    assert_bounded("long block", Compression::Zstd, limits, &input, &Err(error));
}

#[test]
fn dictionaries_and_reserved_bits_of_zstd_are_refused() {
    let _alone = alone();
    let at = |input: &[u8]| input.len() as u64;
    for (descriptor, dictionary) in [(1, &b"\x05"[..]), (2, b"\0\x01"), (3, b"\0\0\0\x80")] {
        let input = [EMPTY, &frame(&[descriptor, 0], dictionary)].concat();
        let error = DecompressError::UnsupportedFeature {
            at: at(&input),
            what: "a dictionary of zstd",
        };
        assert_bounded("dictionary", Compression::Zstd, LARGE, &input, &Err(error));
        // The number 0 means that there is none.
        let zeros = vec![0; dictionary.len()];
        let blocks = [&zeros[..], &block(true, 0, 0)].concat();
        let input = frame(&[descriptor, 0], &blocks);
        assert_bounded("no dictionary", Compression::Zstd, LARGE, &input, &Ok(0));
    }
    let input = frame(&[8, 0], &[]);
    let error = DecompressError::Malformed {
        at: at(&input),
        expected: "a zstd frame header",
    };
    assert_bounded("reserved", Compression::Zstd, LARGE, &input, &Err(error));
}

#[test]
fn tables_of_a_zstd_block_are_bounded() {
    let _alone = alone();
    let malformed = |input: &[u8], expected| {
        Err(DecompressError::Malformed {
            at: input.len() as u64,
            expected,
        })
    };
    // One repeated literal, 1 MiB - 1 times, and no sequences.
    let body = b"\xfd\xff\xffa\0";
    let blocks = [&block(true, 2, 5)[..], body].concat();
    let input = frame(&[0, 0x50], &blocks);
    let error = malformed(&input, "literals that fit into a zstd block");
    assert_bounded("literals", Compression::Zstd, LARGE, &input, &error);
    // The same under a window of 1 KiB: 1025 literals are one too many.
    let kilobyte = |count: u32| {
        let [a, b, c, _] = (1 | 3 << 2 | count << 4).to_le_bytes();
        let blocks = [&block(true, 2, 5)[..], &[a, b, c, b'a', 0]].concat();
        frame(&[0, 0], &blocks)
    };
    let input = kilobyte(1025);
    let error = malformed(&input, "literals that fit into a zstd block");
    assert_bounded("literals", Compression::Zstd, LARGE, &input, &error);
    assert_bounded("fit", Compression::Zstd, LARGE, &kilobyte(1024), &Ok(1024));
    // As many sequences as a header can claim, each of three bytes and no bits.
    let sequences = b"\0\xff\xff\xff\x54\0\0\0\x01";
    let blocks = [
        &block(false, 0, 8)[..],
        b"abcdefgh",
        &block(true, 2, 9),
        sequences,
    ]
    .concat();
    let input = frame(&[0, 0x50], &blocks);
    let error = malformed(&input, "a zstd block");
    assert_bounded("sequences", Compression::Zstd, LARGE, &input, &error);
}

#[test]
fn headers_of_the_other_methods_reserve_nothing() {
    let _alone = alone();
    let truncated = |at: usize| Err(DecompressError::Truncated { at: at as u64 });
    let too_large = |window| {
        let limit = LARGE.max_window;
        Err(DecompressError::WindowLimit { window, limit })
    };
    // gzip: an extra field, a name and a comment, all as long as they may be.
    let mut input = b"\x1f\x8b\x08\x1c\0\0\0\0\0\0\xff\xff".to_vec();
    input.extend([1; 2000]);
    let error = truncated(input.len());
    assert_bounded("gzip extra", Compression::Gzip, LARGE, &input, &error);
    // lzip: a dictionary of 512 MiB.
    let input = b"LZIP\x01\x1d";
    assert_bounded("lzip", Compression::Lzip, LARGE, input, &too_large(1 << 29));
    assert_bounded("lzip", Compression::Lzip, SMALL, input, &truncated(6));
    // xz: a block with a dictionary of 4 GiB - 1, and sizes of 2^63 - 1.
    let mut fields = b"\x06\xc0".to_vec();
    for _ in 0..2 {
        fields.extend([0xff; 8]);
        fields.push(0x7f);
    }
    fields.extend(b"\x21\x01\x28");
    fields.resize(24, 0);
    let crc = crc32(&fields);
    let stream = b"\xfd7zXZ\0\0\0\xff\x12\xd9\x41";
    let input = [&stream[..], &fields, &crc].concat();
    let error = too_large(u64::from(u32::MAX));
    assert_bounded("xz", Compression::Xz, LARGE, &input, &error);
    assert_bounded(
        "xz",
        Compression::Xz,
        SMALL,
        &input,
        &truncated(input.len()),
    );
    // xz: an index of 2^63 - 1 blocks.
    let input = [&stream[..], b"\0\xff\xff\xff\xff\xff\xff\xff\xff\x7f"].concat();
    let error = Err(DecompressError::Mismatch {
        at: input.len() as u64,
        what: "the number of blocks in the xz index",
    });
    assert_bounded("xz index", Compression::Xz, LARGE, &input, &error);
}

/// CRC-32 as xz writes it.
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

#[test]
fn honest_data_needs_its_window_and_the_tables() {
    let _alone = alone();
    // Noise, so that the whole window is kept and every match is far.
    let mut seed = 1_u32;
    let mut bytes = Vec::new();
    while bytes.len() < 3 * WINDOW {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes.push((seed >> 24) as u8);
    }
    bytes.extend_from_within(2 * WINDOW + 100..);
    let programs: [(Compression, &[&str]); 4] = [
        (Compression::Gzip, &["gzip", "-1c"]),
        (Compression::Zstd, &["zstd", "-1cq", "--zstd=wlog=20"]),
        (Compression::Lzip, &["lzip", "-0c", "-s1MiB"]),
        (
            Compression::Xz,
            &["xz", "-0c", "--lzma2=preset=0,dict=1MiB"],
        ),
    ];
    for (method, program) in programs {
        let packed = pack(program, &bytes);
        let packed = packed.unwrap_or_else(|_| panic!("{program:?}: run scripts/peers"));
        let pieces: Vec<&[u8]> = packed.chunks(50_000).collect();
        let (result, taken) = peak(|| decode(method, LARGE, &pieces));
        assert_eq!(result, Ok(bytes.len() as u64), "{program:?}");
        assert!(taken <= DECODER, "{program:?}: {taken} bytes");
    }
}

/// Runs a real compressor.
fn pack(program: &[&str], bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut child = Command::new(program[0])
        .args(&program[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    std::thread::scope(|scope| {
        let pipe = child.stdin.take();
        scope.spawn(move || pipe.map(|mut pipe| pipe.write_all(bytes)));
        child.wait_with_output().map(|output| output.stdout)
    })
}

#[test]
fn lengths_in_cars_reserve_nothing() {
    let _alone = alone();
    let header = b"\x11\xa2eroots\x80gversion\x01";
    // A section of 2 MiB, of which one byte arrives at a time.
    let mut input = header.to_vec();
    input.extend([0x80, 0x80, 0x80, 0x01]);
    input.extend([1; 200]);
    let (result, bytes) = peak(|| {
        let mut reader = car::Reader::new();
        for byte in &input {
            let mut piece = bytes::Bytes::copy_from_slice(&[*byte]);
            while reader.push(&mut piece)?.is_some() {}
        }
        reader.finish()
    });
    let offset = input.len() as u64;
    assert_eq!(result, Err(car::CarError::Truncated { offset }));
    assert!(bytes < 16 << 10, "{bytes} bytes");
}

#[test]
fn lengths_in_nars_and_chunk_indexes_reserve_nothing() {
    let _alone = alone();
    let string = |text: &str| {
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend(text.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    };
    let words = ["nix-archive-1", "(", "type", "regular", "contents"];
    let mut archive: Vec<u8> = words.into_iter().flat_map(string).collect();
    archive.extend(u64::MAX.to_le_bytes());
    archive.extend([0; 100]);
    let (result, bytes) = peak(|| {
        let (mut parser, mut input) = (nar::Parser::new(), archive.as_slice());
        while parser.push(&mut input)?.is_some() {}
        parser.finish()
    });
    let at = archive.len() as u64;
    assert_eq!(result, Err(nar::NarError::Truncated { at }));
    assert!(bytes < 16 << 10, "{bytes} bytes");

    let mut index = b"\xa4ccut\x88\0\0\0\0\0\0\0\0".to_vec();
    let (result, bytes) = peak(|| Index::decode(&index));
    assert_eq!(result.err(), Some(IndexError::Parameters));
    assert!(bytes < 16 << 10, "{bytes} bytes");
    // A list of 2^64 - 1 lengths.
    index.truncate(5);
    index.extend(b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff");
    let (result, bytes) = peak(|| Index::decode(&index));
    assert!(result.is_err());
    assert!(bytes < 16 << 10, "{bytes} bytes");
}

/// Texts are bounded before they are parsed; what is parsed takes a multiple of its text.
#[test]
fn texts_take_a_multiple_of_their_length() {
    let _alone = alone();
    let mebibyte = 1 << 20;
    let texts = [
        "a ".repeat(mebibyte / 2),
        "()".repeat(mebibyte / 2),
        format!("({})", "()".repeat(mebibyte / 2 - 1)),
        format!("({})", "a ".repeat(mebibyte / 2 - 1)),
        "(".repeat(mebibyte),
        "99999999999999999999:".repeat(mebibyte / 21),
        "9999999:a".to_owned(),
    ];
    for text in texts {
        let (result, bytes) = peak(|| Acl::parse(&text));
        assert!(result.is_err());
        assert!(bytes <= 32 * text.len() + 4096, "{bytes} bytes");
    }
    for line in [
        "a",
        "a:",
        "URL: a",
        "References: a",
        "Sig: a",
        "URL: a\nCompression: xz",
    ] {
        let text = format!("{line}\n").repeat(mebibyte / (line.len() + 1));
        let (result, bytes) = peak(|| NarInfo::parse(text.as_bytes()));
        assert!(result.is_err(), "{line}");
        assert!(bytes <= 32 * text.len(), "{line}: {bytes} bytes");
    }
}
