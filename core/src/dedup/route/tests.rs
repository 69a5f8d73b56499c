use super::estimate::{Estimate, Prefer};
use super::ranges::{
    LeafPosition, MAX_RANGE, NODES_BYTES, Prices, REQUEST_BYTES, RequestPart, cut,
};
use super::*;
use crate::cid::{self, RAW, Version};
use crate::dedup::MAX_SMALL;
use crate::hash::Sha256;
use std::vec;

/// Returns the next number of a pseudo-random sequence.
fn next(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(0x5851_f42d_4c95_7f2d)
        .wrapping_add(0x1405_7b7e_f767_814f);
    *state >> 33
}

fn cid_of(n: usize) -> cid::Cid {
    cid::of_sha256(Version::V1, RAW, &Sha256::of(&n.to_le_bytes()))
}

/// Returns missing leaves of a NAR with small and large pieces, some of which exist here.
fn some(seed: u64, pieces: usize, missing_percent: u64) -> Vec<Missing> {
    let (mut state, mut offset, mut small, mut all) = (seed, 6, 0, vec![]);
    for n in 0..pieces {
        let length = match next(&mut state) % 3 {
            0 => 1 + next(&mut state) % 3_000,
            1 => 1 + next(&mut state) % 200_000,
            _ => 1 + next(&mut state) % (1 << 20),
        };
        let is_small = length <= u64::from(MAX_SMALL);
        if next(&mut state) % 100 < missing_percent {
            all.push(Missing {
                cid: cid_of(n),
                length,
                offset,
                small: is_small.then_some(small),
            });
        }
        offset += length;
        if is_small {
            small += length;
        }
    }
    all
}

fn cost(parts: &[RequestPart<'_>], prices: &Prices) -> u64 {
    let of = |part: &RequestPart<'_>| {
        let (first, last) = (
            part.positions.first().unwrap(),
            part.positions.last().unwrap(),
        );
        match part.range {
            true => prices.range + last.end() - first.offset,
            false => part
                .positions
                .iter()
                .map(|position| prices.leaf + position.length)
                .sum(),
        }
    };
    parts.iter().map(of).sum()
}

/// Tries all solutions: each pair of neighbours is joined or not, and each single leaf is a range
/// or not.
fn least_by_trying(positions: &[LeafPosition], prices: &Prices) -> u64 {
    let solutions = 0..1_u32 << (positions.len() - 1);
    let of = |joined: u32| {
        let (mut parts, mut start) = (vec![], 0);
        for end in 1..=positions.len() {
            if end == positions.len() || joined & (1 << (end - 1)) == 0 {
                parts.push(RequestPart {
                    positions: &positions[start..end],
                    range: end - start > 1 || prices.range < prices.leaf,
                });
                start = end;
            }
        }
        cost(&parts, prices)
    };
    solutions.map(of).min().unwrap()
}

#[test]
fn the_parts_are_the_cheapest_possible() {
    let mut state = 1;
    for count in 1..=10 {
        for _ in 0..200 {
            let (mut positions, mut offset) = (vec![], next(&mut state) % 10);
            for leaf in 0..count {
                let length = 1 + next(&mut state) % 50;
                positions.push(LeafPosition {
                    leaf,
                    offset,
                    length,
                });
                offset += length + next(&mut state) % 3 * (next(&mut state) % 60);
            }
            let prices = Prices {
                leaf: next(&mut state) % 40,
                range: next(&mut state) % 80,
            };
            let parts = cut(&positions, &prices);
            let again: Vec<LeafPosition> = parts
                .iter()
                .flat_map(|part| part.positions.to_vec())
                .collect();
            assert_eq!(again, positions);
            assert_eq!(
                cost(&parts, &prices),
                least_by_trying(&positions, &prices),
                "{positions:?} {prices:?}"
            );
        }
    }
    assert_eq!(cut(&[], &Prices::BYTES).len(), 0);
}

const LINES: [(u64, u64); 7] = [
    (0, 0),
    (1, 400 << 20),
    (25, 400 << 20),
    (25, 2_500_000),
    (300, 2_500_000),
    (300, 10 << 10),
    (u64::MAX, u64::MAX),
];

fn lines() -> impl Iterator<Item = LinkSpeed> {
    let measured = LINES.map(|(latency, rate)| LinkSpeed::new(Some(latency), Some(rate)));
    measured.into_iter().chain([LinkSpeed::default()])
}

const FORMS: [Forms; 4] = [
    Forms {
        frame: false,
        small: false,
    },
    Forms {
        frame: true,
        small: false,
    },
    Forms {
        frame: false,
        small: true,
    },
    Forms {
        frame: true,
        small: true,
    },
];

fn cases(mut check: impl FnMut(&[Missing], Forms, &LinkSpeed)) {
    for (seed, (pieces, percent)) in (1..).zip([
        (0, 50),
        (1, 100),
        (40, 100),
        (300, 3),
        (300, 50),
        (300, 97),
        (2_000, 10),
        (2_000, 100),
    ]) {
        let missing = some(seed, pieces, percent);
        for forms in FORMS {
            for line in lines() {
                check(&missing, forms, &line);
            }
        }
    }
}

