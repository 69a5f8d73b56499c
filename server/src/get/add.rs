//! Files and folders to blocks, with the CIDs of `ipfs add --cid-version=1 --chunker=size-1048576` (`-r -H` for folders).

use super::Bar;
use crate::blocks::BlockStore;
use anyhow::{Context as _, bail};
use interplanar_core::block::Block;
use interplanar_core::cid::Version;
use interplanar_core::unixfs::{Builder, Built, DirectoryBuilder, SIZE_1048576_V1, symlink};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

const BUFFER: usize = 1 << 20;
/// Blocks handed to the store at once, in bytes.
const BATCH: usize = 8 << 20;

/// Takes blocks on their way into a store, or counts them only.
struct Sink<'a> {
    store: Option<&'a BlockStore>,
    waiting: Vec<Block>,
    bytes: usize,
    failed: Option<crate::blocks::BlocksError>,
}

impl Sink<'_> {
    fn take(&mut self, block: Block) {
        if self.store.is_none() || self.failed.is_some() {
            return;
        }
        self.bytes += block.data().len();
        self.waiting.push(block);
        if self.bytes >= BATCH {
            self.pass();
        }
    }

    fn pass(&mut self) {
        let blocks = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        if let Some(store) = self.store
            && let Err(error) = store.put(&blocks)
        {
            self.failed = Some(error);
        }
    }

    fn check(&mut self) -> anyhow::Result<()> {
        self.failed.take().map_or(Ok(()), |error| Err(error.into()))
    }
}

/// A folder whose entries are not all done.
struct Open {
    name: Vec<u8>,
    builder: DirectoryBuilder,
    left: Vec<PathBuf>,
}

/// Adds a file, folder or link; blocks go to `store`, where there is one. Blocking.
///
/// # Errors
/// Something can't be read or stored, or is neither a file, a folder nor a link.
pub fn path(root: &Path, store: Option<&BlockStore>) -> anyhow::Result<Built> {
    let mut sink = Sink {
        store,
        waiting: Vec::new(),
        bytes: 0,
        failed: None,
    };
    let bar = Bar::new(&root.display().to_string(), None);
    let built = tree(root, &mut sink, &bar)?;
    sink.pass();
    sink.check()?;
    if let Some(store) = store {
        store.flush()?;
    }
    Ok(built)
}

fn tree(root: &Path, sink: &mut Sink<'_>, bar: &Bar) -> anyhow::Result<Built> {
    let mut open: Vec<Open> = Vec::new();
    let mut next = Some(root.to_owned());
    loop {
        let (name, built) = match next.take() {
            Some(path)
                if path
                    .symlink_metadata()
                    .with_context(|| path.display().to_string())?
                    .is_dir() =>
            {
                open.push(folder(&path)?);
                (Vec::new(), None)
            }
            Some(path) => (file_name(&path), Some(leaf(&path, sink, bar)?)),
            None => match open.pop() {
                Some(folder) => (
                    folder.name,
                    Some(folder.builder.finish(&mut |block| sink.take(block))?),
                ),
                None => bail!("nothing was added"),
            },
        };
        if let Some(built) = built {
            match open.last_mut() {
                Some(folder) => folder.builder.add(name.into(), built.cid, built.dag_size),
                None => return Ok(built),
            }
        }
        next = open.last_mut().and_then(|folder| folder.left.pop());
        sink.check()?;
    }
}

fn folder(path: &Path) -> anyhow::Result<Open> {
    let entries = fs::read_dir(path).with_context(|| path.display().to_string())?;
    let left = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    Ok(Open {
        name: file_name(path),
        builder: DirectoryBuilder::new(Version::V1),
        left,
    })
}

fn file_name(path: &Path) -> Vec<u8> {
    path.file_name()
        .map(|name| name.as_bytes().to_vec())
        .unwrap_or_default()
}

fn leaf(path: &Path, sink: &mut Sink<'_>, bar: &Bar) -> anyhow::Result<Built> {
    let kind = path.symlink_metadata()?.file_type();
    if kind.is_symlink() {
        let target = path.read_link()?;
        let sink = &mut |block| sink.take(block);
        return Ok(symlink(target.as_os_str().as_bytes(), Version::V1, sink));
    }
    if !kind.is_file() {
        bail!(
            "{} is neither a file, a folder nor a symbolic link",
            path.display()
        );
    }
    let mut file = File::open(path).with_context(|| path.display().to_string())?;
    let mut builder = Builder::new(SIZE_1048576_V1);
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = file
            .read(&mut buffer)
            .with_context(|| path.display().to_string())?;
        let Some(bytes) = buffer.get(..length).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        builder.push(bytes, &mut |block| sink.take(block));
        bar.add(length);
    }
    Ok(builder.finish(&mut |block| sink.take(block)))
}
