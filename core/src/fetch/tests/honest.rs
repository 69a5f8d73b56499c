//! Gateways without faults: what a fetch returns, and how much it requests.

use super::super::*;
use super::network::{Blocks, Network, Outcome, Script, build, noise, url_of};
use crate::cid::{Cid, IpfsUrl};
use crate::unixfs::{
    Budget, DirectoryBuilder, NodeType, Profile, SIZE_262144_V0, SIZE_262144_V1, SIZE_1048576_V1,
    UnixFsError,
};
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;

/// Blocks of 1000 bytes, so that small files have deep DAGs.
const SMALL: Profile = Profile {
    chunk: 1000,
    links: 8,
    ..SIZE_262144_V1
};

fn file(profile: Profile, len: usize) -> (Vec<u8>, Cid, Blocks) {
    let (content, mut blocks) = (noise(len), Blocks::new());
    let built = build(profile, &content, &mut blocks);
    (content, built.cid, blocks)
}

fn ranged(from: u64, to: Option<u64>) -> Options {
    Options {
        range: Some(ByteRange { from, to }),
        ..Options::default()
    }
}

#[test]
fn one_request_fetches_a_file_of_any_shape_and_every_block_is_stored() {
    for (profile, len) in [
        (SMALL, 0),
        (SMALL, 1000),
        (SMALL, 1001),
        (SMALL, 300_000),
        (SIZE_262144_V0, 1_000_000),
        (SIZE_1048576_V1, 20_000_000),
    ] {
        let (content, cid, blocks) = file(profile, len);
        let network = Network::new(blocks, &[Script::Honest]);
        let outcome = network.fetch(&url_of(cid), Options::default());
        let summary = outcome.result.as_ref().unwrap();
        assert!(outcome.content == content, "{len}");
        assert_eq!(outcome.requests.len(), 1);
        assert_eq!(outcome.faults(), []);
        assert_eq!(outcome.stored.len(), network.blocks.len());
        assert_eq!(
            (summary.bytes, summary.blocks),
            (len as u64, network.blocks.len() as u64)
        );
        assert_eq!(
            (summary.local_blocks, summary.gateways[0].blocks),
            (0, summary.blocks)
        );
        assert!(outcome.events.contains(&Event::Size { bytes: len as u64 }));
    }
}

#[test]
fn a_single_block_is_requested_as_a_block_and_a_dag_as_a_car_of_the_entity() {
    let (_, cid, blocks) = file(SMALL, 500);
    let outcome = Network::new(blocks, &[Script::Honest]).fetch(&url_of(cid), Options::default());
    assert_eq!(
        outcome.requests[0].1,
        alloc::format!("http://gateway0.example/ipfs/{cid}?format=raw")
    );
    let (_, cid, blocks) = file(SMALL, 5000);
    let outcome = Network::new(blocks, &[Script::Honest]).fetch(&url_of(cid), Options::default());
    let url = alloc::format!("http://gateway0.example/ipfs/{cid}?format=car&dag-scope=entity");
    assert_eq!(outcome.requests[0].1, url);
}

#[test]
fn blocks_in_the_local_store_are_not_requested() {
    let (content, cid, blocks) = file(SMALL, 300_000);
    let mut network = Network::new(blocks.clone(), &[]);
    network.local = blocks;
    let outcome = network.fetch(&url_of(cid), Options::default());
    assert!(outcome.content == content);
    let summary = outcome.result.unwrap();
    assert_eq!(
        (summary.local_blocks, summary.network_bytes),
        (summary.blocks, 0)
    );
    assert_eq!(outcome.stored, []);
}

#[test]
fn a_corrupt_block_in_the_local_store_is_fetched_again() {
    let (content, cid, blocks) = file(SMALL, 300_000);
    let mut network = Network::new(blocks.clone(), &[Script::Honest]);
    network.local = blocks;
    let rotten = *network.local.keys().nth(7).unwrap();
    network.local.insert(rotten, Bytes::from_static(b"rot"));
    let outcome = network.fetch(&url_of(cid), Options::default());
    assert!(outcome.content == content);
    assert_eq!(outcome.stored.len(), 1);
    assert_eq!(outcome.count(RequestKind::Raw), 1);
}

