//! Properties that hold for every input that our own writers can make: what is written reads back as
//! the same value, however the bytes are split on their way.
//!
//! The seed is fixed, so each run checks the same inputs. `PROPTEST_CASES` sets how many inputs a
//! property gets, `PROPTEST_RNG_SEED` another seed. A failure prints the smallest input that it found.
#![cfg(test)]

use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::car;
use interplanar_core::cid::{self, Cid, IpfsUrl, Version};
use interplanar_core::dag_pb::{Link, Node};
use interplanar_core::decompress::{Decoder, DecompressError, Limits};
use interplanar_core::dedup::{Index, IndexBody, IndexBuilder, Parameters, PieceEntry};
use interplanar_core::hash::Sha256;
use interplanar_core::nar::{
    self, Encoder, Event, Listing, NarSkimmer, Parser, Restore, RestoreStep,
};
use interplanar_core::narinfo::{Compression, Dialect, Draft, Entry, NarInfo};
use interplanar_core::nix_base32;
use interplanar_core::signature::{guix, nix};
use interplanar_core::store_path::StorePath;
use interplanar_core::trust::TrustedKeys;
use interplanar_core::unixfs::{
    Budget, Builder, Data, DirectoryBuilder, Entries, NodeType, Profile, Resolver, Walker,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::num::NonZeroU64;

/// Returns the settings of a property that `cases` inputs check.
fn config(cases: u32) -> ProptestConfig {
    let is_set = |name| std::env::var_os(name).is_some();
    let mut config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if !is_set("PROPTEST_CASES") {
        config.cases = cases;
    }
    if !is_set("PROPTEST_RNG_SEED") {
        config.rng_seed = RngSeed::Fixed(11);
    }
    config
}

/// The lengths of pieces into which an input is split. They repeat until the input ends.
fn cuts() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![1..9_usize, 1..700_usize], 1..8)
}

/// Splits bytes into pieces with these lengths.
fn split<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let (mut rest, mut pieces) = (bytes, vec![]);
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, tail) = rest.split_at((*cut).min(rest.len()));
        pieces.push(piece);
        rest = tail;
    }
    pieces
}

/// Bytes in which compressors find repetitions: noise, runs and copies of what came before.
fn content(longest: usize) -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        vec(any::<u8>(), 1..200).prop_map(Part::Noise),
        (any::<u8>(), 1..2000_usize).prop_map(|(byte, length)| Part::Run(byte, length)),
        (1..5000_usize, 1..900_usize).prop_map(|(back, length)| Part::Copy(back, length)),
    ];
    vec(part, 0..24).prop_map(move |parts| {
        let mut bytes = vec![];
        for part in parts {
            match part {
                Part::Noise(noise) => bytes.extend(noise),
                Part::Run(byte, length) => bytes.resize(bytes.len() + length, byte),
                Part::Copy(back, length) => {
                    let start = bytes.len().saturating_sub(back);
                    let end = bytes.len().min(start + length);
                    bytes.extend_from_within(start..end);
                }
            }
        }
        bytes.truncate(longest);
        bytes
    })
}

#[derive(Debug, Clone)]
enum Part {
    Noise(Vec<u8>),
    Run(u8, usize),
    Copy(usize, usize),
}

// NARs

#[derive(Debug, Clone, PartialEq)]
enum Tree {
    File(bool, Vec<u8>),
    Link(Vec<u8>),
    Directory(BTreeMap<Vec<u8>, Tree>),
}

/// A name that a NAR may contain: mostly letters, sometimes any bytes.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let bytes = vec(
        any::<u8>().prop_filter("no separator", |b| *b != 0 && *b != b'/'),
        1..40,
    );
    prop_oneof![
        4 => "[a-zA-Z0-9._+-]{1,12}".prop_map(String::into_bytes),
        1 => "\\PC{1,8}".prop_map(|name: String| name.replace('/', "_").into_bytes()),
        1 => bytes,
        1 => Just(vec![b'x'; nar::MAX_NAME]),
    ]
    .prop_filter("a name", |name| {
        name != b"." && name != b".." && !name.contains(&0)
    })
}

