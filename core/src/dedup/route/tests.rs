use super::estimate::{Estimate, Prefer};
use super::ranges::{MAX_RANGE, NODES_BYTES, Part, Prices, REQUEST_BYTES, Spot, cut};
use super::*;
use crate::cid::{self, RAW, Version};
use crate::dedup::MAX_SMALL;
use crate::hash::Sha256;
use std::vec;

/// The next number of a sequence.
fn next(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(0x5851_f42d_4c95_7f2d)
        .wrapping_add(0x1405_7b7e_f767_814f);
    *state >> 33
}

fn cid_of(n: usize) -> cid::Cid {
    cid::of_sha256(Version::V1, RAW, &Sha256::of(&n.to_le_bytes()))
}

/// Missing leaves of a NAR of small and large pieces, some of which are here.
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

fn cost(parts: &[Part<'_>], prices: &Prices) -> u64 {
    let of = |part: &Part<'_>| {
        let (first, last) = (part.spots.first().unwrap(), part.spots.last().unwrap());
        match part.range {
            true => prices.range + last.end() - first.offset,
            false => part
                .spots
                .iter()
                .map(|spot| prices.leaf + spot.length)
                .sum(),
        }
    };
    parts.iter().map(of).sum()
}

/// Each neighbour pair is joined or not, and each part of one leaf is a range or not: all ways.
fn least_by_trying(spots: &[Spot], prices: &Prices) -> u64 {
    let ways = 0..1_u32 << (spots.len() - 1);
    let of = |joined: u32| {
        let (mut parts, mut start) = (vec![], 0);
        for end in 1..=spots.len() {
            if end == spots.len() || joined & (1 << (end - 1)) == 0 {
                parts.push(Part {
                    spots: &spots[start..end],
                    range: end - start > 1 || prices.range < prices.leaf,
                });
                start = end;
            }
        }
        cost(&parts, prices)
    };
    ways.map(of).min().unwrap()
}

#[test]
fn the_parts_are_the_cheapest_there_are() {
    let mut state = 1;
    for count in 1..=10 {
        for _ in 0..200 {
            let (mut spots, mut offset) = (vec![], next(&mut state) % 10);
            for leaf in 0..count {
                let length = 1 + next(&mut state) % 50;
                spots.push(Spot {
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
            let parts = cut(&spots, &prices);
            let again: Vec<Spot> = parts.iter().flat_map(|part| part.spots.to_vec()).collect();
            assert_eq!(again, spots);
            assert_eq!(
                cost(&parts, &prices),
                least_by_trying(&spots, &prices),
                "{spots:?} {prices:?}"
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

fn lines() -> impl Iterator<Item = Line> {
    let measured = LINES.map(|(latency, rate)| Line::new(Some(latency), Some(rate)));
    measured.into_iter().chain([Line::default()])
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

fn cases(mut check: impl FnMut(&[Missing], Forms, &Line)) {
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
                // Of one file they are disjoint, and in order.
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
fn nothing_is_thought_to_be_quicker_or_smaller_than_the_choice() {
    cases(|missing, forms, line| {
        let time = |route: &Route| route.estimate.time_us(line);
        let of = |prefer| Route::new(missing, forms, line, prefer);
        let (quick, frugal, balanced) = (of(Prefer::Time), of(Prefer::Bytes), of(Prefer::Balance));
        for groups in groupings(missing, forms) {
            // One CAR of all, and a request for each.
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

/// 500 heads of 2 KiB, 126 KiB apart, 25 ms away.
#[test]
fn a_rebuild_is_one_request_where_the_small_pieces_are_a_file() {
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
        let line = Line::new(Some(25), Some(rate));
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
    // Without it, what would be read through is sixty times what is missing: only who says so takes that.
    let frame = Forms {
        frame: true,
        small: false,
    };
    let fast = Line::new(Some(25), Some(400 << 20));
    let of = |prefer| Route::new(&missing, frame, &fast, prefer).estimate;
    assert_eq!(of(Prefer::Bytes).leaves, 500);
    assert!(of(Prefer::Time).bytes > 20 * bytes);
    assert!(of(Prefer::Balance).bytes < 12 * bytes);
}

#[test]
fn the_whole_is_fetched_where_little_is_saved() {
    let whole = 60_000_000;
    let rest = |leaves, bytes| Estimate {
        leaves,
        ranges: 0,
        bytes,
    };
    let (near, far) = (
        Line::new(Some(1), Some(10_000_000)),
        Line::new(Some(2_000), Some(10_000_000)),
    );
    let fits = |prefer: Prefer, rest, line| prefer.is_worth(&rest, whole, line);
    use Prefer::{Balance, Bytes, Time};
    for prefer in [Balance, Bytes, Time] {
        assert!(fits(prefer, rest(10, 1_000_000), &near));
        assert!(!fits(prefer, rest(10, whole + 100_000), &near));
        // Nothing at all is missing.
        assert!(fits(prefer, rest(0, 0), &near));
    }
    // Half of the bytes in ten thousand round trips, 32 at once: ten minutes.
    let many = rest(10_000, 30_000_000);
    assert!(fits(Bytes, many, &far) && !fits(Balance, many, &far) && !fits(Time, many, &far));
    // Less than a tenth is saved.
    let most = rest(10, whole / 100 * 93);
    assert!(fits(Bytes, most, &near) && !fits(Balance, most, &near) && fits(Time, most, &near));
    // Nothing is shared.
    let header = REQUEST_BYTES + NODES_BYTES;
    assert!(!fits(Bytes, rest(0, whole + header), &near));
}
