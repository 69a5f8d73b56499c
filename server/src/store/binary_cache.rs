//! A binary cache in a folder, written by `nix copy --to file://DIR` or mirrored from a server.
//!
//! ```text
//! nix-cache-info            lines `Key: value`; only `StoreDir: /nix/store` is used
//! <hash part>.narinfo       one per item
//! <hash part>.ls            list of the item's files, if the cache was written with it
//! nar/…                     the files that the narinfos' `URL:` name, in any compression
//! log/<derivation>          build logs
//! ```
//! The narinfos are the operator's own, so they aren't verified here. But a `URL:` outside the
//! folder, directly or through a symbolic link, counts as a missing file.
//!
//! ```no_run
//! use interplanar_server::store::{Source, binary_cache::BinaryCache};
//!
//! let cache = BinaryCache::open("/srv/cache".as_ref())?;
//! for item in cache.items(None, 100)? {
//!     println!("{}", item.store_path);
//! }
//! # Ok::<(), interplanar_server::store::SourceError>(())
//! ```

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use interplanar_core::decompress::{Decoder, Limits};
use interplanar_core::narinfo::{Compression, Entry, MAX_NARINFO, NarInfo};
use interplanar_core::store_path::StorePath;

use super::physical::is_hash_part;
use super::{Item, Log, MAX_PAGE, Prepared, PreparedFile, Source, SourceError, build_log};

/// Most bytes of a `nix-cache-info`; real ones have under 200.
pub const MAX_CACHE_INFO: u64 = 64 << 10;
/// Largest zstd window in bytes, as for all native decoding.
const MAX_WINDOW: u64 = 128 << 20;
/// Bytes that are read from a file or decompressed at a time.
const BUFFER: usize = 256 << 10;

/// A binary cache in a folder.
#[derive(Debug)]
pub struct BinaryCache {
    dir: PathBuf,
    store_dir: String,
    /// Hash parts of all narinfos, sorted, from the start of the last listing.
    names: Mutex<Arc<Vec<String>>>,
}

impl BinaryCache {
    /// Opens a folder with a `nix-cache-info`.
    pub fn open(dir: &Path) -> Result<Self, SourceError> {
        // Resolve links, so that `file` can check that files are inside the folder.
        let dir = fs::canonicalize(dir).map_err(|error| SourceError::io(dir, &error))?;
        let path = dir.join("nix-cache-info");
        let Some(info) = read_bounded(&path, MAX_CACHE_INFO)? else {
            return Err(SourceError::NotAStore {
                path,
                advice: "name a folder that `nix copy --to file://…` wrote, or publish the folder \
                         as one item, without --source",
            });
        };
        let store_dir = String::from_utf8_lossy(&info)
            .lines()
            .find_map(|line| line.strip_prefix("StoreDir:"))
            .map(|value| value.trim().to_string())
            .filter(|value| value.starts_with('/') && value.len() > 1)
            .ok_or_else(|| SourceError::malformed(path, "a line `StoreDir: /…`"))?;
        Ok(Self {
            dir,
            store_dir,
            names: Mutex::default(),
        })
    }

    fn narinfo(&self, hash_part: &str) -> Result<Option<NarInfo>, SourceError> {
        let path = self.dir.join(format!("{hash_part}.narinfo"));
        let Some(text) = read_bounded(&path, MAX_NARINFO as u64)? else {
            return Ok(None);
        };
        let narinfo =
            NarInfo::parse(&text).map_err(|_| SourceError::malformed(&path, "a narinfo"))?;
        let store_path = narinfo.store_path();
        if store_path.hash_part() != hash_part || store_path.directory() != self.store_dir {
            return Err(SourceError::malformed(
                path,
                "a narinfo of the item that the file is named after",
            ));
        }
        Ok(Some(narinfo))
    }

    /// Returns the file of an entry, with resolved links; `None` if it doesn't exist inside the
    /// folder.
    fn file(&self, entry: &Entry) -> Option<PreparedFile> {
        let relative = Path::new(&entry.url);
        let is_plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if entry.url.contains(':') || !relative.components().all(is_plain) {
            return None;
        }
        let path = fs::canonicalize(self.dir.join(relative)).ok()?;
        let metadata = fs::metadata(&path).ok()?;
        (path.starts_with(&self.dir) && metadata.is_file()).then(|| PreparedFile {
            entry: entry.clone(),
            path,
            size: metadata.len(),
        })
    }

    fn files(&self, narinfo: &NarInfo) -> Vec<PreparedFile> {
        let entries = narinfo.entries().iter();
        entries.filter_map(|entry| self.file(entry)).collect()
    }

    /// Returns the hash parts of the narinfos. Reads the folder when a listing starts.
    fn names(&self, starts: bool) -> Result<Arc<Vec<String>>, SourceError> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if starts || names.is_empty() {
            *names = Arc::new(self.list()?);
        }
        Ok(Arc::clone(&names))
    }

    fn list(&self) -> Result<Vec<String>, SourceError> {
        let failed = |error| SourceError::io(&self.dir, &error);
        let mut names = Vec::new();
        for file in fs::read_dir(&self.dir).map_err(failed)? {
            let name = file.map_err(failed)?.file_name();
            let hash_part = name.to_str().and_then(|name| name.strip_suffix(".narinfo"));
            names.extend(
                hash_part
                    .filter(|part| is_hash_part(part))
                    .map(String::from),
            );
        }
        names.sort_unstable();
        Ok(names)
    }
}

