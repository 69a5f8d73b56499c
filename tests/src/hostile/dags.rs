//! dag-pb nodes, UnixFS messages, files, directories and shards.

use super::{Case, Cases, Reader, car};
use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::cid::{Cid, Version};
use interplanar_core::dag_pb::{Link, Node};
use interplanar_core::unixfs::{Data, NodeType};

pub(super) fn cases() -> Vec<Case> {
    let mut list = dag_pb();
    list.extend(messages());
    list.extend(files());
    list.extend(directories());
    list
}

fn leaf() -> Block {
    Block::raw(Bytes::from_static(b"hello"))
}

/// A protobuf field of bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2, u8::try_from(bytes.len()).expect("short")];
    out.extend_from_slice(bytes);
    out
}

fn dag_pb() -> Vec<Case> {
    let mut cases = Cases::new("dag-pb", Reader::DagPb);
    let cid = leaf().cid().to_bytes();
    let link = [field(1, &cid), field(2, b"name"), vec![0x18, 5]].concat();
    let whole = [field(2, &link), field(1, b"data")].concat();
    cases.accept("whole", &*whole, "a link and data");
    cases.accept("empty", "", "neither links nor data");
    cases.accept(
        "data-first",
        [field(1, b"data"), field(2, &link)].concat(),
        "old writers put the data first",
    );
    cases.accept(
        "link-without-name",
        field(2, &field(1, &cid)),
        "links of files have none",
    );
    let malformed = |at: usize| format!("malformed protobuf at byte {at}");
    cases.refuse(
        "field-unknown",
        [0x18, 1],
        "unknown field 3",
        "dag-pb defines two fields",
    );
    cases.refuse(
        "link-field-unknown",
        field(2, &[&link[..], &[0x20, 1]].concat()),
        "unknown field 4",
        "dag-pb defines three fields",
    );
    cases.refuse(
        "data-twice",
        [field(1, b"a"), field(1, b"b")].concat(),
        "field 1 is repeated",
        "two programs could read different ones",
    );
    cases.refuse(
        "hash-twice",
        field(2, &[field(1, &cid), field(1, &cid)].concat()),
        "field 1 is repeated",
        "two programs could read different ones",
    );
    cases.refuse(
        "name-twice",
        field(2, &[&link[..], &field(2, b"x")].concat()),
        "field 2 is repeated",
        "two programs could read different ones",
    );
    cases.refuse(
        "size-twice",
        field(2, &[&link[..], &[0x18, 6]].concat()),
        "field 3 is repeated",
        "two programs could read different ones",
    );
    cases.refuse("data-number", [0x08, 1], malformed(0), "data are bytes");
    cases.refuse(
        "links-number",
        [0x10, 1],
        malformed(0),
        "links are messages",
    );
    cases.refuse(
        "hash-number",
        field(2, &[0x08, 1]),
        malformed(0),
        "a hash is bytes",
    );
    cases.refuse(
        "size-bytes",
        field(2, &field(3, b"x")),
        malformed(0),
        "a size is a number",
    );
    for (wire, name) in [
        (1, "64-bit"),
        (3, "group"),
        (4, "end-of-group"),
        (5, "32-bit"),
        (6, "6"),
        (7, "7"),
    ] {
        cases.refuse(
            &format!("wire-type-{name}"),
            [0x08 | wire, 0, 0, 0, 0, 0, 0, 0, 0],
            malformed(0),
            "dag-pb has no such fields",
        );
    }
    cases.refuse(
        "length-beyond",
        [0x0a, 5, 1],
        malformed(0),
        "it leads beyond the block",
    );
    cases.refuse(
        "length-2-pow-63",
        [
            0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1,
        ],
        malformed(0),
        "nothing is allocated for it",
    );
    cases.refuse(
        "length-cut",
        [0x0a, 0x80],
        malformed(1),
        "the number is not over",
    );
    cases.refuse(
        "length-eleven-bytes",
        [&[0x0a][..], &[0xff; 11]].concat(),
        malformed(1),
        "not in 64 bits",
    );
    cases.refuse("key-cut", [0x8a], malformed(0), "the number is not over");
    cases.refuse(
        "link-empty",
        field(2, b""),
        "link 0 has no valid CID",
        "a link leads somewhere",
    );
    cases.refuse(
        "link-no-cid",
        field(2, &field(1, b"abc")),
        "link 0 has no valid CID",
        "no CID",
    );
    let second = [field(2, &link), field(2, &field(1, b"abc"))].concat();
    cases.refuse("second-link", second, "link 1 has no valid CID", "no CID");
    let unknown = [&[1, 0x55, 0x14, 0x20][..], &[7; 32]].concat();
    cases.refuse(
        "link-hash-unknown",
        field(2, &field(1, &unknown)),
        "link 0 has no valid CID",
        "its block can't be verified",
    );
    let short = [&[1, 0x55, 0x12, 8][..], &[7; 8]].concat();
    cases.refuse(
        "link-digest-short",
        field(2, &field(1, &short)),
        "link 0 has no valid CID",
        "another block with such a digest is easy to find",
    );
    let trailing = [&cid[..], &[0]].concat();
    cases.accept(
        "link-cid-trailing",
        field(2, &field(1, &trailing)),
        "the bytes after the CID are ignored",
    );
    cases.list
}

