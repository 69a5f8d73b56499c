//! The index file: its size limit, and recovery from damage.

use super::*;
use crate::installed::index::{FILE, Index};
use rusqlite::Connection;

/// Pieces of one item, all different.
fn pieces(item: u64, count: u64) -> Vec<IndexedPiece> {
    let piece = |number: u64| IndexedPiece {
        plain: Sha256::of(&[item.to_le_bytes(), number.to_le_bytes()].concat()),
        offset: number * 1000,
        length: 1000,
    };
    (0..count).map(piece).collect()
}

fn path(number: u64) -> StorePath {
    StorePath::parse(&format!("/gnu/store/{number:032}-item-{number}")).unwrap()
}

fn put(index: &Index, number: u64, count: u64, rank: i64) -> bool {
    let entry = super::super::index::IndexEntry {
        path: &path(number),
        nar_hash: &Sha256::of(b"nar"),
        cut: 1,
        rank,
    };
    index.put(&entry, &pieces(number, count)).unwrap()
}

fn has(index: &Index, number: u64) -> bool {
    let row = index.reader().named(path(number).as_str(), 1).unwrap();
    row.is_some_and(|row| row.pieces.is_some())
}

fn size(dir: &Path) -> u64 {
    fs::metadata(dir.join(FILE)).unwrap().len()
}

#[test]
fn the_size_is_limited_and_the_lowest_rank_is_evicted_first() {
    let dir = tempfile::tempdir().unwrap();
    let most = 1 << 20;
    let index = Index::open(dir.path(), most).unwrap();
    // About 13 of them fit.
    for number in 0..40 {
        assert!(put(&index, number, 1000, 100 + number as i64));
        let size = index.reader().size().unwrap();
        assert!(size.bytes <= most, "{size:?}");
    }
    let kept: Vec<u64> = (0..40).filter(|number| has(&index, *number)).collect();
    let first = kept[0];
    assert!((15..30).contains(&first), "{first}");
    assert_eq!(kept, (first..40).collect::<Vec<_>>());
    // An item with a lower rank than all others is rejected, and so is one larger than the limit.
    // Nothing is evicted for it.
    assert!(!index.has_room(1 << 30, 5).unwrap());
    assert!(!put(&index, 50, 1000, 5));
    assert!(!put(&index, 51, 20_000, 9999));
    assert!(kept.iter().all(|number| has(&index, *number)));
    // A used item stays longer.
    let used = index.reader().page(0, 1).unwrap()[0].id;
    index.record_use(&[used], 100_000).unwrap();
    assert!(put(&index, 52, 1000, 9999));
    assert!(has(&index, first) && !has(&index, first + 1));
    // With a smaller limit the index shrinks.
    drop(index);
    let index = Index::open(dir.path(), most / 2).unwrap();
    index.check().unwrap();
    assert!(has(&index, first) && has(&index, 52) && !has(&index, 30));
    drop(index);
    assert!(size(dir.path()) <= most / 2 + 4096, "{}", size(dir.path()));
    // No hook of a removed item is left.
    let database = Connection::open(dir.path().join(FILE)).unwrap();
    let stray = "SELECT count(*) FROM hooks WHERE item NOT IN (SELECT id FROM items)";
    let stray: i64 = database.query_row(stray, [], |row| row.get(0)).unwrap();
    assert_eq!(stray, 0);
}

#[test]
fn an_item_is_added_once_and_removed_with_its_hooks() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::open(dir.path(), MAX_BYTES).unwrap();
    assert!(put(&index, 1, 50, 1) && put(&index, 1, 40, 1) && put(&index, 2, 5, 1));
    assert_eq!(index.reader().size().unwrap().items, 2);
    index.drop_item(path(1).as_str()).unwrap();
    assert!(!has(&index, 1) && has(&index, 2) && !index.take_needs_reindex());
    index.invalidate(path(2).as_str()).unwrap();
    assert!(index.reader().is_empty().unwrap() && index.take_needs_reindex());
    let database = Connection::open(dir.path().join(FILE)).unwrap();
    let hooks: i64 = database
        .query_row("SELECT count(*) FROM hooks", [], |row| row.get(0))
        .unwrap();
    assert_eq!(hooks, 0);
}

#[test]
fn a_damaged_file_is_recreated_even_while_it_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(FILE);
    let fill = |index: &Index| (0..20).for_each(|number| assert!(put(index, number, 500, 1)));
    let index = Index::open(dir.path(), MAX_BYTES).unwrap();
    fill(&index);
    drop(index);
    let whole = fs::read(&file).unwrap();
    let mut versions = vec![b"no database at all, but text".repeat(1000), vec![]];
    versions.extend(
        [40, 4096, 30_000, whole.len() / 2, whole.len() - 4096].map(|end| whole[..end].to_vec()),
    );
    for damaged in versions {
        fs::write(&file, &damaged).unwrap();
        let index = Index::open(dir.path(), MAX_BYTES).unwrap();
        index.check().unwrap();
        // The index works again, whatever it contains.
        fill(&index);
        assert!((0..20).all(|number| has(&index, number)));
        index.check().unwrap();
        assert_eq!(index.reader().size().unwrap().items, 20);
        // Truncated while it is open.
        Connection::open(&file)
            .unwrap()
            .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
            .unwrap();
        fs::File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .set_len(9000)
            .unwrap();
        index.check().unwrap();
        fill(&index);
        assert!((0..20).all(|number| has(&index, number)));
    }
    // A file of a future version.
    let database = Connection::open(&file).unwrap();
    database.pragma_update(None, "user_version", 77).unwrap();
    drop(database);
    let index = Index::open(dir.path(), MAX_BYTES).unwrap();
    assert!(index.reader().is_empty().unwrap());
    fill(&index);
}

#[test]
fn an_entry_whose_digest_is_wrong_has_no_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::open(dir.path(), MAX_BYTES).unwrap();
    assert!(put(&index, 1, 50, 1) && put(&index, 2, 50, 1));
    let database = Connection::open(dir.path().join(FILE)).unwrap();
    let spoil = "UPDATE items SET pieces = CAST(substr(pieces, 1, 100) || x'07' || substr(pieces, 102) AS BLOB) WHERE id = 1";
    database.execute(spoil, []).unwrap();
    database
        .execute("UPDATE items SET pieces = 'text' WHERE id = 2", [])
        .unwrap();
    assert!(!has(&index, 1) && !has(&index, 2));
    // Removing them also removes all their hooks.
    index.drop_item(path(1).as_str()).unwrap();
    index.drop_item(path(2).as_str()).unwrap();
    let hooks: i64 = database
        .query_row("SELECT count(*) FROM hooks", [], |row| row.get(0))
        .unwrap();
    assert_eq!(hooks, 0);
}
