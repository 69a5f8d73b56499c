//! Unit tests of the engine's parts: addresses, the pool, the clock and block sets.

use super::super::clock::FetchClock;
use super::super::early::{EarlyBlocks, SeenBlocks};
use super::super::gateway::{car_url, raw_url};
use super::super::*;
use crate::block::Block;
use crate::cid::Cid;
use alloc::string::String;
use alloc::{format, vec};

fn block(text: &'static str) -> Block {
    Block::raw(text.into())
}

fn cid() -> Cid {
    *block("hello").cid()
}

fn pool(count: usize) -> GatewayPool {
    let gateways = (0..count).map(|n| Gateway {
        url: format!("http://{n}.example"),
    });
    GatewayPool::new(gateways, Policy::default())
}

#[test]
fn addresses_are_checked_and_lose_their_last_slash() {
    let good = Gateway::parse("https://ipfs.example:8443/prefix/").unwrap();
    assert_eq!(good.url, "https://ipfs.example:8443/prefix");
    for (text, error) in [
        ("ipfs.example", GatewayUrlError::Scheme),
        ("ftp://ipfs.example", GatewayUrlError::Scheme),
        ("http://", GatewayUrlError::Host),
        ("http:///ipfs", GatewayUrlError::Host),
        ("http://me@host", GatewayUrlError::Character(9)),
        ("http://host/?x", GatewayUrlError::Character(12)),
        ("http://ho st", GatewayUrlError::Character(9)),
        ("http://hö", GatewayUrlError::Character(8)),
    ] {
        assert_eq!(Gateway::parse(text), Err(error), "{text}");
    }
    let long = format!("http://{}", "x".repeat(MAX_GATEWAY_URL));
    assert_eq!(Gateway::parse(&long), Err(GatewayUrlError::TooLong));
}

#[test]
fn request_urls_follow_the_specification() {
    let (base, cid) = ("http://host:8080/", cid());
    let path = vec![String::from("a b"), String::from("ü/?#%")];
    let asked = car_url(
        base,
        &cid,
        &path,
        Some(ByteRange {
            from: 7,
            to: Some(9),
        }),
        false,
    );
    let expected = "a%20b/%C3%BC%2F%3F%23%25?format=car&dag-scope=entity&entity-bytes=7:9";
    assert_eq!(asked, format!("http://host:8080/ipfs/{cid}/{expected}"));
    let asked = car_url(base, &cid, &[], None, true);
    assert!(asked.ends_with("?format=car&dag-scope=all"));
    let asked = car_url(
        base,
        &cid,
        &[],
        Some(ByteRange { from: 7, to: None }),
        false,
    );
    assert!(asked.ends_with("?format=car&dag-scope=entity&entity-bytes=7:*"));
    assert_eq!(
        raw_url(base, &cid),
        format!("http://host:8080/ipfs/{cid}?format=raw")
    );
}

#[test]
fn the_back_off_doubles_up_to_a_cap_and_is_longest_after_wrong_data() {
    let mut pool = pool(1);
    let mut now_ms = 0;
    for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600] {
        pool.fault(0, Fault::Connect, false, now_ms);
        assert_eq!(pool.ready_at_ms(0) - now_ms, expected * 1000);
        now_ms = pool.ready_at_ms(0);
    }
    let mut pool = self::pool(1);
    pool.fault(0, Fault::WrongHash(cid()), true, 0);
    assert_eq!(pool.ready_at_ms(0), 30_000);
}

#[test]
fn parallel_faults_count_once_and_clean_answers_remove_strikes() {
    let mut pool = pool(1);
    for _ in 0..6 {
        pool.fault(0, Fault::Connect, false, 0);
    }
    assert_eq!(pool.ready_at_ms(0), 1000);
    pool.finished(0, 1 << 20, 10);
    pool.fault(0, Fault::Connect, false, 1000);
    assert_eq!(pool.ready_at_ms(0), 2000);
    assert_eq!(pool.reports(1500)[0].backoff_until_ms, Some(2000));
    assert_eq!(pool.reports(2000)[0].backoff_until_ms, None);
    assert_eq!(pool.reports(0)[0].faults, 7);
}

