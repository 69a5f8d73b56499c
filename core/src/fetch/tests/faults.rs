//! Gateways that send wrong data, hang, cut answers or are slow. The fetch still gets its content
//! and reports the faults, and it always ends.

use super::super::*;
use super::network::{Blocks, Network, Outcome, Script, build, noise, url_of};
use crate::cid::Cid;
use crate::unixfs::SIZE_262144_V1;
use alloc::vec;
use alloc::vec::Vec;

fn file() -> (Vec<u8>, Cid, Blocks) {
    let (content, mut blocks) = (noise(5_000_000), Blocks::new());
    let built = build(SIZE_262144_V1, &content, &mut blocks);
    (content, built.cid, blocks)
}

/// Fetches with the bad gateway first and an honest one second.
fn fetch_with_a_bad_and_an_honest_gateway(script: Script) -> Outcome {
    let (content, cid, blocks) = file();
    let outcome = Network::new(blocks, &[script.clone(), Script::Honest])
        .fetch(&url_of(cid), Options::default());
    assert!(
        outcome.content == content,
        "{script:?}: {:?}",
        outcome.result
    );
    assert!(
        outcome.faults().iter().all(|(gateway, _)| *gateway == 0),
        "{script:?}: {:?}",
        outcome.faults()
    );
    assert!(
        outcome.requests.len() <= 6,
        "{script:?}: {:?}",
        outcome.requests
    );
    outcome
}

#[test]
fn each_bad_gateway_is_reported_and_the_content_comes_from_the_honest_one() {
    let (_, cid, _) = file();
    for (script, expected, within_ms) in [
        (Script::CorruptFrom(0), Fault::WrongHash(cid), 500),
        (Script::EndAfter(2_000_000), Fault::Truncated, 500),
        (Script::EndAfter(0), Fault::Truncated, 500),
        (Script::BreakAfter(2_000_000), Fault::Io, 500),
        (Script::HangAfter(2_000_000), Fault::Stalled, 5_000),
        (Script::HangAfter(100), Fault::Stalled, 5_000),
        (Script::Hang, Fault::Outrun, 2_000),
        (Script::Html, Fault::NotCar, 500),
        (Script::HtmlInDisguise, Fault::NotCar, 500),
        (Script::Rate(2_000), Fault::TooSlow, 6_000),
        (Script::Flood, Fault::Unasked, 1_000),
        (Script::Oversize, Fault::TooLarge, 500),
        (Script::Status(503), Fault::Status(503), 500),
        (Script::Status(429), Fault::Status(429), 500),
        (Script::Status(301), Fault::Status(301), 500),
        (Script::Status(404), Fault::NotFound(404), 500),
        (Script::Status(410), Fault::NotFound(410), 500),
        (Script::NoConnection, Fault::Connect, 500),
    ] {
        let outcome = fetch_with_a_bad_and_an_honest_gateway(script.clone());
        assert_eq!(outcome.faults(), vec![(0, expected)], "{script:?}");
        assert!(
            outcome.took_ms <= within_ms,
            "{script:?}: {} ms",
            outcome.took_ms
        );
    }
}

#[test]
fn good_blocks_of_a_gateway_that_later_sends_wrong_ones_are_kept() {
    let outcome = fetch_with_a_bad_and_an_honest_gateway(Script::CorruptFrom(8));
    let [(0, Fault::WrongHash(_))] = outcome.faults()[..] else {
        panic!("{:?}", outcome.faults());
    };
    let summary = outcome.result.unwrap();
    assert_eq!(
        (summary.gateways[0].blocks, summary.gateways[1].blocks),
        (8, 13)
    );
    assert!(
        outcome.requests[1].1.ends_with("entity-bytes=1835008:*"),
        "{:?}",
        outcome.requests
    );
}

#[test]
fn with_bad_gateways_only_every_fetch_ends_with_an_error_soon() {
    let (_, cid, blocks) = file();
    let all = [
        Script::CorruptFrom(0),
        Script::EndAfter(40),
        Script::BreakAfter(1000),
        Script::HangAfter(1000),
        Script::Hang,
        Script::Html,
        Script::HtmlInDisguise,
        Script::Rate(1),
        Script::Flood,
        Script::Oversize,
        Script::Status(500),
        Script::Status(404),
        Script::NoConnection,
    ];
    for script in &all {
        for count in 1..=3 {
            let scripts = vec![script.clone(); count];
            let outcome =
                Network::new(blocks.clone(), &scripts).fetch(&url_of(cid), Options::default());
            assert!(outcome.result.is_err(), "{script:?}");
            if let Err(FetchError::Unavailable { last, .. }) = &outcome.result {
                assert!(last.is_some(), "{script:?}");
            }
            assert!(
                outcome.requests.len() <= 5 * count,
                "{script:?}: {:?}",
                outcome.requests
            );
            assert!(
                outcome.took_ms < 400_000,
                "{script:?}: {} ms",
                outcome.took_ms
            );
            for gateway in 0..count {
                assert!(
                    outcome.faults().iter().any(|(named, _)| *named == gateway),
                    "{script:?}"
                );
            }
        }
    }
    let outcome = Network::new(blocks, &all).fetch(&url_of(cid), Options::default());
    assert!(matches!(
        outcome.result,
        Err(FetchError::Unavailable { .. })
    ));
    assert!(outcome.requests.len() <= 5 * all.len());
}

