use super::*;
use crate::decompress::{Decoder, DecompressError};
use crate::nar::malformed::malformed;
use crate::nar::{Encoder, Event};
use std::vec::Vec;

type Checker<S> = super::Checker<Decoder, S>;
type Stop = super::Stop<DecompressError>;
const MAX_WINDOW: u64 = 128 << 20;

#[derive(Default)]
struct CollectingSink(Vec<u8>, Option<usize>);

impl Sink for CollectingSink {
    fn send(&mut self, piece: Bytes) -> Result<(), Gone> {
        if self.1.is_some_and(|limit| self.0.len() >= limit) {
            return Err(Gone);
        }
        self.0.extend_from_slice(&piece);
        Ok(())
    }
}

const PIECE: usize = 1 << 20;

/// Makes the NAR of one file. It is a little longer than the content.
fn nar_of(content: &[u8]) -> Vec<u8> {
    let (mut encoder, mut nar) = (Encoder::new(), Vec::new());
    let start = Event::FileStart {
        executable: false,
        size: content.len() as u64,
        offset: 0,
    };
    for event in [start, Event::FileData(content), Event::FileEnd, Event::End] {
        encoder.write(event, &mut nar).unwrap();
    }
    nar
}

fn noise(length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| (index as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect()
}

/// Makes a NAR of 20 pieces, with the start of the content in the first piece.
fn large() -> Vec<u8> {
    let nar = nar_of(&noise(20 * PIECE - 112));
    assert_eq!(nar.len(), 20 * PIECE);
    nar
}

fn checker(nar: &[u8]) -> Checker<CollectingSink> {
    Checker::new(
        Sha256::of(nar),
        nar.len() as u64,
        MAX_WINDOW,
        CollectingSink::default(),
    )
}

/// Pushes `data` as one uncompressed source and ends it.
fn whole(checker: &mut Checker<CollectingSink>, data: &[u8]) -> Result<(), Stop> {
    part(checker, data)?;
    checker.end()
}

/// Pushes `data` as a source that then stops.
fn part(checker: &mut Checker<CollectingSink>, data: &[u8]) -> Result<(), Stop> {
    checker.begin(Compression::None)?;
    data.chunks(PIECE)
        .try_for_each(|piece| checker.push(&Bytes::copy_from_slice(piece)))
}

#[test]
fn a_right_source_passes_for_small_and_large_items() {
    let exactly = nar_of(&noise(WHOLE as usize - 112));
    for nar in [large(), exactly, nar_of(b"x")] {
        let mut checker = checker(&nar);
        whole(&mut checker, &nar).unwrap();
        assert!(checker.into_sink().0 == nar);
    }
}

/// Makes a gzip member of `data`.
fn gzip(data: &[u8]) -> Vec<u8> {
    let mut member = std::vec![31, 139, 8, 0, 0, 0, 0, 0, 0, 3];
    member.extend(miniz_oxide::deflate::compress_to_vec(data, 1));
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    member.extend((!crc).to_le_bytes());
    member.extend((data.len() as u32).to_le_bytes());
    member
}

#[test]
fn compressed_sources_pass() {
    let nar = large();
    let mut checker = checker(&nar);
    checker.begin(Compression::Gzip).unwrap();
    gzip(&nar)
        .chunks(10_000)
        .for_each(|piece| checker.push(&Bytes::copy_from_slice(piece)).unwrap());
    checker.end().unwrap();
    assert!(checker.into_sink().0 == nar);
}

/// The queue between two steps is bounded, even if one small piece decompresses to very much.
#[test]
fn a_queue_that_is_emptied_after_each_step_stays_short() {
    let nar = nar_of(&std::vec![0_u8; 50 * PIECE]);
    let mut checker = super::Checker::<Decoder, Vec<Bytes>>::new(
        Sha256::of(&nar),
        nar.len() as u64,
        MAX_WINDOW,
        Vec::new(),
    );
    checker.begin(Compression::Gzip).unwrap();
    let mut input = Bytes::from(gzip(&nar));
    let (mut left, mut most) = (0, 0);
    let mut empty = |queue: &mut Vec<Bytes>| {
        let bytes: usize = queue.drain(..).map(|piece| piece.len()).sum();
        left += bytes;
        most = most.max(bytes);
    };
    while !input.is_empty() {
        checker.step(&mut input).unwrap();
        empty(checker.sink());
    }
    while !checker.end_step().unwrap() {
        empty(checker.sink());
    }
    empty(checker.sink());
    assert_eq!(left, nar.len());
    assert!(most <= 2 * STEP, "{most}");
}

#[test]
fn pieces_of_one_byte_are_joined() {
    let nar = nar_of(&noise(100_000));
    let mut checker = checker(&nar);
    checker.begin(Compression::None).unwrap();
    nar.iter()
        .for_each(|byte| checker.push(&Bytes::copy_from_slice(&[*byte])).unwrap());
    assert!(checker.source.held.is_empty());
    checker.end().unwrap();
    assert!(checker.into_sink().0 == nar);
}

#[test]
fn no_byte_of_a_wrong_small_item_is_sent_and_the_next_source_may_be_right() {
    let nar = nar_of(&noise(PIECE * 3));
    let mut wrong = nar.clone();
    wrong[PIECE] ^= 1;
    let mut checker = checker(&nar);
    let fault = Fault::Hash {
        found: Sha256::of(&wrong),
        expected: Sha256::of(&nar),
    };
    assert_eq!(whole(&mut checker, &wrong), Err(Stop::Wrong(fault)));
    assert_eq!(checker.sent(), 0);
    whole(&mut checker, &nar).unwrap();
    assert!(checker.into_sink().0 == nar);
}

#[test]
fn a_wrong_large_item_is_never_complete() {
    let nar = large();
    for position in [PIECE / 2, PIECE * 7, nar.len() - 100] {
        let mut wrong = nar.clone();
        wrong[position] ^= 1;
        let mut checker = checker(&nar);
        assert!(matches!(
            whole(&mut checker, &wrong),
            Err(Stop::Wrong(Fault::Hash { .. }))
        ));
        assert_eq!(checker.sent(), (nar.len() - PIECE) as u64);
    }
}

#[test]
fn sources_that_are_too_long_or_too_short_are_wrong() {
    let nar = large();
    let mut longer = nar.clone();
    longer.push(0);
    let expected = nar.len() as u64;
    assert_eq!(
        whole(&mut checker(&nar), &longer),
        Err(Stop::Wrong(Fault::TooLong {
            found: expected + 1,
            expected
        }))
    );
    assert_eq!(
        whole(&mut checker(&nar), &nar[..nar.len() - 1]),
        Err(Stop::Wrong(Fault::TooShort {
            found: expected - 1,
            expected
        }))
    );
}

#[test]
fn another_source_continues_where_one_stopped() {
    let nar = large();
    let mut checker = checker(&nar);
    part(&mut checker, &nar[..PIECE * 5 + 17]).unwrap();
    let sent = checker.sent();
    assert!(sent > 0);
    // A source that stops earlier adds nothing and does no harm.
    part(&mut checker, &nar[..PIECE * 2]).unwrap();
    assert_eq!(checker.sent(), sent);
    whole(&mut checker, &nar).unwrap();
    assert!(checker.into_sink().0 == nar);
}

#[test]
fn sources_that_differ_stop_the_sending_and_the_right_one_is_found() {
    let nar = large();
    let mut wrong = nar.clone();
    wrong[PIECE / 2] ^= 1;
    let mut checker = checker(&nar);
    part(&mut checker, &wrong[..PIECE * 5]).unwrap();
    let sent = checker.sent();
    assert_eq!(whole(&mut checker, &nar), Err(Stop::TooLate));
    assert_eq!(checker.sent(), sent);
}

#[test]
fn a_client_that_closes_the_connection_stops_the_source() {
    let nar = large();
    let mut checker = Checker::new(
        Sha256::of(&nar),
        nar.len() as u64,
        MAX_WINDOW,
        CollectingSink(Vec::new(), Some(PIECE * 2)),
    );
    assert_eq!(whole(&mut checker, &nar), Err(Stop::Gone));
}

#[test]
fn a_malformed_nar_whose_hash_was_signed_is_named_and_nothing_of_it_is_sent() {
    for one in malformed() {
        let mut checker = checker(&one.nar);
        let stop = Stop::Malformed(one.error);
        assert_eq!(whole(&mut checker, &one.nar), Err(stop), "{}", one.rule);
        assert_eq!(checker.sent(), 0, "{}", one.rule);
    }
}

#[test]
fn a_large_malformed_nar_is_never_complete_and_stops_before_the_malformed_piece() {
    let nar = large();
    for (position, error, sent) in [
        (
            64,
            NarError::Token {
                at: 56,
                expected: "\"regular\", \"symlink\" or \"directory\"",
            },
            0,
        ),
        (
            nar.len() - 1,
            NarError::Padding {
                at: nar.len() as u64 - 7,
            },
            18 * PIECE,
        ),
    ] {
        let mut wrong = nar.clone();
        wrong[position] ^= 0x20;
        let mut checker = checker(&wrong);
        assert_eq!(whole(&mut checker, &wrong), Err(Stop::Malformed(error)));
        assert_eq!(checker.sent(), sent as u64);
        assert!(checker.source.held.len() <= 1);
    }
}

/// A malformed source with another hash is only a wrong source: the next one completes the NAR.
#[test]
fn a_malformed_source_of_a_right_nar_is_wrong_and_another_continues() {
    let nar = large();
    let mut wrong = nar.clone();
    *wrong.last_mut().unwrap() = 1;
    let mut checker = checker(&nar);
    let at = nar.len() as u64 - 7;
    let fault = Fault::Malformed(NarError::Padding { at });
    assert_eq!(whole(&mut checker, &wrong), Err(Stop::Wrong(fault)));
    assert_eq!(checker.sent(), 18 * PIECE as u64);
    whole(&mut checker, &nar).unwrap();
    assert!(checker.into_sink().0 == nar);
}
