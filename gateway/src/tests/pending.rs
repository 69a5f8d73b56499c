//! A source that must look for each block first gives the same answers as one that has them all.

use std::collections::{BTreeSet, HashMap, HashSet};

use interplanar_core::cid::DAG_PB;
use interplanar_core::dag_pb;

use super::*;

/// Knows nothing of a block before it was looked for.
#[derive(Default)]
struct Slow {
    blocks: HashMap<Cid, Bytes>,
    looked: Mutex<HashSet<Cid>>,
}

impl BlockSource for Slow {
    fn get(&self, cid: &Cid) -> Lookup<Bytes> {
        if !self.looked.lock().unwrap().contains(cid) {
            return Lookup::Pending;
        }
        let found = self.blocks.get(cid).cloned();
        found.map_or(Lookup::Absent, Lookup::Here)
    }
}

/// Each block, and each name under a directory, there and not there.
fn paths(blocks: &HashMap<Cid, Bytes>) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for (cid, data) in blocks {
        let root = format!("/ipfs/{cid}");
        paths.extend([format!("{root}/"), format!("{root}/nothing"), root.clone()]);
        if cid.codec() != DAG_PB {
            continue;
        }
        let links = dag_pb::Node::decode(data).unwrap().links;
        for link in links.iter().filter(|link| !link.name.is_empty()).take(3) {
            paths.insert(format!("{root}/{}", crate::path::escape(&link.name)));
        }
    }
    paths
}

#[test]
fn blocks_that_must_be_looked_for_make_no_difference() {
    let blocks = shapes::blocks();
    assert_eq!(blocks.len(), 475);
    let forms: [(&str, &[(&str, &str)]); 11] = [
        ("", &[]),
        ("", &[("range", "bytes=3-9")]),
        ("", &[("range", "bytes=-5")]),
        ("", &[("cache-control", "only-if-cached")]),
        ("format=raw", &[]),
        ("format=dag-json", &[]),
        ("format=car", &[]),
        ("format=car&car-dups=y", &[]),
        ("format=car&dag-scope=block", &[]),
        ("format=car&dag-scope=entity", &[]),
        ("format=car&dag-scope=entity&entity-bytes=5:-3", &[]),
    ];
    let memory = Arc::new(Slow {
        looked: Mutex::new(blocks.keys().copied().collect()),
        blocks: blocks.clone(),
    });
    // A block that isn't among the shapes is absent for both.
    let mut absent = HashSet::new();
    let (mut answers, mut waits) = (0, 0);
    for path in paths(&blocks) {
        for (query, headers) in forms {
            for method in ["GET", "HEAD"] {
                let mut request = request(&format!("{path}?{query}"), headers);
                *request.method_mut() = method.parse().unwrap();
                let source = Arc::clone(&memory) as Arc<dyn BlockSource>;
                let at_once = Answered::of(&source, &request, &mut |cid| {
                    assert!(absent.insert(cid), "{cid} was looked for");
                    memory.looked.lock().unwrap().insert(cid);
                });
                let slow = Arc::new(Slow {
                    blocks: blocks.clone(),
                    ..Slow::default()
                });
                let source = Arc::clone(&slow) as Arc<dyn BlockSource>;
                let in_the_end = Answered::of(&source, &request, &mut |cid| {
                    waits += 1;
                    let first = slow.looked.lock().unwrap().insert(cid);
                    assert!(first, "{cid} is asked for again");
                });
                assert_eq!(in_the_end, at_once, "{method} {path} {query} {headers:?}");
                answers += 1;
            }
        }
    }
    assert!(
        answers > 10_000 && waits > answers,
        "{answers} answers, {waits} waits"
    );
}
