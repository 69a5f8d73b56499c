//! UnixFS DAGs: reading files and trees, listing directories, resolving paths and answering gateway requests all
//! stay within the budgets that the programs use.
#![no_main]

use arbitrary::Arbitrary;
use interplanar_core::block::Block;
use interplanar_core::cid::IpfsUrl;
use interplanar_core::fetch::{
    Action, Fetcher, GatewayPool, MAX_TREE_PATH, Options, Policy, TreeKind,
};
use interplanar_core::install;
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

/// Size of the NAR whose budget a file has.
const NAR_SIZE: u64 = 1 << 20;
/// Steps of the walks of a file and of a path at most.
const MOST: usize = 100_000;
/// Steps after which the reader of a directory leaves. The budget allows a million entries.
const READ: usize = 20_000;

/// Reads a tree or an outline from the local store, until it ends or the reader leaves.
fn read(mut fetcher: Fetcher, blocks: &[Block]) {
    let mut pool = GatewayPool::new([], Policy::default());
    let (mut names, mut output, budget) = (0, 0, Budget::default());
    for _ in 0..READ {
        match fetcher.poll(&mut pool, 0) {
            Action::Load(cid) => {
                let block = find(blocks, &cid).map(|block| block.data().clone());
                fetcher.loaded(&cid, block);
            }
            Action::Entry(entry) => {
                assert!(entry.path.len() <= MAX_TREE_PATH);
                names += entry.path.len() as u64;
                if let TreeKind::Symlink { target } = entry.kind {
                    names += target.len() as u64;
                }
            }
            Action::Content(content) => output += content.len() as u64,
            Action::Done(_) | Action::Failed(_) => return,
            Action::Event(_) => {}
            other => unreachable!("{other:?} without a gateway"),
        }
        assert!(names <= budget.names && output <= budget.output);
    }
}

fuzz_target!(|input: Input| {
    let blocks = build(&input.parts);
    let Some(root) = blocks.last() else {
        return;
    };
    let root = *root.cid();
    for block in &blocks {
        drop(Content::decode(block));
    }
    let budget = install::budget(NAR_SIZE);
    let ahead = usize::from(input.ahead) + 1;

    let mut walker = Walker::with_range(root, input.from, input.to, budget);
    let (mut given, mut steps) = (0_u64, 0);
    'walk: while !walker.is_done() {
        while let Some(piece) = walker.next() {
            given += piece.len() as u64;
        }
        assert!(given <= budget.output && walker.buffered() <= budget.output);
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

    let (mut entries, mut listed) = (Entries::new(root, Budget::default()), 0);
    'list: while !entries.is_done() {
        while entries.next().is_some() {}
        for cid in entries.wants(ahead) {
            listed += 1;
            if listed > READ {
                break 'list;
            }
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

    let url = IpfsUrl::new(root);
    read(Fetcher::tree(&url, Options::default()), &blocks);
    read(Fetcher::outline(&url, Options::default()), &blocks);

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
