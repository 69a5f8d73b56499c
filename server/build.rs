//! Lists the files of the built inspector (`www/dist`, built by `scripts/www`). `src/inspect.rs`
//! includes them in the program.
//!
//! Without a built inspector the list is empty. So the program also builds without Node; then
//! `/inspect/` tells what is missing.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let dist = root.join("../www/dist");
    // Cargo counts a missing path as changed each time, so the folder is in the repository.
    println!("cargo:rerun-if-changed={}", dist.display());
    let mut files = Vec::new();
    if dist.is_dir() {
        list(&dist.canonicalize()?, Path::new(""), &mut files)?;
    }
    files.sort();
    let mut list = String::from("&[\n");
    for (name, path) in files {
        // Writing into a String doesn't fail.
        let _ = writeln!(list, "    ({name:?}, include_bytes!({path:?})),");
    }
    list.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("inspector.rs"), list)
}

/// Collects the files under a folder: their names, with slashes, and their paths.
fn list(dist: &Path, under: &Path, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for file in fs::read_dir(dist.join(under))? {
        let file = file?;
        let name = under.join(file.file_name());
        if file.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if file.file_type()?.is_dir() {
            list(dist, &name, files)?;
        } else {
            let text = name.to_string_lossy().replace('\\', "/");
            files.push((text, file.path()));
        }
    }
    Ok(())
}