/// A dag-pb node with this UnixFS message.
fn message(bytes: &[u8]) -> Vec<u8> {
    field(1, bytes)
}

fn messages() -> Vec<Case> {
    let mut cases = Cases::new("unixfs", Reader::UnixFs);
    let malformed = |at: usize| format!("malformed UnixFS data at byte {at}");
    cases.accept(
        "file",
        message(&[8, 2, 0x12, 1, b'x', 0x18, 1]),
        "a file of one byte",
    );
    cases.accept(
        "unknown-field",
        message(&[8, 1, 0x78, 1]),
        "a later specification may define it",
    );
    cases.refuse(
        "no-data",
        "",
        "the node has no UnixFS data",
        "not a UnixFS node",
    );
    cases.refuse("empty", message(b""), malformed(0), "the type is missing");
    cases.refuse(
        "type-missing",
        message(&[0x12, 1, b'x']),
        malformed(3),
        "the type is missing",
    );
    cases.refuse(
        "type-6",
        message(&[8, 6]),
        "unknown UnixFS node type 6",
        "UnixFS has no such type",
    );
    cases.refuse(
        "type-metadata",
        message(&[8, 3]),
        "unknown UnixFS node type 3",
        "nobody uses it",
    );
    cases.refuse(
        "type-bytes",
        message(&[0x0a, 1, 2]),
        malformed(0),
        "the type is a number",
    );
    cases.refuse(
        "size-bytes",
        message(&[8, 2, 0x1a, 1, 2]),
        malformed(0),
        "a size is a number",
    );
    cases.refuse(
        "data-number",
        message(&[8, 2, 0x10, 1]),
        malformed(0),
        "data are bytes",
    );
    cases.refuse(
        "packed-cut",
        message(&[8, 2, 0x22, 1, 0x80]),
        malformed(0),
        "the number is not over",
    );
    let sizes = "the sizes in the DAG contradict each other";
    cases.refuse(
        "size-more",
        message(&[8, 2, 0x12, 1, b'x', 0x18, 2]),
        sizes,
        "the file has one byte",
    );
    cases.refuse(
        "size-less",
        message(&[8, 2, 0x12, 1, b'x', 0x18, 0]),
        sizes,
        "the file has one byte",
    );
    cases.refuse(
        "block-sizes-without-links",
        message(&[8, 2, 0x18, 5, 0x20, 5]),
        sizes,
        "a size for each link",
    );
    let two_to_63 = [
        0x20, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1,
    ];
    let shard = |hash: Option<u8>, fanout: &[u8]| {
        let mut bytes = vec![8, 5, 0x12, 0];
        bytes.extend(hash.into_iter().flat_map(|hash| [0x28, hash]));
        bytes.extend_from_slice(fanout);
        message(&bytes)
    };
    let bad = "malformed directory shard";
    cases.accept(
        "shard",
        shard(Some(0x22), &[0x30, 0x80, 2]),
        "as Kubo writes it",
    );
    cases.accept(
        "fanout-1024",
        shard(Some(0x22), &[0x30, 0x80, 8]),
        "the limit",
    );
    cases.refuse(
        "fanout-missing",
        shard(Some(0x22), b""),
        bad,
        "a slot has no width",
    );
    for (rule, fanout) in [
        ("0", &[0x30, 0][..]),
        ("1", &[0x30, 1]),
        ("100", &[0x30, 100]),
        ("2048", &[0x30, 0x80, 16]),
        ("2-pow-32", &[0x30, 0x80, 0x80, 0x80, 0x80, 0x10]),
        (
            "2-pow-63",
            &[
                0x30, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1,
            ],
        ),
    ] {
        cases.refuse(
            &format!("fanout-{rule}"),
            shard(Some(0x22), fanout),
            bad,
            "a power of two from 2 to 1024; nothing is allocated for it",
        );
    }
    cases.refuse(
        "hash-missing",
        shard(None, &[0x30, 0x80, 2]),
        bad,
        "names have no slot",
    );
    cases.refuse(
        "hash-other",
        shard(Some(0x12), &[0x30, 0x80, 2]),
        bad,
        "names would have another slot",
    );
    let link = field(2, &field(1, &leaf().cid().to_bytes()));
    let sum = [
        &link[..],
        &link,
        &message(&[&[8, 2][..], &two_to_63, &two_to_63].concat()),
    ]
    .concat();
    cases.refuse(
        "block-sizes-overflow",
        sum,
        sizes,
        "the sum is not in 64 bits",
    );
    cases.list
}

