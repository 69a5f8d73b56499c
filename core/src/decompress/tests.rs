use super::*;
use crate::hash::Sha256;
use crate::nar::Parser;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::vec::Vec;
use std::{format, fs, vec};

const LIMITS: Limits = Limits {
    max_output: 1 << 30,
    max_window: 1 << 27,
};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures")
}

fn decode(
    method: Compression,
    packed: &[u8],
    step: usize,
    limits: Limits,
) -> Result<Vec<u8>, DecompressError> {
    let mut decoder = Decoder::new(method, limits)?;
    let mut out = vec![];
    for mut piece in packed.chunks(step) {
        while !piece.is_empty() {
            let before = out.len();
            decoder.push(&mut piece, &mut out)?;
            assert!(out.len() - before <= STEP + MAX_STEP);
        }
    }
    loop {
        let before = out.len();
        let done = decoder.finish(&mut out)?;
        assert!(out.len() - before <= STEP + MAX_STEP);
        if done {
            break;
        }
    }
    assert_eq!(decoder.produced(), out.len() as u64);
    Ok(out)
}

/// Returns the compression method, compressed bytes and NAR of each fixture.
fn real() -> Vec<(Compression, Vec<u8>, Vec<u8>)> {
    let mut all = vec![];
    for method in [Compression::Gzip, Compression::Zstd, Compression::Lzip] {
        for file in fs::read_dir(fixtures().join("guix-1.5.0/nar/none")).unwrap() {
            let name = file.unwrap().file_name();
            let read = |folder: &str| {
                fs::read(fixtures().join("guix-1.5.0/nar").join(folder).join(&name)).unwrap()
            };
            all.push((method, read(method.as_str()), read("none")));
        }
    }
    for method in [Compression::Xz, Compression::Zstd] {
        let only = |folder: &str| {
            let mut files =
                fs::read_dir(fixtures().join("nix-2.34.8").join(folder).join("nar")).unwrap();
            fs::read(files.next().unwrap().unwrap().path()).unwrap()
        };
        all.push((method, only(method.as_str()), only("none")));
    }
    assert_eq!(all.len(), 11);
    all
}

#[test]
fn real_files_decode_in_pieces_of_any_size() {
    for (method, packed, nar) in real() {
        for step in [1, 2, 3, 7, 64, 1 << 20] {
            assert_eq!(
                decode(method, &packed, step, LIMITS).as_ref(),
                Ok(&nar),
                "{method:?} in {step}"
            );
        }
        let (mut parser, mut input) = (Parser::new(), nar.as_slice());
        while parser.push(&mut input).unwrap().is_some() {}
        assert_eq!(parser.finish(), Ok(()));
    }
}

#[test]
fn concatenated_members_decode_as_one() {
    for (method, packed, nar) in real() {
        assert_eq!(
            decode(method, &packed.repeat(3), 100, LIMITS),
            Ok(nar.repeat(3)),
            "{method:?}"
        );
    }
}

#[test]
fn every_truncation_is_an_error() {
    for (method, packed, _) in real() {
        for end in 0..packed.len() {
            let cut = decode(method, &packed[..end], 50, LIMITS);
            assert_eq!(
                cut,
                Err(DecompressError::Truncated { at: end as u64 }),
                "{method:?}"
            );
        }
    }
}

/// Nothing checks the time, flags and operating system in a gzip header, nor the unused last bits
/// of its deflated data.
#[test]
fn every_flipped_byte_that_a_checksum_covers_is_noticed() {
    for (method, packed, nar) in real() {
        for at in 0..packed.len() {
            let mut flipped = packed.clone();
            flipped[at] ^= 0x10;
            if let Ok(out) = decode(method, &flipped, 999, LIMITS) {
                let unused = method == Compression::Gzip && out == nar;
                let no_checksum = method == Compression::Zstd;
                assert!(unused || no_checksum, "{method:?}, byte {at}");
            }
        }
    }
}

#[test]
fn more_output_than_allowed_is_an_error() {
    for (method, packed, nar) in real() {
        let limit = nar.len() as u64;
        assert!(
            decode(
                method,
                &packed,
                50,
                Limits {
                    max_output: limit,
                    ..LIMITS
                }
            )
            .is_ok(),
            "{method:?}"
        );
        let short = Limits {
            max_output: limit - 1,
            ..LIMITS
        };
        assert_eq!(
            decode(method, &packed, 50, short),
            Err(DecompressError::OutputLimit { limit: limit - 1 }),
            "{method:?}"
        );
    }
}

#[test]
fn bytes_after_the_last_member_are_an_error() {
    for (method, mut packed, _) in real() {
        packed.extend_from_slice(b"junk after the data");
        let result = decode(method, &packed, 50, LIMITS);
        assert!(
            matches!(result, Err(DecompressError::Malformed { .. })),
            "{method:?}: {result:?}"
        );
    }
}

#[test]
fn methods_without_a_decoder_are_refused_by_name() {
    for method in [Compression::Bzip2, Compression::Br] {
        assert_eq!(
            Decoder::new(method, LIMITS).err(),
            Some(DecompressError::Unsupported(method))
        );
    }
}