fn tree() -> impl Strategy<Value = Tree> {
    let target = vec(any::<u8>().prop_filter("no NUL", |byte| *byte != 0), 1..60);
    let leaf = prop_oneof![
        (any::<bool>(), vec(any::<u8>(), 0..50)).prop_map(|(x, bytes)| Tree::File(x, bytes)),
        target.prop_map(Tree::Link),
    ];
    leaf.prop_recursive(5, 24, 5, |inner| {
        btree_map(name(), inner, 0..5).prop_map(Tree::Directory)
    })
}

fn encode(tree: &Tree) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::new(), vec![]);
    put(tree, &mut encoder, &mut out);
    encoder.write(Event::End, &mut out).unwrap();
    out
}

fn put(tree: &Tree, encoder: &mut Encoder, out: &mut Vec<u8>) {
    let mut write = |event| encoder.write(event, out).unwrap();
    match tree {
        Tree::File(executable, bytes) => {
            write(Event::FileStart {
                executable: *executable,
                size: bytes.len() as u64,
                offset: 0,
            });
            write(Event::FileData(bytes));
            write(Event::FileEnd);
        }
        Tree::Link(target) => write(Event::Symlink { target }),
        Tree::Directory(entries) => {
            write(Event::DirectoryStart);
            for (name, entry) in entries {
                encoder.write(Event::EntryStart { name }, out).unwrap();
                put(entry, encoder, out);
                encoder.write(Event::EntryEnd, out).unwrap();
            }
            encoder.write(Event::DirectoryEnd, out).unwrap();
        }
    }
}

/// Unpacks an archive by its restore plan. Returns the tree, the listing and the archive as the
/// encoder writes it again.
fn unpack(pieces: &[&[u8]]) -> (Tree, Listing, Vec<u8>) {
    let (mut parser, mut restore, mut listing) = (Parser::new(), Restore::new(), Listing::new());
    let (mut encoder, mut again) = (Encoder::new(), vec![]);
    let mut made: BTreeMap<Vec<u8>, Tree> = BTreeMap::new();
    let mut current = vec![];
    for piece in pieces {
        let mut rest = *piece;
        while let Some(event) = parser.push(&mut rest).unwrap() {
            listing.push(event).unwrap();
            encoder.write(event, &mut again).unwrap();
            match restore.step(event) {
                Some(RestoreStep::CreateDirectory { path }) => {
                    made.insert(path.to_vec(), Tree::Directory(BTreeMap::new()));
                }
                Some(RestoreStep::CreateFile {
                    path, executable, ..
                }) => {
                    current = path.to_vec();
                    made.insert(path.to_vec(), Tree::File(executable, vec![]));
                }
                Some(RestoreStep::Write(bytes)) => match made.get_mut(&current) {
                    Some(Tree::File(_, content)) => content.extend_from_slice(bytes),
                    other => panic!("content for {other:?}"),
                },
                Some(RestoreStep::Symlink { path, target }) => {
                    made.insert(path.to_vec(), Tree::Link(target.to_vec()));
                }
                Some(RestoreStep::FinishDirectory { .. } | RestoreStep::FinishFile { .. })
                | None => {}
            }
        }
    }
    parser.finish().unwrap();
    (assemble(made), listing, again)
}

/// Puts files and folders, each under its path, back into one tree.
fn assemble(mut made: BTreeMap<Vec<u8>, Tree>) -> Tree {
    // A path sorts after the path of its folder, so the deepest ones come first here.
    while let Some((path, node)) = made.pop_last() {
        if path.is_empty() {
            return node;
        }
        let at = path.iter().rposition(|byte| *byte == b'/');
        let (parent, name) = at.map_or((&[][..], &path[..]), |at| (&path[..at], &path[at + 1..]));
        match made.get_mut(parent) {
            Some(Tree::Directory(entries)) => drop(entries.insert(name.to_vec(), node)),
            other => panic!("{other:?} has entries"),
        }
    }
    panic!("an archive without a root")
}