/// A file node over these children, each with the size that the node claims for it.
fn node(children: &[(&Block, u64)], filesize: u64) -> Block {
    let data = Data {
        filesize: Some(filesize),
        blocksizes: children.iter().map(|(_, size)| *size).collect(),
        ..Data::new(NodeType::File)
    };
    dag(children.iter().map(|(block, _)| (*block.cid(), "")), data)
}

fn dag<'a>(links: impl IntoIterator<Item = (Cid, &'a str)>, data: Data) -> Block {
    let links = links.into_iter().map(|(cid, name)| Link {
        cid,
        name: Bytes::copy_from_slice(name.as_bytes()),
        tsize: 0,
    });
    let node = Node {
        links: links.collect(),
        data: Some(data.encode()),
    };
    Block::dag_pb(node.encode(), Version::V1)
}

fn files() -> Vec<Case> {
    let mut cases = Cases::new("file", Reader::File);
    let leaf = leaf();
    let of = |blocks: &[&Block]| {
        let blocks: Vec<Block> = blocks.iter().map(|block| (*block).clone()).collect();
        car::write(&blocks)
    };
    let whole = node(&[(&leaf, 5), (&leaf, 5)], 10);
    cases.accept("whole", of(&[&leaf, &whole]), "two leaves");
    cases.accept("raw", of(&[&leaf]), "one raw block");
    let sizes = "the sizes in the DAG contradict each other";
    let claims = |size| node(&[(&leaf, size)], size);
    cases.refuse(
        "leaf-size-more",
        of(&[&leaf, &claims(6)]),
        sizes,
        "the leaf has 5 bytes",
    );
    cases.refuse(
        "leaf-size-less",
        of(&[&leaf, &claims(4)]),
        sizes,
        "the leaf has 5 bytes",
    );
    cases.accept(
        "leaf-size-zero",
        of(&[&leaf, &claims(0)]),
        "no byte of the leaf is content, so it is not read",
    );
    let inner = node(&[(&leaf, 5)], 5);
    cases.refuse(
        "node-size-more",
        of(&[&leaf, &inner, &node(&[(&inner, 6)], 6)]),
        sizes,
        "the node has 5 bytes",
    );
    cases.refuse(
        "child-missing",
        of(&[&node(&[(&leaf, 5)], 5)]),
        "a block is missing",
        "the sender left it out",
    );
    let directory = dag([], Data::new(NodeType::Directory));
    cases.refuse(
        "child-directory",
        of(&[&directory, &node(&[(&directory, 5)], 5)]),
        "expected a file",
        "a directory is no content",
    );
    cases.refuse(
        "directory",
        of(&[&directory]),
        "expected a file",
        "a directory is no file",
    );
    let link = dag(
        [],
        Data {
            data: Some("target".into()),
            ..Data::new(NodeType::Symlink)
        },
    );
    cases.refuse(
        "symlink",
        of(&[&link]),
        "expected a file",
        "a link is no file",
    );
    let cbor = Block::dag_cbor(Bytes::from_static(b"\xa0"));
    cases.refuse(
        "codec",
        of(&[&cbor]),
        "expected a raw or dag-pb block, not codec 0x71",
        "no UnixFS",
    );
    let mut deep = vec![leaf];
    for _ in 0..65 {
        let last = deep.last().expect("a block");
        deep.push(node(&[(last, 5)], 5));
    }
    cases.accept("depth-64", car::write(&deep[..65]), "the limit");
    cases.refuse(
        "depth-65",
        car::write(&deep),
        "the DAG has more levels than allowed",
        "each level costs memory and time",
    );
    cases.list
}