/// Runs a real compressor.
fn pack(program: &[&str], bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program[0])
        .args(&program[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program:?} ({error}): run scripts/peers"));
    let mut pipe = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut pipe, &bytes).unwrap());
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(out.status.success(), "{program:?}");
    out.stdout
}

/// Generates text, zeros, noise and repetitions at many distances.
fn mixed(length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length);
    let mut seed = Sha256::of(b"mixed");
    while bytes.len() < length {
        seed = Sha256::of(seed.as_bytes());
        let kind = seed.as_bytes()[0];
        match kind % 4 {
            0 => bytes.extend_from_slice(seed.as_bytes()),
            1 => bytes.extend(std::iter::repeat_n(
                kind,
                usize::from(seed.as_bytes()[1]) * 3,
            )),
            2 => bytes.extend_from_slice(format!("line {} of the file\n", bytes.len()).as_bytes()),
            _ => {
                let back =
                    usize::from(u16::from_le_bytes([seed.as_bytes()[1], seed.as_bytes()[2]])) * 7;
                let start = bytes.len().saturating_sub(back);
                let end = (start + 500).min(bytes.len());
                bytes.extend_from_within(start..end);
            }
        }
    }
    bytes.truncate(length);
    bytes
}

#[test]
fn output_of_real_compressors_decodes() {
    let programs: [(Compression, &[&str]); 12] = [
        (Compression::Gzip, &["gzip", "-1c"]),
        (Compression::Gzip, &["gzip", "-9c"]),
        (Compression::Zstd, &["zstd", "-1cq"]),
        (Compression::Zstd, &["zstd", "-19cq", "--check"]),
        (Compression::Zstd, &["zstd", "-3cq", "--no-check"]),
        (Compression::Lzip, &["lzip", "-0c"]),
        (Compression::Lzip, &["lzip", "-9c"]),
        (Compression::Lzip, &["lzip", "-3c", "-b100000", "-s65536"]),
        (Compression::Xz, &["xz", "-0c"]),
        (Compression::Xz, &["xz", "-6c", "--check=sha256"]),
        (
            Compression::Xz,
            &["xz", "-6c", "--check=none", "--block-size=100000"],
        ),
        (
            Compression::Xz,
            &[
                "xz",
                "-c",
                "--check=crc32",
                "--lzma2=preset=6,lc=1,lp=3,pb=4,dict=64KiB",
            ],
        ),
    ];
    for length in [0, 1, 1_000, 3_000_000] {
        let bytes = mixed(length);
        for (method, program) in programs {
            let packed = pack(program, &bytes);
            for step in [61, 1 << 20] {
                assert!(
                    decode(method, &packed, step, LIMITS).as_ref() == Ok(&bytes),
                    "{program:?}, {length} bytes in {step}"
                );
            }
        }
    }
}

#[test]
fn a_decompression_bomb_stops_at_the_limit_with_bounded_memory() {
    let zeros = vec![0; 64 << 20];
    for (method, program) in [
        (Compression::Gzip, ["gzip", "-9c"]),
        (Compression::Zstd, ["zstd", "-19cq"]),
        (Compression::Xz, ["xz", "-0c"]),
        (Compression::Lzip, ["lzip", "-0c"]),
    ] {
        let packed = pack(&program, &zeros);
        let mut decoder = Decoder::new(
            method,
            Limits {
                max_output: 1 << 20,
                max_window: 1 << 27,
            },
        )
        .unwrap();
        let (mut input, mut out) = (packed.as_slice(), vec![]);
        let error = loop {
            out.clear();
            let result = if input.is_empty() {
                decoder.finish(&mut out).map(drop)
            } else {
                decoder.push(&mut input, &mut out)
            };
            assert!(out.len() <= STEP + MAX_STEP);
            if let Err(error) = result {
                break error;
            }
        };
        assert_eq!(
            error,
            DecompressError::OutputLimit { limit: 1 << 20 },
            "{program:?}"
        );
    }
}

#[test]
fn a_window_beyond_the_limit_is_an_error_unless_the_output_is_small() {
    let bytes = mixed(200_000);
    let small = Limits {
        max_output: 1 << 30,
        max_window: 1 << 16,
    };
    for (method, program) in [
        (Compression::Xz, ["xz", "-9c"]),
        (Compression::Lzip, ["lzip", "-9c"]),
    ] {
        let packed = pack(&program, &bytes);
        let result = decode(method, &packed, 100, small);
        assert!(
            matches!(
                result,
                Err(DecompressError::WindowLimit { limit: 65_536, .. })
            ),
            "{program:?}: {result:?}"
        );
        assert_eq!(
            decode(
                method,
                &packed,
                100,
                Limits {
                    max_output: 200_000,
                    max_window: 1 << 18
                }
            )
            .as_ref(),
            Ok(&bytes)
        );
    }
    let streamed = pack(&["zstd", "-19cq"], &mixed(3_000_000));
    assert!(matches!(
        decode(Compression::Zstd, &streamed, 100, small),
        Err(DecompressError::WindowLimit { .. })
    ));
}