fn all_names_are_text(listing: &Listing) -> bool {
    let is_text = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
    listing.entries().iter().all(|entry| {
        let target = match &entry.node {
            nar::Node::Symlink { target } => is_text(target),
            nar::Node::Directory | nar::Node::File { .. } => true,
        };
        is_text(&entry.name) && target
    })
}

proptest! {
    #![proptest_config(config(384))]

    #[test]
    fn a_tree_survives_its_archive_listing_and_restore_plan(tree in tree(), cuts in cuts()) {
        let archive = encode(&tree);
        let (whole, listing, again) = unpack(&[&archive]);
        prop_assert_eq!(&whole, &tree);
        prop_assert_eq!(&again, &archive);
        let (split_tree, split_listing, _) = unpack(&split(&archive, &cuts));
        prop_assert_eq!(&split_tree, &tree);
        prop_assert_eq!(&split_listing, &listing);
        if all_names_are_text(&listing) {
            prop_assert_eq!(Listing::from_json(&listing.to_json()), Some(listing.clone()));
        }
        for entry in listing.entries() {
            if let nar::Node::File { size, nar_offset, .. } = entry.node {
                prop_assert!(nar_offset + size <= archive.len() as u64);
            }
        }
        // A skimmer finds the same entries without the contents.
        let mut skimmer = NarSkimmer::new();
        while !skimmer.is_done() {
            let at = usize::try_from(skimmer.position()).unwrap();
            let end = archive.len().min(at + cuts[at % cuts.len()]);
            skimmer.push(&archive[at..end]).unwrap();
        }
        prop_assert_eq!(skimmer.listing(), &listing);
    }

    #[test]
    fn any_change_of_a_nar_is_an_error_or_another_tree(
        tree in tree(), at in any::<prop::sample::Index>(), bits in 1..=u8::MAX,
    ) {
        let mut archive = encode(&tree);
        let at = at.index(archive.len());
        archive[at] ^= bits;
        let (mut parser, mut encoder, mut again) = (Parser::new(), Encoder::new(), vec![]);
        let mut rest = archive.as_slice();
        let parsed = loop {
            match parser.push(&mut rest) {
                Ok(Some(event)) => encoder.write(event, &mut again).unwrap(),
                Ok(None) => break parser.finish(),
                Err(error) => break Err(error),
            }
        };
        // A NAR has one encoding: what parses is what the encoder writes for its tree.
        if parsed.is_ok() {
            prop_assert_eq!(again, archive);
        }
    }
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn every_split_in_two_gives_the_same_tree(tree in tree()) {
        let archive = encode(&tree);
        for at in 0..=archive.len() {
            let (head, tail) = archive.split_at(at);
            prop_assert_eq!(unpack(&[head, tail]).0, tree.clone(), "split at {}", at);
        }
    }
}

// Narinfos

fn store_path(directory: &'static str) -> impl Strategy<Value = StorePath> {
    (any::<[u8; 20]>(), "[0-9a-zA-Z+_?=-][0-9a-zA-Z+._?=-]{0,40}").prop_map(move |(hash, name)| {
        let base = format!("{}-{name}", nix_base32::encode(&hash));
        StorePath::in_directory(directory, &base).unwrap()
    })
}

fn sha256() -> impl Strategy<Value = Sha256> {
    any::<[u8; 32]>().prop_map(Sha256::from_bytes)
}

