//! Searching: which pieces are found, where, and how wrong index entries are detected.

use super::*;
use rusqlite::Connection;

fn nar(candidate: &Candidate) -> Vec<u8> {
    let mut nar = vec![];
    candidate.store.dump(&candidate.item, &mut nar).unwrap();
    nar
}

fn open(dir: &Path, store: &Arc<dyn Source>) -> Arc<Installed> {
    let index = dir.join("index");
    Arc::new(Installed::of(vec![Arc::clone(store)], &index, MAX_BYTES).unwrap())
}

#[test]
fn pieces_of_another_version_are_found_and_read_in_any_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), &["tool-1.0", "tool-1.1", "toolbox-1.0"]);
    let installed = open(dir.path(), &store);
    let (old, new) = (candidate(&store, "tool-1.0"), candidate(&store, "tool-1.1"));
    let candidates = installed.candidates(&new.item.store_path);
    assert_eq!(candidates.len(), 1, "{candidates:?}");
    assert_eq!(candidates[0].item.store_path, old.item.store_path);

    let listed = cut_now(&new);
    let parameters = Parameters::default();
    // First by cutting the item, then from the index.
    for _ in 0..2 {
        let pieces = installed.pieces(candidates.clone(), &parameters, &wanted(&listed));
        let found_pieces = listed
            .iter()
            .filter(|one| pieces.find(&one.plain).is_some());
        let found_pieces: Vec<&IndexedPiece> = found_pieces.collect();
        let bytes: u64 = found_pieces.iter().map(|one| u64::from(one.length)).sum();
        assert!(
            bytes > 2_900_000 && bytes <= new.item.nar_size - 300_000,
            "{bytes}"
        );
        let mut reader = ItemReader::new(pieces.items[0].clone());
        let whole = nar(&new);
        let backwards = found_pieces.iter().rev().take(3).chain(&found_pieces);
        for piece in backwards {
            let read = reader.piece(pieces.find(&piece.plain).unwrap()).unwrap();
            let start = usize::try_from(piece.offset).unwrap();
            assert!(read == whole[start..start + read.len()]);
        }
        // Reading is refused after too many restarts.
        let (first, last) = (
            pieces.find(&found_pieces[0].plain).unwrap(),
            pieces
                .find(&found_pieces[found_pieces.len() - 1].plain)
                .unwrap(),
        );
        assert!((0..20).any(|_| reader.piece(last).is_none() || reader.piece(first).is_none()));
    }
}

#[test]
fn items_of_other_packages_are_found_once_they_are_indexed() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), &["wanted-1.0", "another-7", "third-2"]);
    let installed = open(dir.path(), &store);
    let listed = cut_now(&candidate(&store, "wanted-1.0"));
    let search = || installed.pieces(vec![], &Parameters::default(), &wanted(&listed));
    assert!(!installed.knows_others(MIN_STRANGER));
    assert!(search().items.is_empty());
    let another = candidate(&store, "another-7");
    assert!(
        installed
            .own
            .put(&entry(&another, 1), &cut_now(&another))
            .unwrap()
    );
    assert!(installed.knows_others(MIN_STRANGER));
    assert!(!installed.knows_others(MIN_STRANGER - 1));
    let found = search();
    assert_eq!(format!("{:?}", found.items), format!("{:?}", [&another]));
    let mut reader = ItemReader::new(found.items[0].clone());
    let locations = listed
        .iter()
        .filter_map(|one| Some((one, found.find(&one.plain)?)));
    let mut read = 0;
    for (piece, location) in locations {
        assert_eq!(Sha256::of(&reader.piece(location).unwrap()), piece.plain);
        read += piece.length;
    }
    assert!(read > 2_900_000, "{read}");

    // Another process reads the same index and has no index of its own.
    let config = Config {
        others: vec![dir.path().join("index")],
        ..Config::default()
    };
    let mut beside = Installed::open(&config, &dir.path().join("beside")).unwrap();
    beside.stores = Stores::new(vec![Arc::clone(&store)], vec![]);
    let beside = Arc::new(beside);
    assert!(beside.knows_others(MIN_STRANGER));
    let found = beside.pieces(vec![], &Parameters::default(), &wanted(&listed));
    assert_eq!(found.items.len(), 1);
}

