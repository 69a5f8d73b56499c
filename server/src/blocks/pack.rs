//! Pack files: CARv1 with one root, the empty identity CID.

use std::collections::HashMap;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use interplanar_core::cid::{self, Cid, MAX_BLOCK};

use super::BlocksError;

/// The CARv1 header at the start of every pack: DAG-CBOR `{"roots": [bafkqaaa], "version": 1}`
/// behind its length.
pub(super) const HEADER: &[u8] =
    b"\x19\xa2\x65roots\x81\xd8\x2a\x45\x00\x01\x55\x00\x00\x67version\x01";

/// Most bytes of a CID in a section: version and codec of at most 10 bytes each, and a multihash of
/// at most 128 bytes with its prefix.
const MAX_CID: usize = 160;

/// The place of a block's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Location {
    /// The number of the pack.
    pub(super) pack: u32,
    /// The offset of the data in the pack, behind the CID.
    pub(super) offset: u64,
    /// The length of the data in bytes.
    pub(super) length: u32,
}

/// The pack files of a folder.
#[derive(Debug)]
pub(super) struct Packs {
    dir: PathBuf,
    open: Mutex<HashMap<u32, Arc<File>>>,
}

impl Packs {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            open: Mutex::default(),
        }
    }

    pub(super) fn path(&self, id: u32) -> PathBuf {
        self.dir.join(format!("pack-{id:08}.car"))
    }

    /// Returns the numbers of the existing packs, in order.
    pub(super) fn list(&self) -> Result<Vec<u32>, BlocksError> {
        let mut ids = Vec::new();
        for entry in std::fs::read_dir(&self.dir).map_err(BlocksError::io(&self.dir))? {
            let name = entry.map_err(BlocksError::io(&self.dir))?.file_name();
            let id: Option<u32> = name.to_str().and_then(|name| {
                name.strip_prefix("pack-")?
                    .strip_suffix(".car")?
                    .parse()
                    .ok()
            });
            ids.extend(id);
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// Returns the bytes of each pack file.
    pub(super) fn lengths(&self) -> Result<Vec<u64>, BlocksError> {
        self.list()?.into_iter().map(|id| self.length(id)).collect()
    }

    /// Returns the bytes of a pack file; 0 if it doesn't exist.
    pub(super) fn length(&self, id: u32) -> Result<u64, BlocksError> {
        let path = self.path(id);
        match std::fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            Err(error) => Err(BlocksError::io(&path)(error)),
        }
    }

    /// Opens a pack to read; returns `None` if it doesn't exist.
    pub(super) fn file(&self, id: u32) -> Result<Option<Arc<File>>, BlocksError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(&id) {
            return Ok(Some(Arc::clone(file)));
        }
        let path = self.path(id);
        match File::open(&path) {
            Ok(file) => {
                let file = Arc::new(file);
                open.insert(id, Arc::clone(&file));
                Ok(Some(file))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(BlocksError::io(&path)(error)),
        }
    }

    /// Reads the data at a location, unverified. Returns `None` if the pack doesn't exist or
    /// ends before it.
    pub(super) fn read(&self, location: Location) -> Result<Option<Bytes>, BlocksError> {
        let Some(file) = self.file(location.pack)? else {
            return Ok(None);
        };
        let length = location.length as usize;
        if length > MAX_BLOCK {
            return Ok(None);
        }
        let mut data = vec![0; length];
        match file.read_exact_at(&mut data, location.offset) {
            Ok(()) => Ok(Some(data.into())),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(BlocksError::io(&self.path(location.pack))(error)),
        }
    }

    /// Deletes a pack. Readers that have it open can still read it.
    pub(super) fn delete(&self, id: u32) -> Result<(), BlocksError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&id);
        let path = self.path(id);
        std::fs::remove_file(&path).map_err(BlocksError::io(&path))
    }

    /// Makes created and deleted names in the folder durable.
    pub(super) fn sync_folder(&self) -> Result<(), BlocksError> {
        File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(BlocksError::io(&self.dir))
    }
}

/// Returns the bytes of a section before its data.
pub(super) fn section_prefix(cid: &Cid, length: usize) -> Vec<u8> {
    let cid = cid.to_bytes();
    let mut prefix = Vec::with_capacity(10 + cid.len());
    let mut rest = (cid.len() + length) as u64;
    while rest >= 0x80 {
        prefix.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    prefix.push(rest as u8);
    prefix.extend_from_slice(&cid);
    prefix
}

/// A complete and verified section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) cid: Cid,
    pub(super) data: Bytes,
    /// Offset of the data.
    pub(super) offset: u64,
    /// Offset of the next section.
    pub(super) end: u64,
}

/// Reads the section at an offset. Returns `None` if it is torn, malformed or doesn't match its
/// hash. Then nothing behind it can be trusted either.
pub(super) fn read_section(file: &File, at: u64) -> std::io::Result<Option<Section>> {
    let mut head = [0; 10];
    let head = read_up_to(file, &mut head, at)?;
    let Some((length, varint)) = varint(head) else {
        return Ok(None);
    };
    let Some(length) = usize::try_from(length)
        .ok()
        .filter(|length| *length <= MAX_CID + MAX_BLOCK)
    else {
        return Ok(None);
    };
    let mut section = vec![0; length];
    let start = at + varint as u64;
    if read_up_to(file, &mut section, start)?.len() < length {
        return Ok(None);
    }
    let Some((cid, cid_length)) = cid_at(&section) else {
        return Ok(None);
    };
    let data = Bytes::from(section).slice(cid_length..);
    if cid::verify(&cid, &data).is_err() {
        return Ok(None);
    }
    Ok(Some(Section {
        cid,
        data,
        offset: start + cid_length as u64,
        end: start + length as u64,
    }))
}

/// Reads until the buffer is full or the file ends.
fn read_up_to<'a>(file: &File, buffer: &'a mut [u8], at: u64) -> std::io::Result<&'a [u8]> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(&buffer[..filled])
}

/// Decodes an unsigned varint of at most 9 bytes; returns it with its length.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(9).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

/// Returns the CID at the start of a section, and its length.
fn cid_at(section: &[u8]) -> Option<(Cid, usize)> {
    let mut rest = section;
    let cid = Cid::read_bytes(&mut rest).ok()?;
    Some((cid, section.len() - rest.len()))
}
