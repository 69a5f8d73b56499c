//! Finds build logs of guix-daemon and nix-daemon:
//! `<logs>/drvs/<xx>/<rest of the derivation's base name>[.gz|.bz2]`, where `xx` are the first two
//! characters. Each daemon writes one of the three forms. The order is that of `guix publish`.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use interplanar_core::narinfo::Compression;

use super::{Log, SourceError};

const FORMS: [(&str, Compression); 3] = [
    (".gz", Compression::Gzip),
    (".bz2", Compression::Bzip2),
    ("", Compression::None),
];

/// Finds the log of a derivation by its base name. The caller has validated the name.
pub(super) fn find(logs: &Path, derivation: &str) -> Result<Option<Log>, SourceError> {
    let Some((shard, rest)) = derivation.split_at_checked(2) else {
        return Ok(None);
    };
    let folder = logs.join("drvs").join(shard);
    for (suffix, compression) in FORMS {
        if let Some(log) = open(folder.join(format!("{rest}{suffix}")), compression)? {
            return Ok(Some(log));
        }
    }
    Ok(None)
}

/// Opens a file as a log; returns `None` if it doesn't exist or isn't a regular file.
pub(super) fn open(path: PathBuf, compression: Compression) -> Result<Option<Log>, SourceError> {
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(SourceError::io(&path, &error)),
    };
    let metadata = file
        .metadata()
        .map_err(|error| SourceError::io(&path, &error))?;
    Ok(metadata.is_file().then(|| Log {
        file,
        size: metadata.len(),
        path,
        compression,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const DRV: &str = "vy76yf96z3qdlp64cz1rlr4xsnn61zv4-greet-1.0.drv";

    #[test]
    fn the_three_forms_are_found_in_order() {
        let logs = tempfile::tempdir().unwrap();
        assert!(find(logs.path(), DRV).unwrap().is_none());
        let folder = logs.path().join("drvs/vy");
        fs::create_dir_all(&folder).unwrap();
        let rest = "76yf96z3qdlp64cz1rlr4xsnn61zv4-greet-1.0.drv";
        for (suffix, compression) in [
            ("", Compression::None),
            (".bz2", Compression::Bzip2),
            (".gz", Compression::Gzip),
        ] {
            fs::write(folder.join(format!("{rest}{suffix}")), suffix).unwrap();
            let log = find(logs.path(), DRV).unwrap().unwrap();
            assert_eq!(log.compression, compression);
            assert_eq!(log.size, suffix.len() as u64);
        }
    }

    #[test]
    fn a_folder_is_not_a_log() {
        let logs = tempfile::tempdir().unwrap();
        let path = logs.path().join("log");
        fs::create_dir(&path).unwrap();
        assert!(open(path, Compression::None).unwrap().is_none());
    }
}