#[test]
fn one_honest_gateway_among_many_bad_ones_is_enough() {
    let (content, cid, blocks) = file();
    let bad = [
        Script::Hang,
        Script::Hang,
        Script::Hang,
        Script::Hang,
        Script::CorruptFrom(3),
        Script::Html,
        Script::EndAfter(700_000),
        Script::Rate(100),
        Script::NoConnection,
        Script::Status(502),
        Script::Flood,
    ];
    for place in 0..=bad.len() {
        let mut scripts = bad.to_vec();
        scripts.insert(place, Script::Honest);
        let outcome =
            Network::new(blocks.clone(), &scripts).fetch(&url_of(cid), Options::default());
        assert!(outcome.content == content, "{place}: {:?}", outcome.result);
        assert!(
            outcome
                .faults()
                .iter()
                .all(|(gateway, _)| *gateway != place)
        );
        assert!(outcome.took_ms < 60_000, "{place}: {} ms", outcome.took_ms);
        assert!(
            outcome.requests.len() < 30,
            "{place}: {:?}",
            outcome.requests
        );
    }
}

#[test]
fn gateways_that_lack_different_blocks_complete_each_other() {
    let (content, cid, blocks) = file();
    let leaves: Vec<Cid> = blocks.keys().copied().filter(|leaf| *leaf != cid).collect();
    let (odd, even) = (leaves.iter().step_by(2), leaves.iter().skip(1).step_by(2));
    let scripts = [
        Script::Lacks(odd.copied().collect()),
        Script::Lacks(even.copied().collect()),
    ];
    let outcome = Network::new(blocks, &scripts).fetch(&url_of(cid), Options::default());
    assert!(outcome.content == content, "{:?}", outcome.result);
    assert!(outcome.requests.len() < 60, "{}", outcome.requests.len());
}

#[test]
fn a_block_that_no_gateway_has_is_not_found_and_no_gateway_gets_a_back_off() {
    let (_, cid, _) = file();
    let network = Network::new(
        Blocks::new(),
        &[Script::Honest, Script::Honest, Script::Honest],
    );
    let mut pool = network.pool();
    let outcome = network.fetch_with(&url_of(cid), Options::default(), &mut pool, 0);
    assert_eq!(outcome.result, Err(FetchError::NotFound { cid }));
    assert_eq!(outcome.requests.len(), 3);
    assert!(
        pool.reports(outcome.took_ms)
            .iter()
            .all(|report| report.backoff_until_ms.is_none())
    );
}

#[test]
fn without_gateways_the_fetch_fails_at_once() {
    let (_, cid, _) = file();
    let outcome = Network::new(Blocks::new(), &[]).fetch(&url_of(cid), Options::default());
    assert_eq!(outcome.result, Err(FetchError::NoGateways { cid }));
    assert_eq!(outcome.took_ms, 0);
}

#[test]
fn a_single_gateway_that_cuts_every_answer_delivers_everything_in_the_end() {
    let (content, cid, blocks) = file();
    for script in [Script::EndAfter(2_000_000), Script::BreakAfter(1_200_000)] {
        let outcome =
            Network::new(blocks.clone(), &[script]).fetch(&url_of(cid), Options::default());
        assert!(outcome.content == content, "{:?}", outcome.result);
        assert!(outcome.requests.len() <= 22, "{:?}", outcome.requests);
    }
}

#[test]
fn a_gateway_that_ignores_ranges_can_be_used() {
    let (content, cid, blocks) = file();
    let mut network = Network::new(blocks, &[Script::IgnoresRange]);
    let options = Options {
        range: Some(ByteRange {
            from: 4_000_000,
            to: None,
        }),
        ..Options::default()
    };
    let outcome = network.fetch(&url_of(cid), options.clone());
    assert!(
        outcome.content == content[4_000_000..],
        "{:?}",
        outcome.result
    );
    network.scripts = vec![Script::Flood, Script::IgnoresRange];
    assert!(network.fetch(&url_of(cid), options).result.is_ok());
}

#[test]
fn the_pool_remembers_faults_and_asks_the_better_gateway_first() {
    let (content, cid, blocks) = file();
    let network = Network::new(
        blocks,
        &[Script::Hang, Script::CorruptFrom(1), Script::Honest],
    );
    let mut pool = network.pool();
    let first = network.fetch_with(&url_of(cid), Options::default(), &mut pool, 0);
    assert_eq!(first.faults().len(), 2);
    let second = network.fetch_with(&url_of(cid), Options::default(), &mut pool, first.took_ms);
    assert!(second.content == content);
    assert_eq!((second.requests.len(), second.requests[0].0), (1, 2));
    // Long afterwards, the honest gateway is still the best.
    let third = network.fetch_with(&url_of(cid), Options::default(), &mut pool, 100_000_000);
    assert_eq!((third.requests.len(), third.requests[0].0), (1, 2));
    let reports = pool.reports(first.took_ms);
    assert!(reports[1].backoff_until_ms.is_some() && reports[2].last_fault.is_none());
    assert!(matches!(reports[1].last_fault, Some(Fault::WrongHash(_))));
}