fn directories() -> Vec<Case> {
    let mut cases = Cases::new("directory", Reader::Directory);
    let leaf = leaf();
    let cid = *leaf.cid();
    let only = |block: &Block| car::write(std::slice::from_ref(block));
    let plain = |names: &[&str]| {
        let links = names.iter().map(|name| (cid, *name));
        only(&dag(links, Data::new(NodeType::Directory)))
    };
    cases.accept("whole", plain(&["a", "b"]), "two entries");
    cases.accept("empty", plain(&[]), "no entries");
    let file = "expected a directory";
    cases.refuse("file", only(&node(&[], 0)), file, "a file has no entries");
    cases.refuse("raw", only(&leaf), file, "a file has no entries");
    let shard = |fanout: u64| Data {
        data: Some(Bytes::new()),
        hash_type: Some(0x22),
        fanout: Some(fanout),
        ..Data::new(NodeType::HamtShard)
    };
    let with = |fanout: u64, name: &str| only(&dag([(cid, name)], shard(fanout)));
    cases.accept("shard", with(256, "0Aname"), "a slot and a name");
    cases.accept("shard-16", with(16, "Aname"), "a slot of one digit");
    cases.accept(
        "shard-1024",
        with(1024, "3FFname"),
        "a slot of three digits",
    );
    let bad = "malformed directory shard";
    cases.refuse("slot-empty", with(256, ""), bad, "no slot");
    cases.refuse("slot-short", with(256, "A"), bad, "half a slot");
    cases.refuse("slot-digit", with(256, "XYname"), bad, "no digits");
    cases.refuse("slot-sign", with(256, "-1name"), bad, "no digits");
    cases.refuse("slot-beyond", with(16, "Gname"), bad, "no digit");
    cases.refuse(
        "slot-too-large",
        with(1024, "400name"),
        bad,
        "1024 slots end at 3FF",
    );
    cases.refuse("slot-in-character", with(256, "Aéname"), bad, "no digits");
    let below = dag([(cid, "0Aname")], shard(256));
    let above = dag([(*below.cid(), "0A")], shard(256));
    cases.accept(
        "shard-below",
        car::write(&[below.clone(), above.clone()]),
        "two levels",
    );
    cases.refuse(
        "shard-missing",
        only(&above),
        "a block is missing",
        "the sender left it out",
    );
    let file_below = dag([(cid, "0A")], shard(256));
    cases.refuse(
        "shard-is-file",
        car::write(&[leaf.clone(), file_below]),
        file,
        "a slot without a name is a shard",
    );
    let mut deep = vec![below];
    for _ in 0..65 {
        let last = *deep.last().expect("a block").cid();
        deep.push(dag([(last, "00")], shard(256)));
    }
    cases.accept("shard-depth-64", car::write(&deep[..65]), "the limit");
    cases.refuse(
        "shard-depth-65",
        car::write(&deep),
        "the DAG has more levels than allowed",
        "each level costs memory and time",
    );
    cases.list
}
