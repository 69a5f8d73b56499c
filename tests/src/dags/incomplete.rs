//! DAGs of which a block is missing. No other DAG has that block.

use super::{Dags, directories, documents, files, lines, with_kubo};
use crate::kubo::Repo;
use crate::noise;
use interplanar_core::block::Block;
use interplanar_core::cid::{Cid, DAG_PB, RAW, Version};
use interplanar_core::dag_pb::Node;
use interplanar_core::unixfs::{MAX_LINKS, Profile};

/// Builds with our own builders.
pub(super) fn build(dags: &mut Dags) {
    for (cid_version, raw_leaves, name) in [(Version::V0, false, "v0"), (Version::V1, true, "v1")] {
        let profile = Profile {
            chunk: 1024,
            cid_version,
            raw_leaves,
            links: MAX_LINKS,
        };
        let root = files::store(dags, profile, &noise(20, 3072));
        let second = links(dags, &root)[1];
        dags.blocks.remove(&second);
        dags.add(&format!("incomplete/file/{name}"), root, &[]);
    }
    // The first leaf, and a node between the root and the leaves.
    let profile = Profile {
        chunk: 64,
        cid_version: Version::V1,
        raw_leaves: true,
        links: 4,
    };
    let root = files::store(dags, profile, &noise(21, 500));
    let first = links(dags, &links(dags, &root)[0])[0];
    dags.blocks.remove(&first);
    dags.add("incomplete/file/first-leaf", root, &[]);
    let root = files::store(dags, profile, &noise(22, 500));
    let second = links(dags, &root)[1];
    dags.blocks.remove(&second);
    dags.add("incomplete/file/node", root, &[]);

    let absent = *Block::raw(lines(9, 30).into()).cid();
    let absent_folder = *Block::dag_pb(lines(10, 30).into(), Version::V1).cid();
    let here = files::text(dags, "here\n");
    let entries: [(&[u8], Cid); 3] = [
        (b"absent.txt", absent),
        (b"folder", absent_folder),
        (b"here.txt", here),
    ];
    let root = directories::store(dags, Version::V1, &entries);
    let paths = ["/absent.txt", "/folder", "/folder/x", "/here.txt"];
    dags.add("incomplete/directory", root, &paths);
    let root = directories::store(dags, Version::V1, &[(b"index.html", absent)]);
    dags.add("incomplete/index", root, &["/", "/index.html"]);
    documents::incomplete(dags, &absent);
    dags.add("incomplete/nothing", absent, &["", "/x"]);
    dags.add("incomplete/nothing-dag-pb", absent_folder, &["", "/x"]);
}

/// A sharded directory of Kubo without one of its shards.
pub(super) fn build_with_kubo(dags: &mut Dags, repo: &Repo) {
    let names: Vec<String> = (100..140).map(|number| format!("{number}.txt")).collect();
    let entries: Vec<(&[u8], with_kubo::Entry<'_>)> = names
        .iter()
        .map(|name| {
            (
                name.as_bytes(),
                with_kubo::Entry::File(b"of the incomplete\n"),
            )
        })
        .collect();
    let folder = with_kubo::folder(repo, "incomplete", &entries);
    let mut add = repo.ipfs();
    add.args(["add", "-r", "-Q", "--pin=false", "--cid-version=1"]);
    add.args(["--max-directory-links=8", "--max-hamt-fanout=16"]);
    let root = with_kubo::root(add.arg(folder));
    let name = "incomplete/sharded".to_owned();
    let paths: Vec<String> = names.iter().map(|name| format!("/{name}")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).step_by(4).collect();
    dags.add(&name, root, &paths);
    with_kubo::store(dags, repo, &[(name, root)]);
    let shard = links(dags, &root)
        .into_iter()
        .find(|cid| cid.codec() != RAW);
    dags.blocks.remove(&shard.expect("a shard"));
}

fn links(dags: &Dags, cid: &Cid) -> Vec<Cid> {
    assert_eq!(cid.codec(), DAG_PB);
    let node = Node::decode(&dags.blocks[cid]).expect("a node");
    node.links.iter().map(|link| link.cid).collect()
}
