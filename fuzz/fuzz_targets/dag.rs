//! UnixFS DAGs: reading files, listing directories, resolving paths and answering gateway requests all end, within their budgets.
#![no_main]

use arbitrary::Arbitrary;
use interplanar_core::unixfs::{Budget, Content, Entries, Resolver, Walker};
use interplanar_fuzz::{Part, build, find};
use interplanar_gateway::{MemoryBlocks, answer};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input {
    parts: Vec<Part>,
    path: Vec<String>,
    from: u64,
    to: Option<u64>,
    ahead: u8,
    query: String,
    range: String,
}

/// Steps of all walks at most.
const MOST: usize = 100_000;

fuzz_target!(|input: Input| {
    let blocks = build(&input.parts);
    let Some(root) = blocks.last() else {
        return;
    };
    let root = *root.cid();
    for block in &blocks {
        drop(Content::decode(block));
    }
    let budget = Budget {
        blocks: 1000,
        output: 1 << 20,
        ..Budget::default()
    };
    let ahead = usize::from(input.ahead) + 1;

    let mut walker = Walker::with_range(root, input.from, input.to, budget);
    let (mut given, mut steps) = (0_u64, 0);
    'walk: while !walker.is_done() {
        while let Some(piece) = walker.next() {
            given += piece.len() as u64;
        }
        assert!(given <= budget.output);
        let Ok(wants) = walker.wants(ahead) else {
            break;
        };
        drop(walker.spans(walker.position(), 10));
        for cid in wants {
            steps += 1;
            assert!(steps < MOST, "the walk ends");
            let Some(block) = find(&blocks, &cid) else {
                break 'walk;
            };
            if walker.push(block.clone()).is_err() {
                break 'walk;
            }
        }
    }

    let mut entries = Entries::new(root, budget);
    'list: while !entries.is_done() {
        while entries.next().is_some() {}
        for cid in entries.wants(ahead) {
            steps += 1;
            assert!(steps < MOST, "the walk ends");
            let Some(block) = find(&blocks, &cid) else {
                break 'list;
            };
            if entries.push(block).is_err() {
                break 'list;
            }
        }
    }

    let mut resolver = Resolver::new(root, input.path.clone(), budget);
    while let Some(cid) = resolver.wants() {
        steps += 1;
        assert!(steps < MOST, "the walk ends");
        let Some(block) = find(&blocks, &cid) else {
            break;
        };
        if resolver.push(block.clone()).is_err() {
            break;
        }
    }

    let memory = MemoryBlocks::default();
    for block in blocks {
        memory.put(block);
    }
    let memory = memory.share();
    let path = input.path.join("/");
    let uri = format!("/ipfs/{root}/{path}?{}", input.query);
    let request = http::Request::builder()
        .uri(uri)
        .header("range", input.range);
    if let Ok(request) = request.body(())
        && let Ok(answer) = answer(&memory, &request)
    {
        let (_, mut body) = answer.into_parts();
        let mut pieces = 0;
        while let Some(Ok(_)) = body.next() {
            pieces += 1;
            if pieces > 1000 {
                break;
            }
        }
    }
});
