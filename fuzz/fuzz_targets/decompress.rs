//! Every decoder: the output and the memory stay within their limits, and the output doesn't depend
//! on where the input is cut. Zstd also gets frames that are built from fields, several in a row.
#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use interplanar_core::decompress::{Decoder, Limits, MAX_STEP, MAX_TABLES, STEP};
use interplanar_core::narinfo::Compression;
use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const MAX_WINDOW: u64 = 1 << 20;
/// Most bytes that a decoder may take, with the output of one call. See `core/tests/memory.rs`.
const MAX_MEMORY: usize = 3 * MAX_WINDOW as usize + MAX_TABLES + 2 * (STEP + MAX_STEP);

#[derive(Debug)]
struct Input {
    compression: Compression,
    limits: Limits,
    piece: usize,
    bytes: Vec<u8>,
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(fields: &mut Unstructured<'a>) -> Result<Self> {
        let methods = [
            Compression::Gzip,
            Compression::Zstd,
            Compression::Lzip,
            Compression::Xz,
        ];
        let compression = *fields.choose(&methods)?;
        let limits = Limits {
            max_output: *fields.choose(&[1 << 20, 1 << 40])?,
            max_window: MAX_WINDOW,
        };
        let piece = usize::from(fields.arbitrary::<u8>()?) + 1;
        let built: bool = fields.arbitrary()?;
        let bytes = if built && compression == Compression::Zstd {
            let mut bytes = Vec::new();
            for _ in 0..fields.int_in_range(1..=4)? {
                frame(fields, &mut bytes)?;
            }
            bytes
        } else {
            let rest = fields.len();
            fields.bytes(rest)?.to_vec()
        };
        Ok(Self {
            compression,
            limits,
            piece,
            bytes,
        })
    }
}

/// Appends a zstd frame: a header with arbitrary fields, and blocks.
fn frame(fields: &mut Unstructured<'_>, out: &mut Vec<u8>) -> Result<()> {
    if fields.ratio(1, 8)? {
        out.extend(0x184d_2a50_u32.to_le_bytes());
        let length = fields.int_in_range(0..=20_u32)?;
        out.extend(length.to_le_bytes());
        out.extend(std::iter::repeat_n(0, length as usize));
        return Ok(());
    }
    out.extend(0xfd2f_b528_u32.to_le_bytes());
    let descriptor: u8 = fields.arbitrary()?;
    out.push(descriptor);
    let single = descriptor & 0x20 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content = [usize::from(single), 2, 4, 8][usize::from(descriptor >> 6)];
    if !single {
        out.push(fields.arbitrary()?);
    }
    // Usually no dictionary, so that the blocks are read.
    let dictionary_byte = if fields.ratio(1, 8)? { 1 } else { 0 };
    out.extend(std::iter::repeat_n(dictionary_byte, dictionary));
    out.extend_from_slice(fields.bytes(content)?);
    for left in (0..fields.int_in_range(1..=3)?).rev() {
        let kind = fields.int_in_range(0..=2_u32)?;
        let body = match kind {
            // A repeated byte.
            1 => fields.bytes(1)?,
            _ => {
                let length = fields.int_in_range(0..=64)?;
                fields.bytes(length)?
            }
        };
        let size = match kind {
            1 => fields.int_in_range(0..=(128 << 10) + 1)?,
            _ => body.len() as u32,
        };
        let head = u32::from(left == 0) | kind << 1 | size << 3;
        out.extend_from_slice(&head.to_le_bytes()[..3]);
        out.extend_from_slice(body);
    }
    if descriptor & 4 != 0 {
        out.extend(fields.arbitrary::<[u8; 4]>()?);
    }
    Ok(())
}

/// Decodes the input in pieces. Returns the output up to 1 MiB, and its length.
fn decode(input: &Input, piece: usize) -> Option<(Vec<u8>, u64)> {
    let (mut all, mut out) = (Vec::with_capacity(1 << 20), Vec::new());
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let mut decoder = Decoder::new(input.compression, input.limits).expect("a known method");
    let mut keep = |out: &mut Vec<u8>| {
        let room = all.capacity() - all.len();
        all.extend_from_slice(&out[..out.len().min(room)]);
        let any = !out.is_empty();
        out.clear();
        any
    };
    let done = (|| {
        for mut piece in input.bytes.chunks(piece) {
            while !piece.is_empty() {
                let before = piece.len();
                decoder.push(&mut piece, &mut out)?;
                let any = keep(&mut out);
                assert!(any || piece.len() < before, "a push makes progress");
            }
        }
        while !decoder.finish(&mut out)? {
            keep(&mut out);
        }
        Ok::<_, interplanar_core::decompress::DecompressError>(())
    })();
    assert!(decoder.produced() <= input.limits.max_output || done.is_err());
    let taken = MEMORY.peak_usage().saturating_sub(before);
    assert!(taken <= MAX_MEMORY, "{taken} bytes");
    done.ok()?;
    Some((all, decoder.produced()))
}

fuzz_target!(|input: Input| {
    let whole = decode(&input, usize::MAX);
    assert_eq!(whole, decode(&input, input.piece));
});
