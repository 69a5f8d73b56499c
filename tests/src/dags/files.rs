//! Files. The name of a shape says its chunker, layout, version of CIDs and leaves: `file/size-256/balanced/v0/raw`.

use super::{Dags, lines, with_kubo};
use crate::kubo::Repo;
use crate::noise;
use interplanar_core::block::Block;
use interplanar_core::cid::{Cid, Version};
use interplanar_core::unixfs::{Builder, MAX_LINKS, Profile};

/// Bytes and chunkers of the small files, in which every combination is built. Their nodes have at most [`SMALL_LINKS`] links.
const SMALL: [(&str, usize); 6] = [
    ("size-256", 0),
    ("size-256", 200),
    ("size-256", 1026),
    ("size-64", 900),
    ("rabin-64-128-256", 1500),
    ("rabin-16-32-64", 300),
];
const SMALL_LINKS: usize = 5;

/// Bytes and chunkers of the large files.
const LARGE: [(&str, usize); 4] = [
    ("size-262144", 530_000),
    ("size-1048576", 1_050_000),
    ("rabin", 530_000),
    ("buzhash", 530_000),
];

/// Version of CIDs, and whether leaves are raw.
const LEAVES: [(Version, bool); 4] = [
    (Version::V0, false),
    (Version::V0, true),
    (Version::V1, false),
    (Version::V1, true),
];

fn name(chunker: &str, length: usize, layout: &str, version: Version, raw: bool) -> String {
    let version = if version == Version::V0 { "v0" } else { "v1" };
    let leaves = if raw { "raw" } else { "nodes" };
    format!("file/{chunker}/{length}/{layout}/{version}/{leaves}")
}

/// The large ones hold bytes that repeat nowhere, so that rabin and buzhash find places to cut.
fn content(length: usize) -> Vec<u8> {
    if length > 100_000 {
        noise(10, length)
    } else {
        lines(length, length)
    }
}

/// Stores a file of ours.
pub(super) fn store(dags: &mut Dags, profile: Profile, content: &[u8]) -> Cid {
    let mut builder = Builder::new(profile);
    builder.push(content, &mut |block| dags.keep(block));
    builder.finish(&mut |block| dags.keep(block)).cid
}

/// Stores a text as one raw leaf.
pub(super) fn text(dags: &mut Dags, text: &str) -> Cid {
    dags.put(Block::raw(text.to_owned().into()))
}

/// Builds with our own builder: fixed chunks, balanced.
pub(super) fn build(dags: &mut Dags) {
    for (chunker, length, links, all) in combinations() {
        let Some(chunk) = chunker
            .strip_prefix("size-")
            .and_then(|size| size.parse().ok())
        else {
            continue;
        };
        for (cid_version, raw_leaves) in LEAVES {
            if all || raw_leaves == (cid_version == Version::V1) {
                let profile = Profile {
                    chunk,
                    cid_version,
                    raw_leaves,
                    links,
                };
                let root = store(dags, profile, &content(length));
                let name = name(chunker, length, "balanced", cid_version, raw_leaves);
                dags.add(&name, root, &[]);
            }
        }
    }
    let text = b"inline\n";
    let inline = Cid::try_from(&[&[1, 0x55, 0, text.len() as u8][..], text].concat()[..]);
    dags.add("file/inline", inline.expect("a CID"), &["", "/nope"]);
}

/// Builds with Kubo: every chunker, in both layouts.
pub(super) fn build_with_kubo(dags: &mut Dags, repo: &Repo) {
    let mut added = Vec::new();
    for (chunker, length, links, all) in combinations() {
        let file = repo.file(&format!("{chunker}-{length}"), &content(length));
        for layout in ["balanced", "trickle"] {
            for (version, raw) in LEAVES {
                let few = raw == (version == Version::V1) && (layout == "balanced" || raw);
                if !all && !few {
                    continue;
                }
                let mut add = repo.ipfs();
                add.args(["add", "-Q", "--pin=false"])
                    .arg(format!("--chunker={chunker}"))
                    .arg(format!("--cid-version={}", u64::from(version)))
                    .arg(format!("--raw-leaves={raw}"))
                    .arg(format!("--trickle={}", layout == "trickle"))
                    .arg(format!("--max-file-links={links}"))
                    .arg(&file);
                let root = with_kubo::root(&mut add);
                added.push((name(chunker, length, layout, version, raw), root));
            }
        }
    }
    let inline = repo.file("inline", b"inline\n");
    let mut add = repo.ipfs();
    add.args(["add", "-Q", "--pin=false", "--cid-version=1", "--inline"]);
    added.push(("file/inline".to_owned(), with_kubo::root(add.arg(inline))));
    with_kubo::store(dags, repo, &added);
}

/// Chunker, bytes, links of a node at most, and whether every combination of leaves is built.
fn combinations() -> impl Iterator<Item = (&'static str, usize, usize, bool)> {
    let small = SMALL.map(|(chunker, length)| (chunker, length, SMALL_LINKS, true));
    let large = LARGE.map(|(chunker, length)| (chunker, length, MAX_LINKS, false));
    small.into_iter().chain(large)
}
