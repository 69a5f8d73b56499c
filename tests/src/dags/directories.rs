//! Plain directories.

use super::with_kubo::{self, Entry};
use super::{Dags, escape, files, lines};
use crate::kubo::Repo;
use interplanar_core::block::Block;
use interplanar_core::cid::{Cid, DAG_PB, Version};
use interplanar_core::dag_pb::{Link, Node};
use interplanar_core::unixfs::{DirectoryBuilder, SIZE_262144_V0, symlink};

/// Names that a URL or a page must escape, and names that mean something to some gateways.
pub const ODD_NAMES: [&[u8]; 16] = [
    b"with space",
    b"100%",
    b"%20",
    b"Portugal%2C+Espa\xc3\xb1a=Peninsula Ib\xc3\xa9rica.txt",
    "file-źł.txt".as_bytes(),
    "雪 ☃".as_bytes(),
    b"a \"quoted\" 'name'",
    b"<b>&amp;",
    b"a?b#c",
    b"back\\slash",
    b"tab\tand\nline",
    b"...",
    b"-dash",
    b"semi;colon:at@",
    b"\xff\xfe not UTF-8",
    b"trailing ",
];

/// Stores a directory.
pub(super) fn store(dags: &mut Dags, version: Version, entries: &[(&[u8], Cid)]) -> Cid {
    let mut builder = DirectoryBuilder::new(version);
    for (name, cid) in entries {
        let tsize = dags.blocks.get(cid).map_or(0, |data| data.len() as u64);
        builder.add((*name).to_vec().into(), *cid, tsize);
    }
    let built = builder.finish(&mut |block| dags.keep(block));
    built.expect("a directory").cid
}

fn link(dags: &mut Dags, target: &str, version: Version) -> Cid {
    let mut cid = None;
    symlink(target.as_bytes(), version, &mut |block| {
        cid = Some(dags.put(block));
    });
    cid.expect("a block")
}

/// Builds with our own builder.
pub(super) fn build(dags: &mut Dags) {
    nested(dags);
    odd(dags);
    of_links(dags);
    redirects(dags);
    for (version, name) in [(Version::V0, "v0"), (Version::V1, "v1")] {
        let empty = store(dags, version, &[]);
        dags.add(&format!("directory/empty/{name}"), empty, &["/", "/nope"]);
    }
}

/// Directories in directories, with and without an `index.html`.
fn nested(dags: &mut Dags) {
    let page = files::text(dags, "<html>the index</html>\n");
    let hello = files::text(dags, "hello\n");
    let json = files::text(dags, "{ \"test\": \"i am a plain json file\" }\n");
    let mut below = store(dags, Version::V1, &[(b"index.html", page)]);
    for name in ["root4", "root3", "root2"] {
        below = store(dags, Version::V1, &[(name.as_bytes(), below)]);
    }
    let paths = [
        "/root2",
        "/root2/root3/root4",
        "/root2/root3/root4/",
        "/root2/root3/root4/index.html",
        "/root2/../root2/./root3",
        "//root2//root3",
    ];
    dags.add("directory/nested", below, &paths);

    // Folders that are called as parts of paths are.
    let mut entries: Vec<(&[u8], Cid)> = Vec::new();
    for (name, text) in [("api", "one\n"), ("ipfs", "two\n"), ("ipns", "three\n")] {
        let file = files::text(dags, text);
        let inner = store(dags, Version::V1, &[(b"file.txt", file)]);
        entries.push((name.as_bytes(), inner));
    }
    entries.push((b"t.json", json));
    let root = store(dags, Version::V1, &entries);
    let paths = ["/api/file.txt", "/ipfs/file.txt", "/ipns/", "/t.json"];
    dags.add("directory/confusing", root, &paths);

    // A name with a slash in it, beside one that it could be taken for.
    let root = store(dags, Version::V1, &[(b"../foo", hello), (b"bar", page)]);
    let root = store(dags, Version::V1, &[(b"foo", hello), (b"below", root)]);
    let paths = ["/below/../foo", "/below/..%2Ffoo", "/below/bar"];
    dags.add("directory/dotted", root, &paths);

    // CIDv0 throughout, with a file of several leaves and one file under two names.
    let file = files::store(dags, SIZE_262144_V0, &lines(7, 100));
    let multi = files::store(
        dags,
        interplanar_core::unixfs::Profile {
            chunk: 64,
            ..SIZE_262144_V0
        },
        &lines(8, 1000),
    );
    let inner = store(dags, Version::V0, &[(b"ascii.txt", file), (b"copy", file)]);
    let root = store(
        dags,
        Version::V0,
        &[
            (b"ascii.txt", file),
            (b"multi.txt", multi),
            (b"sub dir", inner),
        ],
    );
    let paths = ["/sub%20dir/copy", "/sub%20dir/", "/multi.txt/x"];
    dags.add("directory/v0", root, &paths);
}

fn odd(dags: &mut Dags) {
    let mut entries: Vec<(&[u8], Cid)> = Vec::new();
    for (name, number) in ODD_NAMES.into_iter().zip(0..) {
        entries.push((name, files::text(dags, &format!("odd {number}\n"))));
    }
    let inner = store(dags, Version::V1, &entries);
    let middle = store(dags, Version::V1, &[("ę".as_bytes(), inner)]);
    let root = store(dags, Version::V1, &[("ą".as_bytes(), middle)]);
    let paths: Vec<String> = ODD_NAMES
        .iter()
        .map(|name| format!("/{}", escape(name)))
        .collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    dags.add("directory/odd-names", inner, &paths);
    dags.add(
        "directory/odd-names/nested",
        root,
        &["/ą/ę/", "/%C4%85/%C4%99"],
    );
}

