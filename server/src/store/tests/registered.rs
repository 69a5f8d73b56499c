use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use interplanar_core::narinfo::Compression;
use interplanar_core::store_path::StorePath;

use super::fixture::Store;
use crate::store::{self, Source, SourceError, SourceSpec, guix_db, nix_db};

const HELLO: &str = "zvknnn6gzcjdyb9hn5ffp4sx1ncjp45r-hello.txt";
const TREE: &str = "agkhnj5wmbrb40rigsyf6ynkdi22d89g-tree";
const GREET: &str = "rcff5adc6nm3b2y1lx9flnpqksfm7ka5-greet-1.0";
const DRV: &str = "vy76yf96z3qdlp64cz1rlr4xsnn61zv4-greet-1.0.drv";

#[test]
fn an_item_is_found_with_all_registered_data() {
    let store = Store::guix();
    let drv = format!("/gnu/store/{DRV}");
    let hello = store.add(HELLO, "hello", None);
    let tree = store.add(TREE, "tree", None);
    let mut greet = store.add(GREET, "greet", Some(&drv));
    for to in [&hello, &greet, &tree] {
        store.refer(&greet, to);
    }
    greet.references = [TREE, GREET, HELLO].map(String::from).to_vec();
    let source = guix_db::open(store.root.path()).unwrap();
    assert_eq!(source.store_dir(), "/gnu/store");
    let hash_part = &GREET[..32];
    assert_eq!(source.find(hash_part).unwrap().as_ref(), Some(&greet));

    fs::write(
        store.physical(&drv),
        br#"Derive([],[],[],"x86_64-linux","b",[],[])"#,
    )
    .unwrap();
    greet.system = Some("x86_64-linux".into());
    assert_eq!(source.find(hash_part).unwrap().as_ref(), Some(&greet));
    assert_eq!(source.find_path(&greet.store_path).unwrap(), Some(greet));
}

#[test]
fn only_whole_hash_parts_and_exact_paths_are_found() {
    let store = Store::guix();
    store.add(HELLO, "hello", None);
    let source = guix_db::open(store.root.path()).unwrap();
    for hash_part in [
        "",
        &HELLO[..31],
        "zvknnn6gzcjdyb9hn5ffp4sx1ncjp45",
        "zvknnn6gzcjdyb9hn5ffp4sx1ncjp45s",
        "%",
        HELLO,
    ] {
        assert_eq!(source.find(hash_part).unwrap(), None, "{hash_part}");
    }
    for path in [
        format!("/gnu/store/{}-other", &HELLO[..32]),
        format!("/nix/store/{HELLO}"),
    ] {
        let path = StorePath::parse(&path).unwrap();
        assert_eq!(source.find_path(&path).unwrap(), None, "{path}");
    }
}

#[test]
fn finding_uses_the_index() {
    for (store, is_nix) in [(Store::guix(), false), (Store::nix(), true)] {
        let open = if is_nix { nix_db::open } else { guix_db::open };
        let query = open(store.root.path()).unwrap().query();
        let plan: Vec<String> = store
            .database
            .prepare(&format!("EXPLAIN QUERY PLAN {query}"))
            .unwrap()
            .query_map(["a", "b", "1"], |row| row.get(3))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(plan.len(), 1, "{plan:?}");
        assert!(
            plan[0].starts_with("SEARCH ValidPaths USING INDEX"),
            "{plan:?}"
        );
    }
}

#[test]
fn pages_contain_all_items_once_in_order() {
    let store = Store::guix();
    for name in [HELLO, TREE, GREET] {
        store.add(name, name, None);
    }
    let bad = "/gnu/store/bnfap3gvj3v0k345a5zkxwyd38m1f2s5-bad";
    store.register(bad, "md5:00", None, 1);
    let source = guix_db::open(store.root.path()).unwrap();
    let names = |after: Option<&str>, limit| -> Vec<String> {
        let items = source.items(after, limit).unwrap();
        items
            .iter()
            .map(|item| item.store_path.base_name().into())
            .collect()
    };
    assert_eq!(names(None, 10), [TREE, GREET, HELLO]);
    assert_eq!(names(None, 1), [TREE]);
    // The item that can't be read doesn't shorten a page.
    assert_eq!(
        names(Some(&format!("/gnu/store/{TREE}")), 2),
        [GREET, HELLO]
    );
    assert_eq!(names(Some(&format!("/gnu/store/{HELLO}")), 2), [""; 0]);
    let error = source.find("bnfap3gvj3v0k345a5zkxwyd38m1f2s5").unwrap_err();
    assert_eq!(
        error,
        SourceError::malformed(bad, "sha256:<hex> in the database")
    );
}