fn entry() -> impl Strategy<Value = Entry> {
    let url = prop_oneof![
        "nar/[a-z0-9/._%-]{1,30}",
        "https?://[a-z0-9.]{1,20}(:[0-9]{1,4})?/[!-~]{0,20}",
        "ipfs://[a-z2-7]{1,59}",
    ];
    let compression = prop::sample::select(Compression::ALL.to_vec());
    let size = prop::option::of(any::<u64>());
    (url, compression, size, prop::option::of(sha256())).prop_map(
        |(url, compression, file_size, file_hash)| Entry {
            url,
            compression,
            file_size,
            file_hash,
        },
    )
}

fn draft(directory: &'static str) -> impl Strategy<Value = Draft> {
    let references = vec(store_path(directory), 0..6);
    let references = references.prop_map(|paths| {
        let mut names: Vec<String> = paths
            .iter()
            .map(|path| path.base_name().to_owned())
            .collect();
        names.sort();
        names
    });
    let text = || prop::option::of("[a-z0-9:._-]{1,40}");
    let entries = vec(entry(), 1..5);
    let extra = prop::option::of("[ -~]{1,30}");
    (
        (
            store_path(directory),
            entries,
            sha256(),
            any::<u64>(),
            references,
        ),
        (text(), text(), text(), extra),
    )
        .prop_map(
            |((store_path, entries, nar_hash, nar_size, references), texts)| {
                let (deriver, system, ca, extra) = texts;
                Draft {
                    store_path,
                    entries,
                    nar_hash,
                    nar_size,
                    references,
                    deriver,
                    system,
                    ca,
                    signatures: vec![],
                    extra: extra
                        .into_iter()
                        .map(|value| ("Interplanar", value))
                        .collect(),
                }
            },
        )
}

/// Checks that a narinfo reads back as what the draft says.
fn reads_back(draft: &Draft, info: &NarInfo, dialect: Dialect) -> Result<(), TestCaseError> {
    let text = info.to_string();
    let again = NarInfo::parse(text.as_bytes()).unwrap();
    prop_assert_eq!(&again, info);
    prop_assert_eq!(again.to_string(), text);
    prop_assert_eq!(again.dialect(), dialect);
    prop_assert_eq!(again.store_path(), &draft.store_path);
    prop_assert_eq!(again.nar_hash(), draft.nar_hash);
    prop_assert_eq!(again.nar_size(), draft.nar_size);
    prop_assert_eq!(again.references(), draft.references.as_slice());
    prop_assert_eq!(again.deriver(), draft.deriver.as_deref());
    let mut entries = draft.entries.clone();
    if dialect == Dialect::Guix {
        // Guix has no FileHash.
        entries.iter_mut().for_each(|entry| entry.file_hash = None);
        prop_assert_eq!(again.system(), draft.system.as_deref());
    } else {
        prop_assert_eq!(again.ca(), draft.ca.as_deref());
    }
    prop_assert_eq!(again.entries(), entries.as_slice());
    Ok(())
}

fn is_trusted(keys: &TrustedKeys, info: &NarInfo) -> bool {
    keys.verify(info).is_ok()
}