/// Entries of every kind: symlinks, other hashes and codecs, identity CIDs, and a block under another version of its CID.
fn of_links(dags: &mut Dags) {
    let file = files::store(dags, SIZE_262144_V0, b"content\n");
    let symlink = link(dags, "foo", Version::V0);
    let root = store(dags, Version::V0, &[(b"foo", file), (b"bar", symlink)]);
    dags.add(
        "directory/symlink/v0",
        root,
        &["/bar", "/bar/", "/bar/x", "/foo"],
    );
    let outside = link(dags, "/etc/passwd", Version::V1);
    let dangling = link(dags, "../nowhere/☃", Version::V1);
    let entries: [(&[u8], Cid); 2] = [(b"dangling", dangling), (b"outside", outside)];
    let root = store(dags, Version::V1, &entries);
    dags.add("directory/symlink/v1", root, &["/dangling", "/outside/"]);

    let hello = files::text(dags, "hello\n");
    let v0 = files::store(dags, SIZE_262144_V0, b"hello\n");
    let v0_as_v1 = Cid::new_v1(DAG_PB, *v0.hash());
    let long = sha2_512(dags, b"hello\n");
    let inline = Cid::try_from(&b"\x01\x55\x00\x07inline\n"[..]).expect("a CID");
    let listing = store(dags, Version::V1, &[(b"hello", hello)]);
    let root = store(
        dags,
        Version::V0,
        &[
            (b"hello-CIDv0", v0),
            (b"hello-CIDv0to1", v0_as_v1),
            (b"hello-CIDv1", hello),
            (b"hello-CIDv1-SHA-512", long),
            (b"inline", inline),
            (b"listing", listing),
        ],
    );
    let paths = ["/hello-CIDv0to1", "/hello-CIDv1-SHA-512", "/inline"];
    dags.add("directory/versions", root, &paths);

    // No UnixFS at all: dag-pb with links but without data.
    let links = [root, hello, v0, long]
        .map(|cid| Link {
            cid,
            name: bytes::Bytes::new(),
            tsize: 0,
        })
        .into();
    let node = Node { links, data: None };
    let root = dags.put(Block::dag_pb(node.encode(), Version::V1));
    dags.add("directory/no-data", root, &["/nope"]);
}

/// A raw block named by its SHA-512.
fn sha2_512(dags: &mut Dags, data: &'static [u8]) -> Cid {
    use sha2::Digest as _;
    let cid = [&[1, 0x55, 0x13, 64][..], &sha2::Sha512::digest(data)].concat();
    let cid = Cid::try_from(&cid[..]).expect("a CID");
    dags.put(Block::verify(cid, data.into()).expect("its hash"))
}

/// `_redirects` files, which count only under a host name of their own.
fn redirects(dags: &mut Dags) {
    let page = files::text(dags, "<html>one</html>\n");
    let rules = [
        ("rewrite", "/* /index.html 200\n".to_owned()),
        (
            "redirect",
            "/one /one.html 301\n/gone /one.html 410\n".to_owned(),
        ),
        ("bad-status", "/a /b 999\n".to_owned()),
        ("too-large", "/from /to 301\n".repeat(4682)),
    ];
    let mut entries: Vec<(&[u8], Cid)> = Vec::new();
    for (name, rules) in &rules {
        let file = files::store(dags, SIZE_262144_V0, rules.as_bytes());
        let folder: [(&[u8], Cid); 3] = [
            (b"_redirects", file),
            (b"index.html", page),
            (b"one.html", page),
        ];
        let folder = store(dags, Version::V0, &folder);
        entries.push((name.as_bytes(), folder));
    }
    let root = store(dags, Version::V0, &entries);
    let paths = [
        "/redirect/one",
        "/redirect/gone",
        "/rewrite/anything",
        "/bad-status/a",
        "/too-large/from",
    ];
    dags.add("directory/redirects", root, &paths);
}

/// Builds with Kubo.
pub(super) fn build_with_kubo(dags: &mut Dags, repo: &Repo) {
    let entries: Vec<(&[u8], Entry<'_>)> = [
        (&b"index.html"[..], Entry::File(b"<html>Kubo's</html>\n")),
        (b"sub/index.html", Entry::File(b"<html>sub</html>\n")),
        (b"sub/deep/empty", Entry::File(b"")),
        (b"sub/link", Entry::Symlink("../index.html")),
        (b"sub/inline", Entry::File(b"inline\n")),
    ]
    .into_iter()
    .chain(
        // A file system has no name with a slash, and no `.` and `..`.
        ODD_NAMES.map(|name| (name, Entry::File(b"odd\n"))),
    )
    .collect();
    let folder = with_kubo::folder(repo, "plain", &entries);
    let mut added = Vec::new();
    for (name, options) in [
        ("v0", &["--cid-version=0"][..]),
        ("v1", &["--cid-version=1"]),
        ("inline", &["--cid-version=1", "--inline"]),
        ("sha2-512", &["--hash=sha2-512"]),
    ] {
        let mut add = repo.ipfs();
        add.args(["add", "-r", "-Q", "--pin=false"])
            .args(options)
            .arg(&folder);
        added.push((format!("directory/kubo/{name}"), with_kubo::root(&mut add)));
    }
    with_kubo::store(dags, repo, &added);
}
