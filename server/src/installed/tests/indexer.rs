//! The background indexer, with stores that appear and change.

use super::*;
use crate::store::tests::fixture::Store;
use std::sync::atomic::Ordering;

/// Waits until `ready` returns true, for at most a minute.
fn until(what: &str, mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

fn has(installed: &Installed, item: &Item) -> bool {
    let cut = parameters_id(&Parameters::default());
    let row = installed.own.reader().named(item.store_path.as_str(), cut);
    row.unwrap()
        .is_some_and(|row| row.nar_hash == Some(item.nar_hash))
}

fn name(letter: &str) -> String {
    format!("{}-{letter}", letter.repeat(32))
}

#[test]
fn a_new_store_is_indexed_and_deleted_items_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::guix();
    let at = |name: &str| store.root.path().join(name);
    fs::rename(at("var"), at("hidden")).unwrap();
    let config = Config {
        stores: crate::store::registrable_under(store.root.path()),
        ..Config::default()
    };
    let installed = Arc::new(Installed::open(&config, dir.path()).unwrap());
    let indexer = installed.start().unwrap();
    // The store appears later.
    let one = store.add(&name("a"), noise(1, 200_000), None);
    let small = store.add(&name("b"), "small", None);
    let drv = store.add(&format!("{}.drv", name("c")), noise(2, 200_000), None);
    assert_eq!(installed.candidates(&one.store_path).len(), 0);
    fs::rename(at("hidden"), at("var")).unwrap();
    until("the item of the new store", || has(&installed, &one));
    assert!(!has(&installed, &small) && !has(&installed, &drv));

    // Items are added and deleted.
    let two = store.add(&name("d"), noise(3, 200_000), None);
    until("the new item", || has(&installed, &two));
    let remove = "delete from ValidPaths where path = ?1";
    let path = one.store_path.as_str();
    store.database.execute(remove, [path]).unwrap();
    until("that the old one is forgotten", || !has(&installed, &one));
    assert!(has(&installed, &two));
    let progress = installed.progress();
    assert!(progress.gone.load(Ordering::Relaxed) >= 1);
    drop(indexer);
}

#[test]
fn indexing_pauses_while_a_nar_is_served_and_stops_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), &["a-1", "b-1"]);
    let open = || {
        Arc::new(
            Installed::of(
                vec![Arc::clone(&store)],
                &dir.path().join("index"),
                MAX_BYTES,
            )
            .unwrap(),
        )
    };
    let installed = open();
    let pause_indexing = installed.pause_indexing();
    let indexer = installed.start().unwrap();
    let waiting = || installed.progress().waiting.load(Ordering::Relaxed);
    until("that it begins", || waiting() == 2);
    // It can't have cut anything yet, and it can be stopped.
    drop(indexer);
    assert!(installed.own.reader().is_empty().unwrap());
    drop(pause_indexing);
    // The next one indexes the rest.
    let installed = open();
    let one = candidate(&store, "a-1");
    assert!(installed.own.put(&entry(&one, 0), &cut_now(&one)).unwrap());
    let indexer = installed.start().unwrap();
    let items = || installed.progress().items.load(Ordering::Relaxed);
    until("both", || items() == 2);
    let cut = installed.progress().cut.load(Ordering::Relaxed);
    assert_eq!(cut, candidate(&store, "b-1").item.nar_size);
    // An item that was altered is cut again.
    let mut pieces = installed.pieces(vec![], &Parameters::default(), &wanted(&cut_now(&one)));
    let other = pieces.items.pop().unwrap();
    pieces.invalidate(&other);
    assert!(!has(&installed, &other.item));
    until("it again", || has(&installed, &other.item));
    drop(indexer);
}

#[test]
fn a_full_index_keeps_the_newest() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::nix();
    let items: Vec<Item> = "abcdfghijklm"
        .chars()
        .zip(1..)
        .map(|(letter, time)| {
            let item = store.add(&name(&letter.to_string()), noise(time, 2 << 20), None);
            let query = "update ValidPaths set registrationTime = ?1 where path = ?2";
            let path = item.store_path.as_str();
            store
                .database
                .execute(query, rusqlite::params![time as i64, path])
                .unwrap();
            item
        })
        .collect();
    let config = Config {
        stores: crate::store::registrable_under(store.root.path()),
        max_bytes: 32 << 10,
        ..Config::default()
    };
    let installed = Arc::new(Installed::open(&config, dir.path()).unwrap());
    let indexer = installed.start().unwrap();
    let progress = installed.progress();
    until("the newest", || {
        has(&installed, &items[11])
            && progress.waiting.load(Ordering::Relaxed) == 0
            && progress.items.load(Ordering::Relaxed) > 1
    });
    let kept: Vec<bool> = items.iter().map(|item| has(&installed, item)).collect();
    let first = kept.iter().position(|kept| *kept).unwrap();
    assert!(
        first > 0 && kept[first..].iter().all(|kept| *kept),
        "{kept:?}"
    );
    assert!(progress.bytes.load(Ordering::Relaxed) <= 32 << 10);
    drop(indexer);
}