#[test]
fn an_interrupted_fetch_resumes_at_the_first_missing_byte() {
    let (content, cid, blocks) = file(SIZE_262144_V1, 10_000_000);
    let first = Network::new(blocks.clone(), &[Script::EndAfter(6_000_000)]);
    let cut = first.fetch(
        &url_of(cid),
        Options {
            patience_ms: 0,
            ..Options::default()
        },
    );
    assert!(cut.result.is_err());
    let mut network = Network::new(blocks, &[Script::Honest]);
    network.local = cut
        .stored
        .into_iter()
        .map(|block| block.into_parts())
        .collect();
    let outcome = network.fetch(&url_of(cid), Options::default());
    assert!(outcome.content == content);
    assert_eq!(outcome.requests.len(), 1);
    assert!(
        outcome.requests[0].1.ends_with("&entity-bytes=5767168:*"),
        "{:?}",
        outcome.requests
    );
    assert!(outcome.result.unwrap().network_bytes < 4_500_000);
}

#[test]
fn ranges_are_requested_as_ranges() {
    let (content, cid, blocks) = file(SIZE_262144_V1, 3_000_000);
    let network = Network::new(blocks, &[Script::Honest]);
    for (from, to) in [
        (0, Some(0)),
        (262_143, Some(262_144)),
        (1_000_000, Some(1_999_999)),
        (2_999_999, None),
    ] {
        let outcome = network.fetch(&url_of(cid), ranged(from, to));
        let end = to.map_or(content.len(), |to| to as usize + 1);
        assert!(outcome.content == content[from as usize..end]);
        let to = to.map_or("*".into(), |to| alloc::format!("{to}"));
        assert!(outcome.requests[0].1.ends_with(&alloc::format!(
            "&dag-scope=entity&entity-bytes={from}:{to}"
        )));
        assert!(outcome.result.unwrap().network_bytes < 1_700_000);
    }
}

#[test]
fn one_car_resolves_the_path_and_contains_the_file() {
    let (content, cid, mut blocks) = file(SIZE_262144_V1, 3_000_000);
    let mut sink = |block: crate::block::Block| {
        let (cid, data) = block.into_parts();
        blocks.insert(cid, data);
    };
    let mut inner = DirectoryBuilder::new(SIZE_262144_V1.cid_version);
    inner.add("na me?%ä".into(), cid, 1);
    let inner = inner.finish(&mut sink).unwrap();
    let mut outer = DirectoryBuilder::new(SIZE_262144_V1.cid_version);
    outer.add("dir".into(), inner.cid, 1);
    let outer = outer.finish(&mut sink).unwrap();
    let url = IpfsUrl {
        cid: outer.cid,
        path: vec!["dir".into(), "na me?%ä".into()],
    };

    let network = Network::new(blocks, &[Script::Honest]);
    let outcome = network.fetch(&url, Options::default());
    assert!(outcome.content == content);
    assert_eq!(outcome.requests.len(), 1);
    assert!(
        outcome.requests[0]
            .1
            .contains("/dir/na%20me%3F%25%C3%A4?format=car&dag-scope=entity")
    );
    assert!(outcome.events.contains(&Event::Resolved { cid }));

    let outcome = network.fetch(&url, ranged(100, Some(199)));
    assert_eq!(outcome.content, content[100..200]);

    let missing = IpfsUrl {
        cid: outer.cid,
        path: vec!["dir".into(), "other".into()],
    };
    let outcome = network.fetch(&missing, Options::default());
    assert_eq!(
        outcome.result,
        Err(FetchError::Walk(UnixFsError::NotFound { index: 1 }))
    );
    assert!(outcome.requests.len() <= 2);

    let outcome = network.fetch(&url_of(inner.cid), Options::default());
    let error = UnixFsError::NotAFile {
        kind: NodeType::Directory,
    };
    assert_eq!(outcome.result, Err(FetchError::Walk(error)));
}

