//! Destinations of downloads: standard output, a device or pipe, or a new file that appears only
//! when it is complete.

use anyhow::{Context as _, bail};
use std::fs::File;
use std::io::{Stdout, Write, stdout};
use std::path::{Path, PathBuf};

/// An open destination.
pub enum Output {
    /// Standard output.
    Stdout(Stdout),
    /// A device or pipe.
    Special(File),
    /// A temporary file beside its target; it gets its name at the end.
    File(tempfile::NamedTempFile, PathBuf),
}

impl Output {
    /// Opens a destination. `-` is standard output. An existing file is replaced only by
    /// [`Self::finish`].
    ///
    /// # Errors
    /// The folder is not writable, or the target is a folder.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Stdout(stdout()));
        }
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => {
                bail!(
                    "can't write to {}: it is a folder; name a file with --output",
                    path.display()
                )
            }
            Ok(metadata) if !metadata.is_file() => {
                let file = File::options().write(true).open(path);
                return Ok(Self::Special(
                    file.with_context(|| format!("can't open {}", path.display()))?,
                ));
            }
            _ => {}
        }
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let file = tempfile::Builder::new()
            .prefix(".interplanar-")
            .tempfile_in(folder);
        Ok(Self::File(
            file.with_context(|| format!("can't create a file in {}", folder.display()))?,
            path.to_owned(),
        ))
    }

    /// Completes the file, syncs it to disk and gives it its name. It survives a power failure.
    ///
    /// # Errors
    /// The file can't be written or renamed.
    pub fn finish(mut self) -> anyhow::Result<()> {
        self.flush()?;
        if let Self::File(file, path) = self {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            file.as_file().set_permissions(mode)?;
            file.as_file().sync_all()?;
            file.persist(&path)
                .with_context(|| format!("can't rename the download to {}", path.display()))?;
        }
        Ok(())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::Special(file) => file.write(bytes),
            Self::File(file, _) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::Special(file) => file.flush(),
            Self::File(file, _) => file.flush(),
        }
    }
}
