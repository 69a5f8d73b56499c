use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use interplanar_core::hash::Sha256;
use tempfile::TempDir;

use super::fixture::FIXTURES;
use crate::store::binary_cache::BinaryCache;
use crate::store::{Source, SourceError};

const HASH: &str = "bnfap3gvj3v0k345a5zkxwyd38m1f2s5";
const PLAIN: &str = "nar/0dzcznf6ic1ia641rv82ihgq0dhps4k8rva4ryl327416ygfvpww.nar";

fn fixture(compression: &str) -> PathBuf {
    Path::new(FIXTURES).join("nix-2.34.8").join(compression)
}

/// Returns a copy of the cache with the uncompressed item, to damage.
fn copy() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("nar")).unwrap();
    for name in ["nix-cache-info", &format!("{HASH}.narinfo"), PLAIN] {
        fs::copy(fixture("none").join(name), dir.path().join(name)).unwrap();
    }
    dir
}

fn edit(dir: &TempDir, from: &str, to: &str) {
    let path = dir.path().join(format!("{HASH}.narinfo"));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from));
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn every_compression_dumps_the_plain_nar() {
    let plain = fs::read(fixture("none").join(PLAIN)).unwrap();
    for compression in ["none", "xz", "zstd"] {
        let cache = BinaryCache::open(&fixture(compression)).unwrap();
        assert_eq!(cache.store_dir(), "/nix/store");
        let item = cache.find(HASH).unwrap().unwrap();
        assert_eq!(item.store_path.base_name(), format!("{HASH}-tree"));
        assert_eq!(item.nar_hash, Sha256::of(&plain));
        assert_eq!(item.signatures.len(), 1);
        assert!(item.signatures[0].starts_with("test-1:O38Kl6xy/"));
        let mut nar = Vec::new();
        cache.dump(&item, &mut nar).unwrap();
        assert_eq!(nar, plain, "{compression}");
        assert_eq!(cache.items(None, 10).unwrap(), std::slice::from_ref(&item));
        assert_eq!(cache.items(Some(item.store_path.as_str()), 10).unwrap(), []);
    }
}

#[test]
fn prepared_files_are_returned_unchanged() {
    let dir = fixture("xz");
    let cache = BinaryCache::open(&dir).unwrap();
    let item = cache.find(HASH).unwrap().unwrap();
    let prepared = cache.prepared(&item).unwrap();
    let text = fs::read_to_string(dir.join(format!("{HASH}.narinfo"))).unwrap();
    assert_eq!(prepared.narinfo.to_string(), text);
    let [file] = &prepared.files[..] else {
        panic!("one file")
    };
    assert_eq!(file.size, 276);
    let hash = Sha256::of(&fs::read(&file.path).unwrap());
    assert_eq!(Some(hash), file.entry.file_hash);
    assert!(prepared.listing.unwrap().ends_with(format!("{HASH}.ls")));
}

#[test]
fn missing_items_are_not_found() {
    let cache = BinaryCache::open(&fixture("none")).unwrap();
    for hash_part in [
        "00000000000000000000000000000000",
        "",
        "nix-cache-info",
        "../none/bnfap3gvj3v0k345a5zkxwyd",
    ] {
        assert_eq!(cache.find(hash_part).unwrap(), None);
    }
    let empty = tempfile::tempdir().unwrap();
    let error = BinaryCache::open(empty.path()).unwrap_err();
    assert!(matches!(error, SourceError::NotAStore { .. }), "{error}");
}

#[test]
fn files_outside_the_folder_count_as_missing() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret.nar");
    fs::copy(fixture("none").join(PLAIN), &secret).unwrap();
    let link = |dir: &TempDir| symlink(&secret, dir.path().join("nar/link.nar")).unwrap();
    let up = format!(
        "../{}/secret.nar",
        outside.path().file_name().unwrap().display()
    );
    for url in [
        secret.to_str().unwrap(),
        &up,
        &format!("nar/../{up}"),
        &format!("file://{}", secret.display()),
        "nar/link.nar",
        "nar",
    ] {
        let dir = copy();
        link(&dir);
        edit(&dir, PLAIN, url);
        let cache = BinaryCache::open(dir.path()).unwrap();
        let item = cache.find(HASH).unwrap().unwrap();
        assert!(cache.prepared(&item).unwrap().files.is_empty(), "{url}");
        let error = cache.dump(&item, &mut Vec::new()).unwrap_err();
        assert!(
            matches!(error, SourceError::Unreadable(_)),
            "{url}: {error}"
        );
    }
}

#[test]
fn a_nar_of_the_wrong_length_is_an_error() {
    let dir = copy();
    let file = dir.path().join(PLAIN);
    let nar = fs::read(&file).unwrap();
    let cache = BinaryCache::open(dir.path()).unwrap();
    let item = cache.find(HASH).unwrap().unwrap();
    fs::write(&file, &nar[..nar.len() - 8]).unwrap();
    assert_eq!(
        cache.dump(&item, &mut Vec::new()).unwrap_err(),
        SourceError::Changed(item.store_path.as_str().into())
    );
    fs::write(&file, [&nar[..], &[0; 8]].concat()).unwrap();
    let mut out = Vec::new();
    cache.dump(&item, &mut out).unwrap_err();
    assert!(out.len() as u64 <= item.nar_size);
}

#[test]
fn damaged_narinfos_are_errors_and_left_out_of_listings() {
    let dir = copy();
    let cache = BinaryCache::open(dir.path()).unwrap();
    edit(&dir, "StorePath: /nix/store/b", "StorePath: /nix/store/c");
    let error = cache.find(HASH).unwrap_err();
    assert!(matches!(error, SourceError::Malformed { .. }), "{error}");
    assert_eq!(cache.items(None, 10).unwrap(), []);
    fs::write(dir.path().join(format!("{HASH}.narinfo")), "x").unwrap();
    cache.find(HASH).unwrap_err();
}

#[test]
fn logs_are_found_by_derivation_and_by_item() {
    const DRV: &str = "vy76yf96z3qdlp64cz1rlr4xsnn61zv4-tree.drv";
    let dir = copy();
    edit(
        &dir,
        "References: \n",
        &format!("References: \nDeriver: {DRV}\n"),
    );
    let cache = BinaryCache::open(dir.path()).unwrap();
    assert!(cache.log(DRV).unwrap().is_none());
    fs::create_dir(dir.path().join("log")).unwrap();
    fs::write(dir.path().join("log").join(DRV), "built\n").unwrap();
    for name in [DRV, &format!("{HASH}-tree")] {
        assert_eq!(cache.log(name).unwrap().unwrap().size, 6);
    }
    assert!(cache.log(&format!("{HASH}-other")).unwrap().is_none());
    assert!(cache.log("../nix-cache-info").unwrap().is_none());
}