#[test]
fn an_identity_cid_needs_no_request() {
    let url = IpfsUrl::parse("ipfs:bafkqablimvwgy3y").unwrap();
    let outcome = Network::new(Blocks::new(), &[]).fetch(&url, Options::default());
    assert_eq!(outcome.content, b"hello");
    assert_eq!((outcome.loads, outcome.requests.len()), (0, 0));
}

#[test]
fn without_a_local_store_nothing_is_looked_up() {
    let (content, cid, blocks) = file(SMALL, 100_000);
    let options = Options {
        local: false,
        ..Options::default()
    };
    let outcome = Network::new(blocks, &[Script::Honest]).fetch(&url_of(cid), options);
    assert!(outcome.content == content);
    assert_eq!((outcome.loads, outcome.requests.len()), (0, 1));
}

#[test]
fn if_most_blocks_are_stored_only_the_others_are_fetched() {
    let (content, cid, blocks) = file(SIZE_262144_V1, 50_000_000);
    let mut network = Network::new(blocks.clone(), &[Script::Honest]);
    let leaves = blocks
        .iter()
        .filter(|(cid, _)| cid.codec() == crate::cid::RAW);
    // Every twentieth leaf is new, as after a rebuild.
    network.local = leaves
        .enumerate()
        .filter(|(n, _)| n % 20 != 0)
        .map(|(_, (c, d))| (*c, d.clone()))
        .collect();
    let outcome = network.fetch(&url_of(cid), Options::default());
    assert!(outcome.content == content);
    let summary = outcome.result.unwrap();
    assert!(summary.network_bytes < 10_000_000, "{summary:?}");
    assert!(outcome.requests.len() < 20, "{:?}", outcome.requests.len());
}

#[test]
fn gateways_without_cars_are_asked_for_blocks_in_parallel() {
    let (content, cid, blocks) = file(SIZE_262144_V1, 10_000_000);
    let total = blocks.len();
    let network = Network::new(blocks, &[Script::NoCar(406), Script::NoCar(400)]);
    let outcome = network.fetch(&url_of(cid), Options::default());
    assert!(outcome.content == content);
    assert_eq!(outcome.count(RequestKind::Raw), total);
    assert!(outcome.count(RequestKind::Car) <= 2);
    assert!(
        (2..=6).contains(&outcome.most_open),
        "{}",
        outcome.most_open
    );
    let summary = outcome.result.unwrap();
    assert!(
        summary.gateways.iter().all(|used| used.blocks > 5),
        "{summary:?}"
    );
}

#[test]
fn cars_in_any_order_with_repeated_or_unrelated_blocks_are_read_within_the_buffer() {
    let (content, cid, blocks) = file(SIZE_262144_V1, 30_000_000);
    let options = Options {
        near_ms: 0,
        ..Options::default()
    };
    for script in [Script::Backwards, Script::Twice, Script::WithUnrelated] {
        let network = Network::new(blocks.clone(), core::slice::from_ref(&script));
        let outcome = network.fetch(&url_of(cid), options.clone());
        assert!(
            outcome.content == content,
            "{script:?}: {:?} {:?}",
            outcome.result,
            outcome.requests.len()
        );
        let slack = 2 * crate::cid::MAX_BLOCK;
        assert!(
            outcome.most_held <= Options::default().max_buffer + slack,
            "{}",
            outcome.most_held
        );
        if script != Script::Backwards {
            assert_eq!((outcome.requests.len(), outcome.faults()), (1, vec![]));
        }
    }
}

#[test]
fn repeated_blocks_are_fetched_once_however_far_apart() {
    let mut content = noise(1000).repeat(700);
    content.extend(noise(5000));
    content.extend(noise(1000).repeat(700));
    let mut blocks = Blocks::new();
    let built = build(SMALL, &content, &mut blocks);
    for local in [true, false] {
        let network = Network::new(blocks.clone(), &[Script::Honest]);
        let outcome = network.fetch(
            &url_of(built.cid),
            Options {
                local,
                ..Options::default()
            },
        );
        assert!(outcome.content == content);
        assert_eq!(outcome.faults(), []);
        assert!(outcome.requests.len() < 10, "{:?}", outcome.requests);
    }
}

