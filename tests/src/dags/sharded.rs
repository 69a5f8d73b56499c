//! Sharded directories (HAMTs).

use super::with_kubo::{self, Entry};
use super::{Dags, directories, files};
use crate::kubo::Repo;
use interplanar_core::cid::{Cid, Version};

/// Entries of [`LONG`], whose names are so long that Kubo shards them by default.
const LONG_ENTRIES: usize = 1000;
const LONG: &str = "sharded/256/long-names";

fn long_names() -> Vec<String> {
    (0..LONG_ENTRIES)
        .map(|number| format!("{number:0>240}"))
        .collect()
}

/// Builds with our own builder.
pub(super) fn build(dags: &mut Dags) {
    let leaf = files::text(dags, "entry\n");
    let names = long_names();
    let entries: Vec<(&[u8], Cid)> = names.iter().map(|name| (name.as_bytes(), leaf)).collect();
    let root = directories::store(dags, Version::V1, &entries);
    let paths = [0, 1, 499, 999].map(|number| format!("/{}", names[number]));
    dags.add(LONG, root, &paths.each_ref().map(String::as_str));
}

/// Builds with Kubo.
pub(super) fn build_with_kubo(dags: &mut Dags, repo: &Repo) {
    let mut added = Vec::new();
    let names = long_names();
    let entries: Vec<(&[u8], Entry<'_>)> = names
        .iter()
        .map(|name| (name.as_bytes(), Entry::File(b"entry\n")))
        .collect();
    let folder = with_kubo::folder(repo, "long", &entries);
    let mut add = repo.ipfs();
    add.args(["add", "-r", "-Q", "--pin=false", "--cid-version=1"]);
    added.push((LONG.to_owned(), with_kubo::root(add.arg(folder))));

    let names: Vec<String> = (0..30).map(|number| format!("{number}.txt")).collect();
    let mut entries: Vec<(&[u8], Entry<'_>)> = names
        .iter()
        .map(|name| (name.as_bytes(), Entry::File(b"an entry\n")))
        .collect();
    entries.push((b"index.html/not/an/index", Entry::File(b"deep\n")));
    entries.push((b"folder/file.txt", Entry::File(b"below\n")));
    entries.push((b"link", Entry::Symlink("folder/file.txt")));
    // Of a name that isn't UTF-8, our gateway says that a sharded directory doesn't have it. Kubo finds it.
    let odd_names = directories::ODD_NAMES.into_iter();
    let odd_names = odd_names.filter(|name| std::str::from_utf8(name).is_ok());
    entries.extend(odd_names.map(|name| (name, Entry::File(b"odd\n"))));
    let folder = with_kubo::folder(repo, "many", &entries);
    let index = with_kubo::folder(
        repo,
        "index",
        &[
            (b"index.html", Entry::File(b"<html>sharded</html>\n")),
            (b"a", Entry::File(b"a\n")),
            (b"b", Entry::File(b"b\n")),
        ],
    );
    for fanout in [8, 16, 256, 1024] {
        for (version, raw) in [(0, false), (1, true)] {
            if version == 0 && fanout != 16 {
                continue;
            }
            let mut add = repo.ipfs();
            add.args(["add", "-r", "-Q", "--pin=false", "--max-directory-links=8"])
                .arg(format!("--max-hamt-fanout={fanout}"))
                .arg(format!("--cid-version={version}"))
                .arg(format!("--raw-leaves={raw}"))
                .arg(&folder);
            let name = format!("sharded/{fanout}/v{version}");
            let root = with_kubo::root(&mut add);
            let paths = [
                "/7.txt",
                "/29.txt",
                "/30.txt",
                "/link",
                "/folder",
                "/folder/file.txt",
                "/with%20space",
                "/index.html",
            ];
            dags.add(&name, root, &paths);
            added.push((name, root));
        }
    }
    let mut add = repo.ipfs();
    add.args(["add", "-r", "-Q", "--pin=false", "--max-directory-links=2"]);
    add.args(["--max-hamt-fanout=8", "--cid-version=1"]);
    let root = with_kubo::root(add.arg(index));
    dags.add("sharded/index", root, &["/", "/index.html", "/a"]);
    added.push(("sharded/index".to_owned(), root));
    with_kubo::store(dags, repo, &added);
}