/// Checks that a narinfo verifies with its key and no other, and not after a change of what is signed.
fn verifies(info: &NarInfo, right: &TrustedKeys, other: &TrustedKeys) -> Result<(), TestCaseError> {
    prop_assert!(is_trusted(right, info));
    prop_assert!(!is_trusted(other, info));
    let text = info.to_string();
    let size = format!("NarSize: {}\n", info.nar_size());
    let forged = text.replacen(&size, &format!("NarSize: {}\n", info.nar_size() ^ 1), 1);
    prop_assert_ne!(&forged, &text);
    prop_assert!(!is_trusted(
        right,
        &NarInfo::parse(forged.as_bytes()).unwrap()
    ));
    // Entries are hints: no signature covers them.
    let mut elsewhere = info.clone();
    elsewhere.set_entries(vec![Entry {
        url: "nar/elsewhere".into(),
        compression: Compression::None,
        file_size: None,
        file_hash: None,
    }]);
    prop_assert!(is_trusted(
        right,
        &NarInfo::parse(elsewhere.to_string().as_bytes()).unwrap()
    ));
    Ok(())
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn a_guix_narinfo_reads_back_and_verifies(draft in draft("/gnu/store"), seeds in any::<[[u8; 32]; 2]>()) {
        let [key, other] = seeds.map(|seed| guix::SecretKey::from_seed(&seed).unwrap());
        let info = draft.clone().sign_guix(&key, "a;host\n").unwrap();
        reads_back(&draft, &info, Dialect::Guix)?;
        let trusted = |key: &guix::SecretKey| TrustedKeys {
            guix: vec![key.public_key().clone()],
            ..TrustedKeys::default()
        };
        verifies(&info, &trusted(&key), &trusted(&other))?;
        let signature = guix::Signature::parse(info.guix_signature().unwrap()).unwrap();
        prop_assert_eq!(guix::Signature::parse(&signature.to_string()), Ok(signature));
        let again = guix::SecretKey::parse(&key.expose()).unwrap();
        prop_assert_eq!(again.public_key(), key.public_key());
    }

    #[test]
    fn a_nix_narinfo_reads_back_and_verifies(draft in draft("/nix/store"), seeds in any::<[[u8; 32]; 2]>()) {
        let [key, other] = seeds.map(|seed| nix::SecretKey::from_seed("cache-1", &seed).unwrap());
        let keys = [nix::SecretKey::parse(&key.expose()).unwrap()];
        let info = draft.clone().sign_nix(&keys).unwrap();
        reads_back(&draft, &info, Dialect::Nix)?;
        let trusted = |key: &nix::SecretKey| TrustedKeys {
            nix: vec![nix::PublicKey::parse(&key.public_key().to_string()).unwrap()],
            ..TrustedKeys::default()
        };
        verifies(&info, &trusted(&key), &trusted(&other))?;
    }

    #[test]
    fn hashes_store_paths_and_base_32_read_back(bytes in vec(any::<u8>(), 0..70), hash in sha256(), path in store_path("/nix/store")) {
        prop_assert_eq!(nix_base32::decode(&nix_base32::encode(&bytes)), Ok(bytes));
        let hex = format!("sha256:{}", hash.to_hex());
        for text in [hash.to_string(), hash.to_sri(), hex] {
            prop_assert_eq!(Sha256::parse(&text), Ok(hash));
        }
        prop_assert_eq!(StorePath::parse(path.as_str()), Ok(path));
    }
}

// CIDs, nodes and files

fn cid() -> impl Strategy<Value = Cid> {
    let codec = prop_oneof![Just(cid::RAW), Just(cid::DAG_PB), Just(cid::DAG_CBOR)];
    (any::<bool>(), codec, sha256()).prop_map(|(v0, codec, digest)| {
        let version = if v0 { Version::V0 } else { Version::V1 };
        cid::of_sha256(version, codec, &digest)
    })
}

fn profile() -> impl Strategy<Value = Profile> {
    (1..700_u32, any::<bool>(), any::<bool>(), 2..9_usize).prop_map(
        |(chunk, v1, raw_leaves, links)| {
            let cid_version = if v1 { Version::V1 } else { Version::V0 };
            Profile {
                chunk,
                cid_version,
                raw_leaves,
                links,
            }
        },
    )
}

/// Builds a file from pieces with these lengths. Returns the root and all blocks.
fn build(bytes: &[u8], profile: Profile, cuts: &[usize]) -> (Cid, HashMap<Cid, Block>) {
    let mut blocks = HashMap::new();
    let mut sink = |block: Block| drop(blocks.insert(*block.cid(), block));
    let mut builder = Builder::new(profile);
    for piece in split(bytes, cuts) {
        builder.push(piece, &mut sink);
    }
    let built = builder.finish(&mut sink);
    assert_eq!(built.size, bytes.len() as u64);
    (built.cid, blocks)
}