/// Fetches 40 MB in blocks of 1 MiB from gateways with this latency in milliseconds.
fn near(latency_ms: u64, scripts: &[Script], options: Options) -> (Vec<u8>, Outcome) {
    let (content, cid, blocks) = file(SIZE_1048576_V1, 40_000_000);
    let mut network = Network::new(blocks, scripts);
    network.latency_ms = latency_ms;
    (content, network.fetch(&url_of(cid), options))
}

#[test]
fn a_near_gateway_is_asked_for_the_file_once_its_leaves_are_known() {
    for (latency_ms, near_ms, files) in [
        (1, 100, 1),
        (30, 100, 1),
        // Below 40 ms the extra round trip costs less than a tenth of the time for 40 MB.
        (40, 100, 0),
        (30, 29, 0),
        (1, 0, 0),
    ] {
        let options = Options {
            near_ms,
            ..Options::default()
        };
        let (content, outcome) = near(latency_ms, &[Script::Honest], options);
        assert!(outcome.content == content, "{:?}", outcome.result);
        assert_eq!(outcome.faults(), []);
        assert_eq!(outcome.count(RequestKind::Car), 1);
        assert_eq!(outcome.count(RequestKind::File), files, "{latency_ms} ms");
        assert_eq!(outcome.stored.len(), 40);
        assert!(outcome.most_held <= Options::default().max_buffer);
    }
}

/// This was a bug: while a received block waited for its hash, the engine requested it again.
#[test]
fn a_block_that_waits_for_its_hash_is_not_requested_again() {
    let (content, cid, blocks) = file(SIZE_1048576_V1, 40_000_000);
    let mut network = Network::new(blocks, &[Script::Honest]);
    network.latency_ms = 1;
    let options = Options {
        hash_outside: 1000,
        ..Options::default()
    };
    let outcome = network.fetch_with(&url_of(cid), options, &mut network.pool(), 0);
    assert!(outcome.content == content);
    assert_eq!(outcome.count(RequestKind::File), 1);
    assert_eq!(outcome.count(RequestKind::Raw), 0);
}

#[test]
fn a_file_of_many_nodes_takes_one_file_request_and_one_request_for_each_node() {
    let (content, cid, blocks) = file(SMALL, 6_000_000);
    let nodes = blocks
        .keys()
        .filter(|cid| cid.codec() == crate::cid::DAG_PB)
        .count();
    let mut network = Network::new(blocks.clone(), &[Script::Honest]);
    network.latency_ms = 1;
    for piece in [1_000_000, 50_000, 999] {
        network.piece = piece;
        let outcome = network.fetch(&url_of(cid), Options::default());
        assert!(outcome.content == content, "{:?}", outcome.result);
        assert_eq!(outcome.count(RequestKind::File), 1);
        assert!(outcome.count(RequestKind::Raw) <= nodes);
        assert_eq!(outcome.stored.len(), blocks.len());
    }
}

#[test]
fn a_near_gateway_that_refuses_files_is_asked_for_a_file_once_and_then_for_cars() {
    for status in [301, 400, 404, 406, 501] {
        let (content, outcome) = near(1, &[Script::NoFiles(status)], Options::default());
        assert!(outcome.content == content, "{:?}", outcome.result);
        assert_eq!(outcome.faults(), [(0, Fault::FileRefused(status))]);
        assert_eq!(outcome.count(RequestKind::File), 1);
    }
    let (content, outcome) = near(1, &[Script::NoFiles(503)], Options::default());
    assert!(outcome.content == content, "{:?}", outcome.result);
    assert_eq!(outcome.faults(), [(0, Fault::Status(503))]);
}