impl Source for BinaryCache {
    fn store_dir(&self) -> &str {
        &self.store_dir
    }

    fn find(&self, hash_part: &str) -> Result<Option<Item>, SourceError> {
        if !is_hash_part(hash_part) {
            return Ok(None);
        }
        Ok(self.narinfo(hash_part)?.as_ref().map(item))
    }

    fn dump(&self, item: &Item, out: &mut dyn Write) -> Result<(), SourceError> {
        let name = item.store_path.as_str();
        let narinfo = self
            .narinfo(item.store_path.hash_part())?
            .ok_or_else(|| SourceError::Gone(name.into()))?;
        let mut files = self.files(&narinfo);
        files.sort_by_key(|file| effort(file.entry.compression));
        let limits = || Limits {
            max_output: item.nar_size,
            max_window: MAX_WINDOW,
        };
        for file in files {
            if let Ok(decoder) = Decoder::new(file.entry.compression, limits()) {
                return decompress(&file.path, decoder, item, out);
            }
        }
        Err(SourceError::Unreadable(name.into()))
    }

    fn log(&self, base_name: &str) -> Result<Option<Log>, SourceError> {
        let Ok(path) = StorePath::in_directory(&self.store_dir, base_name) else {
            return Ok(None);
        };
        let derivation = if base_name.ends_with(".drv") {
            Some(base_name.to_string())
        } else {
            self.find_path(&path)?.and_then(|item| item.deriver)
        };
        // The `Deriver:` of a narinfo can be any text, so validate it.
        match derivation.filter(|name| StorePath::in_directory(&self.store_dir, name).is_ok()) {
            Some(name) => build_log::open(self.dir.join("log").join(name), Compression::None),
            None => Ok(None),
        }
    }

    fn items(&self, after: Option<&str>, limit: usize) -> Result<Vec<Item>, SourceError> {
        let names = self.names(after.is_none())?;
        let first = after.map_or(0, |path| {
            let base = path.strip_prefix(&self.store_dir).unwrap_or(path);
            let base = base.trim_start_matches('/');
            let last = base.get(..32).unwrap_or(base);
            names.partition_point(|name| name.as_str() <= last)
        });
        let mut items = Vec::new();
        for name in names.iter().skip(first) {
            if items.len() >= limit.min(MAX_PAGE) {
                break;
            }
            match self.find(name) {
                Ok(item) => items.extend(item),
                Err(error) => tracing::warn!(%error, "skipping an item that can't be read"),
            }
        }
        Ok(items)
    }

    fn prepared(&self, item: &Item) -> Option<Prepared> {
        let hash_part = item.store_path.hash_part();
        let narinfo = match self.narinfo(hash_part) {
            Ok(narinfo) => narinfo?,
            Err(error) => {
                tracing::warn!(%error, "can't read the narinfo of an item again");
                return None;
            }
        };
        let listing = self.dir.join(format!("{hash_part}.ls"));
        Some(Prepared {
            files: self.files(&narinfo),
            narinfo,
            listing: listing.is_file().then_some(listing),
        })
    }
}

fn item(narinfo: &NarInfo) -> Item {
    let owned = |text: Option<&str>| text.map(String::from);
    Item {
        store_path: narinfo.store_path().clone(),
        nar_hash: narinfo.nar_hash(),
        nar_size: narinfo.nar_size(),
        references: narinfo.references().to_vec(),
        deriver: owned(narinfo.deriver()),
        system: owned(narinfo.system()),
        ca: owned(narinfo.ca()),
        signatures: narinfo
            .signatures()
            .iter()
            .map(ToString::to_string)
            .collect(),
    }
}

/// Returns the rank of a compression: files that are cheaper to decode come first.
fn effort(compression: Compression) -> u8 {
    match compression {
        Compression::None => 0,
        Compression::Zstd => 1,
        Compression::Gzip => 2,
        _ => 3,
    }
}

fn decompress(
    path: &Path,
    mut decoder: Decoder,
    item: &Item,
    out: &mut dyn Write,
) -> Result<(), SourceError> {
    let failed = |error| SourceError::io(path, &error);
    let damaged = |error: interplanar_core::decompress::DecompressError| SourceError::Decompress {
        path: path.to_path_buf(),
        reason: error.to_string(),
    };
    let mut file = File::open(path).map_err(failed)?;
    let mut input = vec![0; BUFFER];
    let mut output = Vec::with_capacity(BUFFER);
    let mut written = 0_u64;
    loop {
        let read = match file.read(&mut input) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        let mut data = input.get(..read).unwrap_or_default();
        loop {
            let over = if read == 0 {
                decoder.finish(&mut output).map_err(damaged)?
            } else {
                decoder.push(&mut data, &mut output).map_err(damaged)?;
                data.is_empty()
            };
            out.write_all(&output)
                .map_err(|error| SourceError::Write(error.kind()))?;
            written += output.len() as u64;
            output.clear();
            if over {
                break;
            }
        }
        if read == 0 {
            break;
        }
    }
    if written != item.nar_size {
        return Err(SourceError::Changed(item.store_path.as_str().into()));
    }
    Ok(())
}

/// Reads a file; returns `None` if it doesn't exist, and an error if it is longer than `limit`.
fn read_bounded(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, SourceError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(SourceError::io(path, &error)),
    };
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| SourceError::io(path, &error))?;
    if bytes.len() as u64 > limit {
        return Err(SourceError::malformed(path, "a shorter file"));
    }
    Ok(Some(bytes))
}
