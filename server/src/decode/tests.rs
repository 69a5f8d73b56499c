use super::*;
use std::io::Write as _;
use std::path::Path;

const LIMITS: Limits = Limits {
    max_output: 64 << 20,
    max_window: 128 << 20,
};

fn fixture(path: &str) -> Vec<u8> {
    std::fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../tests/fixtures")
            .join(path),
    )
    .unwrap()
}

/// Decodes chunks of `step` bytes, as the checker does.
fn decode(
    compression: Compression,
    limits: Limits,
    data: &[u8],
    step: usize,
) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = Decoder::new(compression, limits)?;
    let (mut all, mut out) = (Vec::new(), Vec::new());
    for mut input in data.chunks(step) {
        while !input.is_empty() {
            decoder.push(&mut input, &mut out)?;
            assert!(
                out.len()
                    <= OUTPUT_STEP
                        + interplanar_core::decompress::STEP
                        + interplanar_core::decompress::MAX_STEP
            );
            if out.len() >= OUTPUT_STEP {
                all.append(&mut out);
            }
        }
    }
    while !decoder.finish(&mut out)? {
        all.append(&mut out);
    }
    all.append(&mut out);
    Ok(all)
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// Returns bytes that compress well, but not to almost nothing.
fn sample(length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| (index % 251) as u8 ^ (index / 65_536) as u8)
        .collect()
}

#[test]
fn files_of_guix_publish_and_nix_are_decoded_in_chunks_of_any_length() {
    let guix = "agkhnj5wmbrb40rigsyf6ynkdi22d89g-tree";
    let plain = fixture(&format!("guix-1.5.0/nar/none/{guix}"));
    let table = [
        (Compression::Gzip, format!("guix-1.5.0/nar/gzip/{guix}")),
        (Compression::Zstd, format!("guix-1.5.0/nar/zstd/{guix}")),
        (Compression::Lzip, format!("guix-1.5.0/nar/lzip/{guix}")),
        (
            Compression::Zstd,
            "nix-2.34.8/zstd/nar/0rvi4i4d45mzkik5qdsch0y9qx654vbwzbqk7n5r2qd00z2sfbwp.nar.zst"
                .to_owned(),
        ),
        (
            Compression::Xz,
            "nix-2.34.8/xz/nar/1cgpmxrcmaf5pz7z3ry4ks1v2dc8l6lhi2lhyyqalqgxlaf8a6dq.nar.xz"
                .to_owned(),
        ),
    ];
    for (compression, path) in table {
        let data = fixture(&path);
        for step in [1, 7, data.len()] {
            assert_eq!(
                decode(compression, LIMITS, &data, step).unwrap(),
                plain,
                "{path} by {step}"
            );
        }
    }
}

#[test]
fn frames_and_members_in_a_row_are_one_stream() {
    let (one, two) = (sample(300_000), sample(1));
    for (compression, encode) in [
        (Compression::Gzip, gzip as fn(&[u8]) -> Vec<u8>),
        (Compression::Zstd, |data| zstd::encode_all(data, 3).unwrap()),
    ] {
        let data = [encode(&one), encode(&[]), encode(&two)].concat();
        for step in [1, 1000, data.len()] {
            assert_eq!(
                decode(compression, LIMITS, &data, step).unwrap(),
                [one.clone(), two.clone()].concat()
            );
        }
    }
}

#[test]
fn every_truncation_is_an_error() {
    for (compression, data) in [
        (Compression::Gzip, gzip(&sample(2000))),
        (
            Compression::Zstd,
            zstd::encode_all(&sample(2000)[..], 3).unwrap(),
        ),
    ] {
        for length in 0..data.len() {
            let result = decode(compression, LIMITS, &data[..length], 100);
            assert!(
                matches!(result, Err(DecodeError::Truncated { .. })),
                "{length}: {result:?}"
            );
        }
    }
}

#[test]
fn a_decompression_bomb_stops_at_the_limit() {
    let zeros = vec![0; 16 << 20];
    let limits = Limits {
        max_output: 1 << 20,
        ..LIMITS
    };
    for (compression, data) in [
        (Compression::Gzip, gzip(&zeros)),
        (Compression::Zstd, zstd::encode_all(&zeros[..], 3).unwrap()),
    ] {
        let result = decode(compression, limits, &data, data.len());
        assert_eq!(result, Err(DecodeError::TooLong { limit: 1 << 20 }));
        assert_eq!(
            decode(compression, LIMITS, &data, data.len()).unwrap(),
            zeros
        );
    }
}

#[test]
fn malformed_data_is_an_error() {
    for (compression, format) in [(Compression::Gzip, "gzip"), (Compression::Zstd, "zstd")] {
        let result = decode(compression, LIMITS, b"<!DOCTYPE html><html>", 100);
        assert_eq!(result, Err(DecodeError::Corrupt { format, offset: 21 }));
    }
    let mut data = gzip(&sample(100));
    let length = data.len();
    data[length - 5] ^= 1;
    assert_eq!(
        decode(Compression::Gzip, LIMITS, &data, length),
        Err(DecodeError::Corrupt {
            format: "gzip",
            offset: length as u64
        })
    );
}

#[test]
fn a_window_beyond_the_limit_is_refused() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(25).unwrap();
    encoder.write_all(&sample(1000)).unwrap();
    let data = encoder.finish().unwrap();
    let limits = Limits {
        max_window: 8 << 20,
        ..LIMITS
    };
    assert!(matches!(
        decode(Compression::Zstd, limits, &data, 1000),
        Err(DecodeError::Corrupt { .. })
    ));
    assert!(decode(Compression::Zstd, LIMITS, &data, 1000).is_ok());
}

#[test]
fn unsupported_compressions_are_errors() {
    for compression in [Compression::Bzip2, Compression::Br] {
        assert!(matches!(
            Decoder::new(compression, LIMITS).err(),
            Some(DecodeError::Core(_))
        ));
    }
}