/// Reads a file, with up to `ahead` blocks wanted at once, the last of them first.
fn walk(mut walker: Walker, blocks: &HashMap<Cid, Block>, ahead: usize) -> Vec<u8> {
    let mut bytes = vec![];
    while !walker.is_done() {
        let wanted = walker.wants(ahead).unwrap();
        for cid in wanted.iter().rev() {
            walker.push(blocks[cid].clone()).unwrap();
        }
        while let Some(piece) = walker.next() {
            bytes.extend_from_slice(&piece);
        }
    }
    bytes
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn a_file_reads_back_whole_and_in_parts(
        bytes in content(20_000), profile in profile(), cuts in cuts(), ahead in 1..9_usize,
        ends in any::<[prop::sample::Index; 2]>(),
    ) {
        let (root, blocks) = build(&bytes, profile, &cuts);
        prop_assert_eq!(build(&bytes, profile, &[usize::MAX]).0, root);
        let budget = Budget { output: bytes.len() as u64, ..Budget::default() };
        let mut walker = Walker::new(root, budget);
        prop_assert_eq!(walker.wants(9).unwrap(), vec![root]);
        walker.push(blocks[&root].clone()).unwrap();
        prop_assert_eq!(walker.size(), Some(bytes.len() as u64));
        prop_assert_eq!(&walk(Walker::new(root, budget), &blocks, ahead), &bytes);
        if !bytes.is_empty() {
            let [one, other] = ends.map(|end| end.index(bytes.len()));
            let (from, to) = (one.min(other), one.max(other));
            let range = Walker::with_range(root, from as u64, Some(to as u64), budget);
            prop_assert_eq!(walk(range, &blocks, ahead), &bytes[from..=to]);
        }
    }

    #[test]
    fn a_directory_lists_and_resolves_what_was_added(
        entries in btree_map("[^/\0]{1,20}", (cid(), 0..u64::from(u32::MAX)), 0..20), v1 in any::<bool>(),
    ) {
        let entries: BTreeMap<String, (Cid, u64)> = entries
            .into_iter()
            .filter(|(name, _)| name != "." && name != "..")
            .collect();
        let version = if v1 { Version::V1 } else { Version::V0 };
        check_directory(&entries, version)?;
    }

    #[test]
    fn nodes_and_cids_read_back(
        links in vec((cid(), vec(any::<u8>(), 0..20), any::<u64>()), 0..8),
        data in prop::option::of(vec(any::<u8>(), 0..60)),
        sizes in vec(any::<u64>(), 0..6), hamt in any::<[Option<u64>; 3]>(), kind in 0..5_usize,
        path in vec("[^/]{1,9}", 0..4),
    ) {
        let kinds = [NodeType::Raw, NodeType::Directory, NodeType::File, NodeType::Symlink, NodeType::HamtShard];
        let [filesize, hash_type, fanout] = hamt;
        let message = Data {
            data: data.clone().map(Bytes::from),
            filesize,
            blocksizes: sizes,
            hash_type,
            fanout,
            ..Data::new(kinds[kind])
        };
        prop_assert_eq!(Data::decode(&message.encode()), Ok(message));
        for (each, ..) in &links {
            prop_assert_eq!(cid::parse(&cid::text(each)), Ok(*each));
            let mut url = IpfsUrl::new(*each);
            url.path.clone_from(&path);
            prop_assert_eq!(IpfsUrl::parse(&url.to_string()), Ok(url));
        }
        let links = links.into_iter().map(|(cid, name, tsize)| Link { cid, name: name.into(), tsize });
        let node = Node { links: links.collect(), data: data.map(Bytes::from) };
        prop_assert_eq!(Node::decode(&node.encode()), Ok(node));
    }
}

proptest! {
    #![proptest_config(config(5))]

    #[test]
    fn a_sharded_directory_lists_and_resolves_what_was_added(
        entries in btree_map("[a-z0-9]{220}", (cid(), 0..1_u64 << 40), 1_100..1_300),
    ) {
        check_directory(&entries, Version::V1)?;
    }
}