#[test]
fn files_are_read_under_the_root_and_links_stay_links() {
    let store = Store::guix();
    let hello = store.add(HELLO, "hello", None);
    let source = store::open(&SourceSpec::Guix {
        root: store.root.path().into(),
    })
    .unwrap();
    let mut nar = Vec::new();
    source.dump(&hello, &mut nar).unwrap();
    assert_eq!(nar.len() as u64, hello.nar_size);
    assert!(source.prepared(&hello).is_none());

    let path = store.physical(hello.store_path.as_str());
    fs::remove_file(&path).unwrap();
    assert_eq!(
        source.dump(&hello, &mut Vec::new()).unwrap_err(),
        SourceError::Gone(path.clone())
    );
    symlink("/etc/passwd", &path).unwrap();
    let mut nar = Vec::new();
    let error = source.dump(&hello, &mut nar);
    assert_eq!(nar.len(), 128, "type, symlink, target and their framing");
    assert_eq!(error.is_ok(), hello.nar_size == 128);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "hello, longer than before").unwrap();
    assert_eq!(
        source.dump(&hello, &mut Vec::new()).unwrap_err(),
        SourceError::Changed(hello.store_path.as_str().into())
    );
}

#[test]
fn later_commits_of_the_daemon_are_seen() {
    let store = Store::guix();
    let source = guix_db::open(store.root.path()).unwrap();
    assert_eq!(source.items(None, 10).unwrap(), []);
    let hello = store.add(HELLO, "hello", None);
    assert_eq!(
        source.items(None, 10).unwrap(),
        std::slice::from_ref(&hello)
    );
    // An unfinished transaction is not visible and doesn't block.
    store
        .database
        .execute_batch("begin immediate; delete from ValidPaths")
        .unwrap();
    assert_eq!(source.find(&HELLO[..32]).unwrap(), Some(hello));
    store.database.execute_batch("commit").unwrap();
    assert_eq!(source.find(&HELLO[..32]).unwrap(), None);
}

#[test]
fn nix_signatures_and_assertions_are_kept() {
    let store = Store::nix();
    let mut hello = store.add(HELLO, "hello", Some(""));
    hello.deriver = None;
    hello.signatures = vec!["a-1:AAAA".into(), "b-1:BBBB".into()];
    hello.ca = Some("fixed:r:sha256:0sg9f58l1jj88w6pdrfdpj5x9b1zrwszk84j81zvby36q9whhhqa".into());
    store
        .database
        .execute(
            "update ValidPaths set sigs = 'a-1:AAAA b-1:BBBB', ca = ?1",
            [&hello.ca],
        )
        .unwrap();
    let source = nix_db::open(store.root.path()).unwrap();
    assert_eq!(source.store_dir(), "/nix/store");
    assert_eq!(source.find(&HELLO[..32]).unwrap().as_ref(), Some(&hello));
    // This item was registered before Nix stored sizes.
    store
        .database
        .execute("update ValidPaths set narSize = null", [])
        .unwrap();
    assert_eq!(source.find(&HELLO[..32]).unwrap(), Some(hello));
}

