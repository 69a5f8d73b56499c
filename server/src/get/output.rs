//! Where bytes go: standard output, an existing special file, or a new file that appears whole.

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
    /// `-` is standard output; an existing file is replaced only when all is there.
    ///
    /// # Errors
    /// The folder can't be written to, or the target is a folder.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Stdout(stdout()));
        }
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => {
                bail!("{} is a folder: name a file by --output", path.display())
            }
            Ok(metadata) if !metadata.is_file() => {
                let file = File::options().write(true).open(path);
                return Ok(Self::Special(
                    file.with_context(|| path.display().to_string())?,
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
            file.with_context(|| folder.display().to_string())?,
            path.to_owned(),
        ))
    }

    /// All is there, also after a power cut: it may be a stick that is pulled next.
    ///
    /// # Errors
    /// It can't be written or renamed.
    pub fn finish(mut self) -> anyhow::Result<()> {
        self.flush()?;
        if let Self::File(file, path) = self {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            file.as_file().set_permissions(mode)?;
            file.as_file().sync_all()?;
            file.persist(&path)
                .with_context(|| path.display().to_string())?;
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