fn check_directory(
    entries: &BTreeMap<String, (Cid, u64)>,
    version: Version,
) -> Result<(), TestCaseError> {
    let mut blocks = HashMap::new();
    let mut builder = DirectoryBuilder::new(version);
    for (name, (cid, tsize)) in entries.iter().rev() {
        builder.add(name.clone().into(), *cid, *tsize);
    }
    let built = builder
        .finish(&mut |block| drop(blocks.insert(*block.cid(), block)))
        .unwrap();
    let mut listing = Entries::new(built.cid, Budget::default());
    let mut listed = BTreeMap::new();
    while !listing.is_done() {
        for cid in listing.wants(3) {
            listing.push(&blocks[&cid]).unwrap();
        }
        while let Some(entry) = listing.next() {
            let name = String::from_utf8(entry.name.to_vec()).unwrap();
            prop_assert_eq!(listed.insert(name, (entry.cid, entry.tsize)), None);
        }
    }
    prop_assert_eq!(&listed, entries);
    for (name, (cid, _)) in entries.iter().step_by(1 + entries.len() / 20) {
        let mut resolver = Resolver::new(built.cid, vec![name.clone()], Budget::default());
        while let Some(wanted) = resolver.wants() {
            resolver.push(blocks[&wanted].clone()).unwrap();
        }
        prop_assert_eq!(resolver.resolved().unwrap().cid, *cid);
    }
    Ok(())
}

// CARs and chunk indexes

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn a_car_reads_back_however_it_is_split(
        roots in vec(cid(), 0..5), blocks in vec((cid(), vec(any::<u8>(), 0..300)), 0..8), cuts in cuts(),
    ) {
        let mut stream = car::header(&roots);
        let mut expected = vec![car::Item::Header { roots }];
        for (cid, data) in blocks {
            stream.extend(car::block_prefix(&cid, data.len()));
            stream.extend(&data);
            expected.push(car::Item::Block { cid, data: data.into() });
        }
        let (mut reader, mut items) = (car::Reader::new(), vec![]);
        for piece in split(&stream, &cuts) {
            let mut piece = Bytes::copy_from_slice(piece);
            while let Some(item) = reader.push(&mut piece).unwrap() {
                items.push(item);
            }
        }
        prop_assert_eq!(reader.finish(), Ok(()));
        prop_assert_eq!(reader.offset(), stream.len() as u64);
        prop_assert_eq!(items, expected);
    }

    #[test]
    fn a_chunk_index_reads_back(pieces in vec((1..4_u32 << 20, 1..4_u32 << 20, sha256(), sha256()), 0..40)) {
        let (mut blocks, mut expected, mut offset) = (vec![], vec![], 0);
        let mut builder = IndexBuilder::new(Parameters::LARGE);
        for (length, compressed, plain, leaf) in pieces {
            let leaves = vec![leaf; (compressed as usize).div_ceil(1 << 20)];
            let piece = PieceEntry { offset, length, compressed, plain, leaves };
            offset = piece.end();
            expected.push(piece.clone());
            builder.add(piece, &mut |block| blocks.push(block));
        }
        let root = builder.finish(&mut |block| blocks.push(block));
        let index = Index::of_nar(blocks[0].data(), offset).unwrap();
        prop_assert_eq!(*index.encode().cid(), root);
        prop_assert_eq!(index.body, IndexBody::Pieces(expected));
    }
}

// Compression

fn decode(
    method: Compression,
    pieces: &[&[u8]],
    limits: Limits,
) -> Result<Vec<u8>, DecompressError> {
    let (mut decoder, mut out) = (Decoder::new(method, limits)?, vec![]);
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            decoder.push(&mut rest, &mut out)?;
        }
    }
    while !decoder.finish(&mut out)? {}
    Ok(out)
}

