//! What the families share to build with the real Kubo.

use super::Dags;
use crate::kubo::Repo;
use crate::output;
use interplanar_core::block::Block;
use interplanar_core::cid::{self, Cid};
use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Runs a command that prints a CID.
pub(super) fn root(command: &mut Command) -> Cid {
    let text = output(command);
    cid::parse(text.trim()).unwrap_or_else(|error| panic!("{command:?}: {error} {text:?}"))
}

/// Runs a command that reads a file from its standard input and prints a CID.
pub(super) fn root_of(command: &mut Command, input: &[u8]) -> Cid {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("ipfs runs");
    let mut stdin = child.stdin.take().expect("its standard input");
    stdin.write_all(input).expect("ipfs reads");
    drop(stdin);
    let done = child.wait_with_output().expect("ipfs ends");
    assert!(done.status.success(), "{command:?}");
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    cid::parse(text.trim()).unwrap_or_else(|error| panic!("{command:?}: {error} {text:?}"))
}

/// Adds DAGs, and stores all of their blocks that a repository has.
pub(super) fn store(dags: &mut Dags, repo: &Repo, added: &[(String, Cid)]) {
    // One document with links to all, so that one export gives all blocks.
    let links: Vec<String> = added
        .iter()
        .map(|(_, root)| format!(r#"{{"/":"{root}"}}"#))
        .collect();
    let mut put = repo.ipfs();
    let all = root_of(
        put.args(["dag", "put"]),
        format!("[{}]", links.join(",")).as_bytes(),
    );
    for (cid, data) in repo.blocks(&all) {
        // A CAR may hold what stands in a CID; a store of blocks doesn't.
        if cid != all && cid::identity_data(&cid).is_none() {
            dags.put(Block::verify(cid, data).expect("its hash"));
        }
    }
    for (name, root) in added {
        dags.add(name, *root, &[]);
    }
}

/// What stands under a name in a [`folder`].
pub(super) enum Entry<'a> {
    /// A file with this content.
    File(&'a [u8]),
    /// A symbolic link to this target.
    Symlink(&'a str),
}

/// Writes a folder beside the repository; slashes in names make folders in it.
pub(super) fn folder(repo: &Repo, name: &str, entries: &[(&[u8], Entry<'_>)]) -> PathBuf {
    let folder = repo.path().join("folders").join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    for (name, entry) in entries {
        let path = folder.join(OsStr::from_bytes(name));
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("a folder");
        }
        match entry {
            Entry::File(content) => std::fs::write(&path, content).expect("a file"),
            Entry::Symlink(target) => std::os::unix::fs::symlink(target, &path).expect("a link"),
        }
    }
    folder
}