#[test]
fn an_answer_that_was_cut_midway_always_gives_the_shortest_back_off() {
    let mut pool = pool(1);
    for now_ms in [0, 10_000, 20_000, 30_000] {
        pool.fault(0, Fault::Truncated, true, now_ms);
        assert_eq!(pool.ready_at_ms(0), now_ms + 1000);
    }
}

#[test]
fn fast_gateways_are_preferred_to_slow_and_empty_ones() {
    let mut pool = pool(3);
    assert!(pool.score(0) <= pool.score(1));
    pool.first_byte(0, 900);
    pool.finished(0, 1 << 20, 1000);
    pool.first_byte(1, 10);
    pool.finished(1, 1 << 20, 10);
    assert!(pool.score(1) < pool.score(2) && pool.score(2) < pool.score(0));
    for _ in 0..10 {
        pool.fault(1, Fault::NotFound(404), false, 0);
    }
    assert_eq!(pool.ready_at_ms(1), 0);
    let report = &pool.reports(0)[1];
    assert_eq!(
        (report.latency_ms, report.rate),
        (Some(10), Some(100 << 20))
    );
    assert_eq!(
        (report.faults, report.last_fault),
        (10, Some(Fault::NotFound(404)))
    );
    assert_eq!(
        (pool.url(1), pool.url(3), pool.len()),
        (Some("http://1.example"), None, 3)
    );
}

#[test]
fn the_clock_stops_while_the_driver_is_busy_and_never_runs_backwards() {
    let mut clock = FetchClock::default();
    clock.tick(1000);
    clock.set_waiting(true);
    clock.tick(1100);
    assert_eq!((clock.now_ms(), clock.counted_ms()), (1100, 100));
    clock.set_waiting(false);
    clock.tick(9000);
    assert_eq!((clock.now_ms(), clock.counted_ms()), (9000, 100));
    clock.set_waiting(true);
    clock.tick(8000);
    assert_eq!((clock.now_ms(), clock.counted_ms()), (9000, 100));
    assert_eq!(clock.driver_ms(150), 9050);
}

#[test]
fn early_blocks_are_kept_up_to_a_number_of_bytes() {
    let mut early = EarlyBlocks::new(1000);
    assert!(early.put(block("one"), 3) && early.put(block("one"), 4));
    let kept = early.bytes();
    assert!((1..1000).contains(&kept));
    assert!(!early.put(Block::raw(vec![0; 900].into()), 3));
    assert_eq!(early.bytes(), kept);
    assert_eq!(early.take(block("one").cid()), Some((block("one"), 3)));
    assert_eq!((early.take(block("one").cid()), early.bytes()), (None, 0));
}

#[test]
fn inserted_blocks_are_in_the_set() {
    let mut seen = SeenBlocks::default();
    seen.insert(&cid());
    assert!(seen.contains(&cid()) && !seen.contains(block("other").cid()) && seen.is_complete());
}

#[test]
fn a_driver_that_ignores_wants_data_does_not_exceed_the_buffer() {
    // The whole CAR of a large file at once, without a poll in between.
    //
    let (mut stream, mut blocks) = (alloc::vec::Vec::new(), super::network::Blocks::new());
    let content = super::network::noise(40_000_000);
    let built = super::network::build(crate::unixfs::SIZE_1048576_V1, &content, &mut blocks);
    stream.extend(crate::car::header(&[]));
    let mut walker = crate::unixfs::Walker::new(built.cid, crate::unixfs::Budget::default());
    while let Some(cid) = walker.wants(1).unwrap().first().copied() {
        stream.extend(crate::car::block_prefix(&cid, blocks[&cid].len()));
        stream.extend(&blocks[&cid]);
        walker
            .push(Block::verify(cid, blocks[&cid].clone()).unwrap())
            .unwrap();
    }
    let mut pool = pool(1);
    let options = Options {
        local: false,
        ..Options::default()
    };
    let limit = options.max_buffer;
    let mut fetch = Fetcher::new(&crate::cid::IpfsUrl::new(built.cid), options);
    let Action::Request { id, .. } = fetch.poll(&mut pool, 0) else {
        panic!()
    };
    assert!(fetch.wants_data(id) && !fetch.wants_data(RequestId(99)));
    fetch.data(id, stream.into(), &mut pool, 0);
    assert!(!fetch.wants_data(id));
    assert!(fetch.held() <= limit, "{}", fetch.held());
}