/// Compresses bytes with an encoder that isn't ours.
fn compress(method: Compression, bytes: &[u8], level: u32) -> Vec<u8> {
    match method {
        Compression::Zstd => {
            let mut encoder =
                zstd::Encoder::new(vec![], 1 + i32::try_from(level).unwrap()).unwrap();
            encoder.include_checksum(level.is_multiple_of(2)).unwrap();
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Gzip => {
            let builder = flate2::GzBuilder::new()
                .filename("name")
                .comment("comment")
                .extra("extra");
            let mut encoder = builder.write(vec![], flate2::Compression::new(level));
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Xz => {
            let mut options = lzma_rust2::XzOptions::with_preset(level);
            options.lzma_options.dict_size = 4096 << (level % 4);
            options.set_block_size(NonZeroU64::new(8192));
            options.set_check_sum_type(match level % 4 {
                0 => lzma_rust2::CheckType::None,
                1 => lzma_rust2::CheckType::Crc32,
                2 => lzma_rust2::CheckType::Crc64,
                _ => lzma_rust2::CheckType::Sha256,
            });
            let mut encoder = lzma_rust2::XzWriter::new(vec![], options).unwrap();
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Lzip => {
            let mut options = lzma_rust2::LzipOptions::with_preset(level);
            options.lzma_options.dict_size = 4096 << (level % 4);
            options.set_member_size(NonZeroU64::new(8192));
            let mut encoder = lzma_rust2::LzipWriter::new(vec![], options);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::None | Compression::Bzip2 | Compression::Br => bytes.to_vec(),
    }
}

fn method() -> impl Strategy<Value = Compression> {
    prop::sample::select(vec![
        Compression::None,
        Compression::Gzip,
        Compression::Zstd,
        Compression::Xz,
        Compression::Lzip,
    ])
}

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn a_compressed_stream_gives_its_bytes_however_it_is_split(
        method in method(), bytes in content(40_000), level in 0..6_u32, cuts in cuts(), more in content(500),
    ) {
        let mut packed = compress(method, &bytes, level);
        packed.extend(compress(method, &more, level));
        let plain = [bytes.as_slice(), &more].concat();
        let limits = Limits { max_output: plain.len() as u64, max_window: 8 << 20 };
        prop_assert_eq!(decode(method, &[&packed], limits), Ok(plain.clone()));
        prop_assert_eq!(decode(method, &split(&packed, &cuts), limits), Ok(plain));
        if let Some(limit) = limits.max_output.checked_sub(1) {
            let tight = Limits { max_output: limit, ..limits };
            let result = decode(method, &split(&packed, &cuts), tight);
            prop_assert_eq!(result, Err(DecompressError::OutputLimit { limit }));
        }
    }

    #[test]
    fn a_damaged_stream_fails_equally_however_it_is_split(
        method in method(), bytes in content(3_000), level in 0..6_u32, cuts in cuts(),
        at in any::<prop::sample::Index>(), bits in 1..=u8::MAX,
    ) {
        let mut packed = compress(method, &bytes, level);
        if packed.is_empty() {
            return Ok(());
        }
        let at = at.index(packed.len());
        packed[at] ^= bits;
        let limits = Limits { max_output: 1 << 20, max_window: 1 << 20 };
        let (whole, pieces) = (decode(method, &[&packed], limits), decode(method, &split(&packed, &cuts), limits));
        // Offsets in errors are approximate: they say how much input the decoder had taken.
        match (whole, pieces) {
            (Ok(whole), Ok(pieces)) => prop_assert_eq!(whole, pieces),
            (Err(whole), Err(pieces)) => {
                prop_assert_eq!(std::mem::discriminant(&whole), std::mem::discriminant(&pieces));
            }
            (whole, pieces) => prop_assert!(false, "whole: {whole:?}, in pieces: {pieces:?}"),
        }
    }
}
