//! Adds files and folders as blocks, with the CIDs of `ipfs add --cid-version=1
//! --chunker=size-1048576` (`-r -H` for folders).

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
/// Bytes of blocks that are written to the store at once.
const BATCH: usize = 8 << 20;

/// Collects blocks and writes them to a store in batches. Without a store, drops them.
struct BlockBatch<'a> {
    store: Option<&'a BlockStore>,
    pending: Vec<Block>,
    bytes: usize,
    error: Option<crate::blocks::BlocksError>,
}

impl BlockBatch<'_> {
    fn push(&mut self, block: Block) {
        if self.store.is_none() || self.error.is_some() {
            return;
        }
        self.bytes += block.data().len();
        self.pending.push(block);
        if self.bytes >= BATCH {
            self.write_pending();
        }
    }

    fn write_pending(&mut self) {
        let blocks = std::mem::take(&mut self.pending);
        self.bytes = 0;
        if let Some(store) = self.store
            && let Err(error) = store.put(&blocks)
        {
            self.error = Some(error);
        }
    }

    fn check(&mut self) -> anyhow::Result<()> {
        self.error.take().map_or(Ok(()), |error| Err(error.into()))
    }
}

/// A folder whose entries are not all added yet.
struct OpenFolder {
    name: Vec<u8>,
    builder: DirectoryBuilder,
    remaining: Vec<PathBuf>,
}

/// Adds a file, folder or symbolic link, and stores its blocks in `store`, if given. Blocking.
///
/// # Errors
/// Something can't be read or stored, or is neither a file, a folder nor a symbolic link.
pub fn path(root: &Path, store: Option<&BlockStore>) -> anyhow::Result<Built> {
    let mut batch = BlockBatch {
        store,
        pending: Vec::new(),
        bytes: 0,
        error: None,
    };
    let bar = Bar::new(&root.display().to_string(), None);
    let built = add_tree(root, &mut batch, &bar)?;
    batch.write_pending();
    batch.check()?;
    if let Some(store) = store {
        store.flush()?;
    }
    Ok(built)
}

fn add_tree(root: &Path, batch: &mut BlockBatch<'_>, bar: &Bar) -> anyhow::Result<Built> {
    let mut open: Vec<OpenFolder> = Vec::new();
    let mut next = Some(root.to_owned());
    loop {
        let (name, built) = match next.take() {
            Some(path)
                if path
                    .symlink_metadata()
                    .with_context(|| format!("can't read {}", path.display()))?
                    .is_dir() =>
            {
                open.push(open_folder(&path)?);
                (Vec::new(), None)
            }
            Some(path) => (file_name(&path), Some(add_leaf(&path, batch, bar)?)),
            None => match open.pop() {
                Some(folder) => (
                    folder.name,
                    Some(folder.builder.finish(&mut |block| batch.push(block))?),
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
        next = open.last_mut().and_then(|folder| folder.remaining.pop());
        batch.check()?;
    }
}

fn open_folder(path: &Path) -> anyhow::Result<OpenFolder> {
    let entries = fs::read_dir(path).with_context(|| format!("can't read {}", path.display()))?;
    let remaining = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    Ok(OpenFolder {
        name: file_name(path),
        builder: DirectoryBuilder::new(Version::V1),
        remaining,
    })
}

fn file_name(path: &Path) -> Vec<u8> {
    path.file_name()
        .map(|name| name.as_bytes().to_vec())
        .unwrap_or_default()
}

fn add_leaf(path: &Path, batch: &mut BlockBatch<'_>, bar: &Bar) -> anyhow::Result<Built> {
    let kind = path.symlink_metadata()?.file_type();
    if kind.is_symlink() {
        let target = path.read_link()?;
        let batch = &mut |block| batch.push(block);
        return Ok(symlink(target.as_os_str().as_bytes(), Version::V1, batch));
    }
    if !kind.is_file() {
        bail!(
            "can't add {}: it is neither a file, a folder nor a symbolic link",
            path.display()
        );
    }
    let mut file = File::open(path).with_context(|| format!("can't read {}", path.display()))?;
    let mut builder = Builder::new(SIZE_1048576_V1);
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = file
            .read(&mut buffer)
            .with_context(|| format!("can't read {}", path.display()))?;
        let Some(bytes) = buffer.get(..length).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        builder.push(bytes, &mut |block| batch.push(block));
        bar.add(length);
    }
    Ok(builder.finish(&mut |block| batch.push(block)))
}