#[test]
fn file_ranges_are_requested_as_ranges_of_whole_leaves() {
    let (content, cid, blocks) = file(SIZE_1048576_V1, 40_000_000);
    for script in [Script::Honest, Script::NoRanges] {
        let mut network = Network::new(blocks.clone(), core::slice::from_ref(&script));
        network.latency_ms = 1;
        for (from, to) in [
            (0, Some(9_999_999)),
            (1_500_000, Some(20_000_000)),
            (20_000_000, None),
            (1 << 20, Some((5 << 20) - 1)),
        ] {
            let outcome = network.fetch(&url_of(cid), ranged(from, to));
            let end = to.map_or(content.len(), |to| to as usize + 1);
            assert!(outcome.content == content[from as usize..end]);
            assert_eq!(outcome.count(RequestKind::File), 1, "{from} {to:?}");
            assert_eq!(outcome.faults().is_empty(), script == Script::Honest);
        }
    }
}

#[test]
fn a_near_gateway_that_sends_wrong_files_is_reported_and_another_sends_them() {
    for (script, fault) in [
        (Script::BreakAfter(5_000_000), Fault::Io),
        (Script::EndAfter(5_000_000), Fault::Truncated),
        (Script::HangAfter(5_000_000), Fault::Stalled),
    ] {
        let scripts = [script, Script::Honest];
        let (content, outcome) = near(1, &scripts, Options::default());
        assert!(outcome.content == content, "{:?}", outcome.result);
        assert_eq!(outcome.faults(), [(0, fault)]);
    }
    // The first block of a CAR is still right.
    let scripts = [Script::CorruptFrom(1), Script::Honest];
    let (content, outcome) = near(1, &scripts, Options::default());
    assert!(outcome.content == content, "{:?}", outcome.result);
    let faults = outcome.faults();
    assert!(
        matches!(faults.as_slice(), [(0, Fault::WrongHash(_))]),
        "{faults:?}"
    );
}

#[test]
fn a_slow_consumer_is_not_a_fault_of_the_gateway() {
    let (content, cid, blocks) = file(SIZE_262144_V1, 20_000_000);
    let mut network = Network::new(blocks, &[Script::Honest, Script::Honest]);
    network.consumer_ms = 60_000;
    let outcome = network.fetch(&url_of(cid), Options::default());
    assert!(outcome.content == content);
    assert_eq!((outcome.faults(), outcome.requests.len()), (vec![], 1));
}

#[test]
fn budgets_of_blocks_bytes_and_depth_are_kept() {
    let (_, cid, blocks) = file(SMALL, 300_000);
    let network = Network::new(blocks, &[Script::Honest]);
    let most = Budget::default();
    for (budget, error) in [
        (
            Budget {
                output: 100_000,
                ..most
            },
            UnixFsError::BudgetOutput,
        ),
        (
            Budget {
                blocks: 100,
                ..most
            },
            UnixFsError::BudgetBlocks,
        ),
        (Budget { depth: 1, ..most }, UnixFsError::BudgetDepth),
    ] {
        let outcome = network.fetch(
            &url_of(cid),
            Options {
                budget,
                ..Options::default()
            },
        );
        assert_eq!(outcome.result, Err(FetchError::Walk(error)));
        assert!(outcome.content.len() <= 100_000);
        assert_eq!((outcome.requests.len(), outcome.faults()), (1, vec![]));
    }
}

#[test]
fn a_file_that_claims_more_than_its_budget_ends_with_its_root() {
    let (_, root, blocks) = file(SIZE_262144_V1, 3_000_000);
    let network = Network::new(blocks, &[Script::Honest, Script::Honest]);
    let options = Options {
        budget: Budget {
            output: 2_999_999,
            ..Budget::default()
        },
        ..Options::default()
    };
    let outcome = network.fetch(&url_of(root), options);
    let expected = FetchError::Walk(UnixFsError::BudgetOutput);
    assert!(expected.is_permanent());
    assert_eq!(outcome.result, Err(expected));
    assert_eq!(outcome.requests.len(), 1);
    assert!(outcome.stored.is_empty() && outcome.content.is_empty());
}