#[test]
fn logs_are_found_by_derivation_deriver_and_output() {
    let store = Store::guix();
    let drv = format!("/gnu/store/{DRV}");
    store.add(GREET, "greet", Some(&drv));
    let tree = store.add(TREE, "tree", None);
    store.add(DRV, "Derive(", None);
    store
        .database
        .execute(
            "insert into DerivationOutputs select id, 'out', ?1 from ValidPaths where path = ?2",
            [tree.store_path.as_str(), &drv],
        )
        .unwrap();
    let source = guix_db::open(store.root.path()).unwrap();
    for name in [DRV, GREET, TREE] {
        assert!(source.log(name).unwrap().is_none(), "{name}");
    }
    let folder = store.root.path().join("var/log/guix/drvs/vy");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{}.gz", &DRV[2..])), "gz").unwrap();
    for name in [DRV, GREET, TREE] {
        let log = source.log(name).unwrap().unwrap();
        assert_eq!(
            (log.compression, log.size),
            (Compression::Gzip, 2),
            "{name}"
        );
    }
    for name in ["", "..", "../../../etc/passwd", HELLO] {
        assert!(source.log(name).unwrap().is_none(), "{name}");
    }
}

#[test]
fn only_stores_can_be_opened() {
    let empty = tempfile::tempdir().unwrap();
    let error = guix_db::open(empty.path()).unwrap_err();
    assert!(matches!(error, SourceError::NotAStore { .. }), "{error}");
    let folder = empty.path().join("var/guix/db");
    fs::create_dir_all(&folder).unwrap();
    fs::write(
        folder.join("db.sqlite"),
        "no database at all, but long enough to look like one",
    )
    .unwrap();
    let error = guix_db::open(empty.path()).unwrap_err();
    assert!(matches!(error, SourceError::Database(_)), "{error}");
}

/// Tests a folder that only the daemon can write to: first without a running daemon, then with one.
#[test]
fn a_read_only_folder_can_be_read_and_its_changes_are_seen() {
    let store = Store::guix();
    let hello = store.add(HELLO, "hello", None);
    let root = store.root.path().to_path_buf();
    let folder = root.join("var/guix/db");
    let Store {
        root: kept,
        database,
        ..
    } = store;
    database.close().unwrap();
    assert!(!folder.join("db.sqlite-wal").exists());
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    // Root can write there anyway; then the normal mode is used, with the same result.
    let source = guix_db::open(&root).unwrap();
    assert_eq!(source.find(&HELLO[..32]).unwrap(), Some(hello));
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let daemon = rusqlite::Connection::open(folder.join("db.sqlite")).unwrap();
    daemon.execute("delete from ValidPaths", []).unwrap();
    assert_eq!(source.find(&HELLO[..32]).unwrap(), None);
    drop(kept);
}

#[test]
fn briefs_have_the_newest_first_without_derivations_small_and_malformed_items() {
    for store in [Store::guix(), Store::nix()] {
        let open = store::registered_under(store.root.path());
        let source = store::open(&open[0]).unwrap();
        let before = source.stamp().unwrap();
        let large = "x".repeat(1000);
        let one = store.add(HELLO, &large, None);
        store.add(DRV, &large, None);
        store.add(TREE, "small", None);
        let two = store.add(GREET, &large, None);
        let dir = source.store_dir().to_owned();
        store.register(&format!("{dir}/no-path"), "sha256:00", None, 5000);
        let hash = format!("sha256:{}", "0".repeat(64));
        store.register(&format!("{dir}/{}", "nor this"), &hash, None, 5000);
        let names = |before, limit| {
            let briefs = source.briefs(1000, before, limit).unwrap();
            let paths = briefs.iter().map(|one| one.store_path.clone());
            (
                paths.collect::<Vec<_>>(),
                briefs.last().map(|one| one.order),
            )
        };
        let (all, last) = names(None, 10);
        assert_eq!(all, [two.store_path.clone(), one.store_path.clone()]);
        assert_eq!(names(last, 10), (vec![], None));
        let briefs = source.briefs(1000, None, 10).unwrap();
        assert_eq!(
            (briefs[0].nar_hash, briefs[0].nar_size, briefs[0].registered),
            (two.nar_hash, two.nar_size, 1)
        );
        // Every added and removed item changes the stamp.
        let after = source.stamp().unwrap();
        assert_ne!(before, after);
        let remove = "delete from ValidPaths where path = ?1";
        let path = one.store_path.as_str();
        store.database.execute(remove, [path]).unwrap();
        assert_ne!(after, source.stamp().unwrap());
    }
}