#[test]
fn an_item_that_needs_too_much_reading_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large-1");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("a"), noise(1, 8 << 20)).unwrap();
    fs::write(path.join("b"), noise(2, 100_000)).unwrap();
    let trees = [Tree { path, name: None }];
    let store: Arc<dyn Source> = Arc::new(Trees::open(&trees, "/gnu/store").unwrap());
    let installed = open(dir.path(), &store);
    let large = candidate(&store, "large-1");
    let listed = cut_now(&large);
    assert!(installed.own.put(&entry(&large, 1), &listed).unwrap());
    let found_items = |pieces: &[IndexedPiece]| {
        let found = installed.pieces(vec![], &Parameters::default(), &wanted(pieces));
        found.items.len()
    };
    // Only the last piece, only the first ones, and all of them.
    let last = listed.iter().rposition(|one| one.length > 50_000).unwrap();
    assert_eq!(found_items(&listed[last..=last]), 0);
    assert_eq!(found_items(&listed[..2]), 1);
    assert_eq!(found_items(&listed), 1);
}

/// Writes wrong entries with a correct digest.
#[test]
fn wrong_index_entries_are_detected() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), &["wanted-1.0", "another-7"]);
    let installed = open(dir.path(), &store);
    let another = candidate(&store, "another-7");
    let listed = cut_now(&another);
    let lie = |lie: &dyn Fn(&mut IndexedPiece)| {
        let mut lies = listed.clone();
        lies.iter_mut().for_each(lie);
        assert!(installed.own.put(&entry(&another, 1), &lies).unwrap());
        let found = installed.pieces(vec![], &Parameters::default(), &wanted(&listed));
        let mut readers: Vec<ItemReader> =
            found.items.iter().cloned().map(ItemReader::new).collect();
        let locations = listed
            .iter()
            .filter_map(|one| Some((one, found.find(&one.plain)?)));
        let mut wrong = 0;
        let mut right = 0;
        for (piece, location) in locations {
            match readers[location.item].piece(location) {
                Some(read) if Sha256::of(&read) == piece.plain => right += 1,
                _ => wrong += 1,
            }
        }
        (right, wrong)
    };
    let count = listed.len();
    assert_eq!(lie(&|_| {}), (count, 0));
    // With another length, or beyond the end of the NAR: not found.
    assert_eq!(lie(&|piece| piece.length -= 1), (0, 0));
    assert_eq!(lie(&|piece| piece.offset = u64::MAX - 5), (0, 0));
    let size = another.item.nar_size;
    assert_eq!(lie(&|piece| piece.offset = size - 1), (0, 0));
    assert_eq!(lie(&|piece| piece.plain = Sha256::of(b"other")), (0, 0));
    // With another offset: the piece is read, and its hash is wrong.
    let (right, wrong) = lie(&|piece| piece.offset = piece.offset.saturating_sub(8));
    assert!(wrong >= count - 1 && right <= 1, "{right} {wrong}");
    // Hooks of unknown items, and items with another NarHash.
    let database = Connection::open(dir.path().join("index/index.sqlite")).unwrap();
    assert_eq!(lie(&|_| {}), (count, 0));
    database
        .execute("UPDATE hooks SET item = item + 70", [])
        .unwrap();
    assert_eq!(
        installed
            .pieces(vec![], &Parameters::default(), &wanted(&listed))
            .items
            .len(),
        0
    );
    assert_eq!(lie(&|_| {}), (count, 0));
    database
        .execute("UPDATE items SET nar_hash = zeroblob(32)", [])
        .unwrap();
    assert_eq!(
        installed
            .pieces(vec![], &Parameters::default(), &wanted(&listed))
            .items
            .len(),
        0
    );
    // Then the item is removed from the index.
    assert!(installed.own.reader().is_empty().unwrap());
    assert!(installed.own.take_needs_reindex());
}
