use std::fs;
use std::os::unix::fs::symlink;

use interplanar_core::hash::Sha256;

use super::fixture::known_tree;
use crate::store::trees::{Tree, Trees};
use crate::store::{Source, SourceError};

fn tree(path: std::path::PathBuf) -> Tree {
    Tree { path, name: None }
}

#[test]
fn paths_are_those_of_nix() {
    let dir = tempfile::tempdir().unwrap();
    let root = known_tree(dir.path());
    symlink("target", dir.path().join("lnk")).unwrap();
    let trees = [
        tree(root.join("hello.txt")),
        tree(root.join("run")),
        tree(dir.path().join("lnk")),
        tree(root),
    ];
    let source = Trees::open(&trees, "/nix/store").unwrap();
    let items = source.items(None, 10).unwrap();
    let paths: Vec<_> = items
        .iter()
        .map(|item| (item.store_path.as_str(), item.nar_size))
        .collect();
    assert_eq!(
        paths,
        [
            ("/nix/store/aklr5w2c6525bracwmvd6ka7awk66d6h-tree", 1624),
            ("/nix/store/kb1f34r3qfr012r8a8yl5dazkwjwn65z-lnk", 120),
            ("/nix/store/qivcqi1dmprilfc03lcfmwsxpfpcsfy8-run", 168),
            ("/nix/store/xfp2hphvk98rkk9ywlqpp587rjdcgnc2-hello.txt", 120),
        ]
    );
    assert_eq!(
        items[0].nar_hash.to_string(),
        "sha256:0blra1cq5p492iirdp4m941y1w69974g4i036afk4clz7imiaw8j"
    );
    assert_eq!(
        items[0].ca.as_deref(),
        Some("fixed:r:sha256:0blra1cq5p492iirdp4m941y1w69974g4i036afk4clz7imiaw8j")
    );
}

#[test]
fn pages_and_hash_parts_find_each_tree() {
    let dir = tempfile::tempdir().unwrap();
    let trees: Vec<_> = (0..5)
        .map(|number| {
            let path = dir.path().join(format!("file-{number}"));
            fs::write(&path, number.to_string()).unwrap();
            tree(path)
        })
        .collect();
    let source = Trees::open(&trees, "/gnu/store").unwrap();
    let mut seen = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = source.items(after.as_deref(), 2).unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.store_path.as_str().into());
        seen.extend(page);
    }
    assert_eq!(seen.len(), 5);
    for item in &seen {
        assert_eq!(
            source.find(item.store_path.hash_part()).unwrap().as_ref(),
            Some(item)
        );
        assert_eq!(
            source.find_path(&item.store_path).unwrap().as_ref(),
            Some(item)
        );
        // Guix signs all lines before `Signature:`; a `CA:` line would break that.
        assert_eq!(item.ca, None);
        let mut nar = Vec::new();
        source.dump(item, &mut nar).unwrap();
        assert_eq!(Sha256::of(&nar), item.nar_hash);
    }
    assert_eq!(
        source.find("00000000000000000000000000000000").unwrap(),
        None
    );
    assert_eq!(
        source.find("../../../../../../../../etc/pass").unwrap(),
        None
    );
}

#[test]
fn a_change_of_size_after_hashing_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "one").unwrap();
    let source = Trees::open(&[tree(path.clone())], "/gnu/store").unwrap();
    let item = source.items(None, 1).unwrap().remove(0);
    fs::write(&path, "seventeen").unwrap();
    let error = source.dump(&item, &mut Vec::new()).unwrap_err();
    assert_eq!(error, SourceError::Changed(path.display().to_string()));
    fs::remove_file(&path).unwrap();
    let error = source.dump(&item, &mut Vec::new()).unwrap_err();
    assert_eq!(error, SourceError::Gone(path));
}

#[test]
fn names_can_be_given_and_must_be_valid() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a name with spaces");
    fs::write(&path, "x").unwrap();
    let error = Trees::open(&[tree(path.clone())], "/gnu/store").unwrap_err();
    assert!(matches!(error, SourceError::Tree { .. }), "{error}");
    let named = Tree {
        path,
        name: Some("a-name".into()),
    };
    let source = Trees::open(&[named], "/gnu/store").unwrap();
    let item = source.items(None, 1).unwrap().remove(0);
    assert_eq!(item.store_path.name(), "a-name");
}

#[test]
fn a_final_slash_follows_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let root = known_tree(dir.path());
    let link = dir.path().join("to-tree");
    symlink(root, &link).unwrap();
    let followed = Tree {
        path: format!("{}/", link.display()).into(),
        name: Some("tree".into()),
    };
    let source = Trees::open(&[followed], "/nix/store").unwrap();
    let item = source
        .find("aklr5w2c6525bracwmvd6ka7awk66d6h")
        .unwrap()
        .unwrap();
    source.dump(&item, &mut std::io::sink()).unwrap();
}