#[test]
fn a_slow_connection_is_not_a_fault_of_all_gateways() {
    let (content, cid, blocks) = file(SIZE_262144_V1, 1_000_000);
    for scripts in [
        &[Script::Rate(9000)][..],
        &[Script::Rate(9000), Script::Rate(9000)],
    ] {
        let outcome = Network::new(blocks.clone(), scripts).fetch(&url_of(cid), Options::default());
        assert!(outcome.content == content, "{:?}", outcome.result);
        assert!(outcome.requests.len() <= 4, "{:?}", outcome.requests);
    }
}

#[test]
fn any_timing_and_any_pieces_give_the_same_content_and_runs_are_reproducible() {
    let (content, cid, blocks) = file(SMALL, 60_000);
    let lacks = blocks
        .keys()
        .copied()
        .step_by(5)
        .filter(|lacks| *lacks != cid)
        .collect();
    let scripts = [
        Script::CorruptFrom(9),
        Script::Lacks(lacks),
        Script::Backwards,
        Script::BreakAfter(20_000),
        Script::Honest,
    ];
    for seed in 1..=30 {
        let mut network = Network::new(blocks.clone(), &scripts);
        network.scripts.rotate_left(seed % 5);
        network.seed = seed as u64;
        network.piece = [1, 7, 100, 999, 5000, 100_000][seed % 6];
        let options = Options {
            race_after_ms: 30,
            max_buffer: 1,
            ..Options::default()
        };
        let outcome = network.fetch(&url_of(cid), options.clone());
        assert!(
            outcome.content == content,
            "seed {seed}: {:?}",
            outcome.result
        );
        assert!(
            outcome.requests.len() < 80,
            "seed {seed}: {}",
            outcome.requests.len()
        );
        let again = network.fetch(&url_of(cid), options);
        assert_eq!(
            (again.requests, again.events),
            (outcome.requests, outcome.events)
        );
    }
}

#[test]
fn a_single_block_of_any_codec_is_fetched() {
    let (_, cid, mut blocks) = file(SMALL, 5000);
    let empty = *crate::block::Block::raw(Bytes::new()).cid();
    blocks.insert(empty, Bytes::new());
    let scripts = [Script::CorruptFrom(0), Script::NoConnection, Script::Honest];
    let network = Network::new(blocks, &scripts);
    for cid in [cid, empty] {
        let outcome = network.fetch_block(cid, Options::default());
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
        assert_eq!(outcome.content, network.blocks[&cid]);
        assert_eq!(outcome.count(RequestKind::Car), 0);
    }
    let inline = crate::cid::parse("bafkqaddimvwgy3zao5xxe3debi").unwrap();
    let outcome = network.fetch_block(inline, Options::default());
    assert_eq!(
        (outcome.requests.len(), outcome.content),
        (0, b"hello world\n".to_vec())
    );
    let outcome = network.fetch_block(
        crate::cid::parse("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy").unwrap(),
        Options::default(),
    );
    assert!(matches!(
        outcome.result,
        Err(FetchError::NotFound { .. } | FetchError::Unavailable { .. })
    ));
}

#[test]
fn the_number_of_requests_stays_within_the_limit() {
    let (content, cid, blocks) = file(SMALL, 300_000);
    let network = Network::new(blocks.clone(), &[Script::NoCar(501)]);
    let all = network.fetch(&url_of(cid), Options::default());
    assert!(all.content == content && all.requests.len() > 100);
    for max_requests in [1, 2, 50] {
        let options = Options {
            max_requests,
            ..Options::default()
        };
        let outcome = network.fetch(&url_of(cid), options.clone());
        assert!(
            matches!(outcome.result, Err(FetchError::NoRequestsLeft { .. })),
            "{:?}",
            outcome.result
        );
        assert!(outcome.requests.len() as u64 <= max_requests);
        // One CAR is enough if the gateway sends CARs.
        let outcome = Network::new(blocks.clone(), &[Script::Honest]).fetch(&url_of(cid), options);
        assert!(outcome.content == content);
    }
}