#[test]
fn each_leaf_is_in_one_request_and_ranges_are_in_order() {
    cases(|missing, forms, line| {
        for prefer in [Prefer::Balance, Prefer::Bytes, Prefer::Time] {
            let route = Route::new(missing, forms, line, prefer);
            let mut seen = vec![0; missing.len()];
            let mut end = [0, 0];
            let mut estimate = Estimate::default();
            for ask in &route.asks {
                ask.leaves().iter().for_each(|leaf| seen[*leaf] += 1);
                let Ask::Range {
                    form,
                    from,
                    to,
                    leaves,
                } = ask
                else {
                    estimate.leaf(missing[ask.leaves()[0]].length);
                    continue;
                };
                assert!(match form {
                    Form::Frame => forms.frame,
                    Form::Small => forms.small,
                });
                assert!(leaves.is_sorted() && to - from <= MAX_RANGE);
                estimate.range(to - from);
                // The ranges of one file are disjoint and in order.
                let end = &mut end[usize::from(*form == Form::Small)];
                assert!(*end <= *from && from < to);
                *end = *to;
                for leaf in leaves {
                    let leaf = missing[*leaf];
                    let at = match form {
                        Form::Frame => leaf.offset,
                        Form::Small => leaf.small.unwrap(),
                    };
                    assert!(*from <= at && at + leaf.length <= *to);
                }
            }
            assert!(seen.iter().all(|times| *times == 1));
            assert_eq!(estimate, route.estimate);
            let firsts = route.asks.iter().map(|ask| ask.leaves()[0]);
            assert!(firsts.is_sorted());
        }
    });
}

#[test]
fn no_alternative_is_estimated_better_than_the_choice() {
    cases(|missing, forms, line| {
        let time = |route: &Route| route.estimate.time_us(line);
        let of = |prefer| Route::new(missing, forms, line, prefer);
        let (quick, frugal, balanced) = (of(Prefer::Time), of(Prefer::Bytes), of(Prefer::Balance));
        for groups in groupings(missing, forms) {
            // A single CAR of everything, and one request per leaf.
            for prices in [Prices::ONE, Prices::LEAVES] {
                let other = Route::at(&groups, &prices);
                assert!(time(&quick) <= time(&other));
                assert!(frugal.estimate.bytes <= other.estimate.bytes);
            }
        }
        assert!(time(&quick) <= time(&balanced) && time(&balanced) <= time(&frugal));
        let spare = (frugal.estimate.bytes / 10).max(line.round_trip_bytes());
        assert!(balanced.estimate.bytes <= frugal.estimate.bytes + spare);
    });
}

/// 500 heads of 2 KiB, 126 KiB apart, on a line with 25 ms of latency.
#[test]
fn a_rebuild_is_one_request_if_the_small_pieces_are_a_file() {
    let missing: Vec<Missing> = (0..500)
        .map(|n| Missing {
            cid: cid_of(n),
            length: 2_200,
            offset: 6 + n as u64 * 131_272,
            small: Some(n as u64 * 2_200),
        })
        .collect();
    let bytes = 500 * 2_200;
    let all = Forms {
        frame: true,
        small: true,
    };
    for (_, rate) in LINES {
        let line = LinkSpeed::new(Some(25), Some(rate));
        for prefer in [Prefer::Balance, Prefer::Bytes, Prefer::Time] {
            let route = Route::new(&missing, all, &line, prefer);
            let one = Ask::Range {
                form: Form::Small,
                from: 0,
                to: bytes,
                leaves: (0..500).collect(),
            };
            assert_eq!(route.asks, [one]);
            assert!(prefer.is_worth(&route.estimate, 66_000_000, &line));
        }
    }
    // Without that file, ranges would include sixty times the missing bytes. Only `Prefer::Time`
    // accepts that.
    let frame = Forms {
        frame: true,
        small: false,
    };
    let fast = LinkSpeed::new(Some(25), Some(400 << 20));
    let of = |prefer| Route::new(&missing, frame, &fast, prefer).estimate;
    assert_eq!(of(Prefer::Bytes).leaves, 500);
    assert!(of(Prefer::Time).bytes > 20 * bytes);
    assert!(of(Prefer::Balance).bytes < 12 * bytes);
}

#[test]
fn the_whole_is_fetched_if_a_delta_saves_little() {
    let whole = 60_000_000;
    let rest = |leaves, bytes| Estimate {
        leaves,
        ranges: 0,
        bytes,
    };
    let (near, far) = (
        LinkSpeed::new(Some(1), Some(10_000_000)),
        LinkSpeed::new(Some(2_000), Some(10_000_000)),
    );
    let fits = |prefer: Prefer, rest, line| prefer.is_worth(&rest, whole, line);
    use Prefer::{Balance, Bytes, Time};
    for prefer in [Balance, Bytes, Time] {
        assert!(fits(prefer, rest(10, 1_000_000), &near));
        assert!(!fits(prefer, rest(10, whole + 100_000), &near));
        // Nothing is missing.
        assert!(fits(prefer, rest(0, 0), &near));
    }
    // Half of the bytes in ten thousand round trips, 32 in parallel: ten minutes.
    let many = rest(10_000, 30_000_000);
    assert!(fits(Bytes, many, &far) && !fits(Balance, many, &far) && !fits(Time, many, &far));
    // Less than a tenth of the bytes is saved.
    let most = rest(10, whole / 100 * 93);
    assert!(fits(Bytes, most, &near) && !fits(Balance, most, &near) && fits(Time, most, &near));
    // Nothing is shared.
    let header = REQUEST_BYTES + NODES_BYTES;
    assert!(!fits(Bytes, rest(0, whole + header), &near));
}
