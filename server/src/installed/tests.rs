use super::*;
use crate::store::trees::{Tree, Trees};
use std::fs;

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let block = |n: u64| *Sha256::of(&[seed.to_le_bytes(), n.to_le_bytes()].concat()).as_bytes();
    (0..length.div_ceil(32) as u64).flat_map(block).collect()
}

/// Two versions of a package, and another package.
fn store(dir: &Path) -> Arc<dyn Source> {
    let mut trees = Vec::new();
    for (name, own) in [("tool-1.0", 1), ("tool-1.1", 2), ("toolbox-1.0", 3)] {
        let path = dir.join(name);
        fs::create_dir_all(path.join("lib")).unwrap();
        fs::write(path.join("own"), noise(own, 300_000)).unwrap();
        fs::write(path.join("lib/shared"), noise(9, 3_000_000)).unwrap();
        trees.push(Tree { path, name: None });
    }
    Arc::new(Trees::open(&trees, "/gnu/store").unwrap())
}

fn nar(store: &dyn Source, item: &Item) -> Vec<u8> {
    let mut nar = vec![];
    store.dump(item, &mut nar).unwrap();
    nar
}

#[test]
fn pieces_of_another_version_are_found_and_read_in_any_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let installed = Installed::open(vec![Arc::clone(&store)], dir.path().join("index")).unwrap();
    let all = store.items(None, 10).unwrap();
    let named = |name: &str| {
        all.iter()
            .find(|item| item.store_path.name() == name)
            .unwrap()
    };
    let (old, new) = (named("tool-1.0"), named("tool-1.1"));
    let candidates = installed.candidates(&new.store_path);
    assert_eq!(candidates.len(), 1, "{candidates:?}");
    assert_eq!(candidates[0].item.store_path, old.store_path);

    let parameters = Parameters::default();
    let wanted = cut(
        &Candidate {
            store: Arc::clone(&store),
            item: new.clone(),
        },
        &parameters,
    )
    .unwrap();
    // Once by reading the item, once from the file.
    for _ in 0..2 {
        let pieces = installed.pieces(candidates.clone(), &parameters);
        let here: Vec<&Piece> = wanted
            .iter()
            .filter(|one| pieces.find(&one.plain).is_some())
            .collect();
        let bytes: u64 = here.iter().map(|one| u64::from(one.length)).sum();
        assert!(
            bytes > 2_900_000 && bytes <= new.nar_size - 300_000,
            "{bytes}"
        );
        let mut reader = Reader::new(pieces.items[0].clone());
        let whole = nar(&*store, new);
        let backwards = here.iter().rev().take(3).chain(&here);
        for piece in backwards {
            let read = reader.piece(pieces.find(&piece.plain).unwrap()).unwrap();
            let start = usize::try_from(piece.offset).unwrap();
            assert!(read == whole[start..start + read.len()]);
        }
        // Not for ever.
        let (first, last) = (
            pieces.find(&here[0].plain).unwrap(),
            pieces.find(&here[here.len() - 1].plain).unwrap(),
        );
        assert!((0..20).any(|_| reader.piece(last).is_none() || reader.piece(first).is_none()));
    }
    assert_eq!(fs::read_dir(dir.path().join("index")).unwrap().count(), 1);
}

#[test]
fn a_damaged_index_is_made_anew_and_old_ones_go() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let index = dir.path().join("index");
    let installed = Installed::open(vec![Arc::clone(&store)], index.clone()).unwrap();
    let item = store.items(None, 10).unwrap().remove(0);
    let candidate = || Candidate {
        store: Arc::clone(&store),
        item: item.clone(),
    };
    let parameters = Parameters::default();
    let good = installed.index(&candidate(), &parameters).unwrap();
    let path = installed.path(&item, &parameters);
    let bytes = fs::read(&path).unwrap();
    assert_eq!(file::decode(&bytes), Some(good.clone()));
    for end in 0..bytes.len() {
        assert_eq!(file::decode(&bytes[..end]), None);
    }
    fs::write(&path, b"interplanar pieces 1\nnonsense").unwrap();
    assert_eq!(installed.index(&candidate(), &parameters).unwrap(), good);
    assert_eq!(fs::read(&path).unwrap(), bytes);
    // Cut otherwise it is another index.
    installed.index(&candidate(), &Parameters::LARGE).unwrap();
    assert_eq!(fs::read_dir(&index).unwrap().count(), 2);
    trim(&index, 0).unwrap();
    assert_eq!(fs::read_dir(&index).unwrap().count(), 0);
}

#[test]
fn packages_are_names_without_versions() {
    for (name, expected) in [
        ("hello-2.12", "hello"),
        ("glib-2.82.1-bin", "glib"),
        ("python3-numpy-1.2", "python3-numpy"),
        ("tree", "tree"),
        ("a-b", "a-b"),
        ("-1", ""),
    ] {
        assert_eq!(package(name), expected);
    }
}
