//! Serves plain files: build logs, files of a binary cache, and fixed-output files by their hash.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use interplanar_core::hash::Sha256;
use interplanar_core::nar::{Event, Parser};
use interplanar_core::nix_base32;
use interplanar_core::store_path::StorePath;
use tokio::sync::oneshot;

use crate::net::server::{Body, Sender, channel, from_blocking};
use crate::store::{Item, Source};
use crate::task::{self, WorkError};

/// Bytes read at a time.
const PIECE: usize = 128 << 10;
/// Bytes of the hash in a store path.
const HASH_PART_BYTES: usize = 20;
/// Characters of a SHA-256 in Nix's base 32.
const NIX32: usize = 52;

/// Returns a range of an open file as a body.
pub(super) fn body(mut file: File, range: Range<u64>) -> Body {
    let length = range.end.saturating_sub(range.start);
    let mut left = length;
    let mut sought = false;
    let pieces = std::iter::from_fn(move || {
        if !sought {
            sought = true;
            if let Err(error) = file.seek(SeekFrom::Start(range.start)) {
                return Some(Err(error));
            }
        }
        let piece = read(&mut file, left).transpose()?;
        left -= piece.as_ref().map_or(0, |piece| piece.len() as u64);
        Some(piece)
    });
    from_blocking(pieces, Some(length))
}

/// Reads the next piece, of `left` bytes at most. Returns `None` at the end of the file. If that
/// comes too early, the length of the body makes it an error.
fn read(file: &mut File, left: u64) -> io::Result<Option<Bytes>> {
    let mut piece = Vec::with_capacity(PIECE);
    file.take(left.min(PIECE as u64)).read_to_end(&mut piece)?;
    Ok((!piece.is_empty()).then(|| Bytes::from(piece)))
}

/// Opens a file; logs the error if that fails.
pub(super) fn open(path: &Path) -> Option<File> {
    let opened = File::open(path);
    if let Err(error) = &opened {
        tracing::warn!(path = %path.display(), %error, "can't open a file");
    }
    opened.ok()
}

/// Returns the store path of a flat fixed-output file: type `output:out`, fingerprint
/// `fixed:out:sha256:<hash>:`.
pub(super) fn fixed_output(store_dir: &str, name: &str, sha256: &str) -> Option<StorePath> {
    // Guix asks in this form only.
    let nix32 = Some(sha256).filter(|text| text.len() == NIX32)?;
    let sha256 = Sha256::parse(&format!("sha256:{nix32}")).ok()?;
    let inner = Sha256::of(format!("fixed:out:sha256:{}:", sha256.to_hex()).as_bytes());
    let outer = format!("output:out:sha256:{}:{store_dir}:{name}", inner.to_hex());
    let mut short = [0_u8; HASH_PART_BYTES];
    for (at, byte) in Sha256::of(outer.as_bytes()).as_bytes().iter().enumerate() {
        if let Some(folded) = short.get_mut(at % HASH_PART_BYTES) {
            *folded ^= byte;
        }
    }
    let base = format!("{}-{name}", nix_base32::encode(&short));
    StorePath::in_directory(store_dir, &base).ok()
}

/// Returns the length and content of an item that is a single file; `None` if it is a folder or a
/// link.
pub(super) async fn content(
    source: Arc<dyn Source>,
    item: Item,
) -> Result<Option<(u64, Body)>, WorkError> {
    let (found, answer) = oneshot::channel();
    let sending = task::blocking(
        ("sending an item as a file", item.store_path.clone()),
        move || {
            let mut single_file = SingleFileSender {
                parser: Parser::new(),
                found: Some(found),
                sender: None,
            };
            let dumped = source.dump(&item, &mut single_file);
            match (dumped, single_file.sender) {
                (Ok(()), Some(sender)) => sender.blocking_finish(),
                (Ok(()), None) => {}
                // The item is a folder, the client disconnected, or the store failed; the
                // source logs the last.
                (Err(error), _) => {
                    let path = item.store_path.as_str();
                    tracing::debug!(path, %error, "an item was not sent as a file");
                }
            }
        },
    );
    match answer.await {
        Ok(content) => Ok(Some(content)),
        Err(_) => sending.await.map(|()| None),
    }
}

/// Parses a NAR and sends the content of its only file.
struct SingleFileSender {
    parser: Parser,
    found: Option<oneshot::Sender<(u64, Body)>>,
    sender: Option<Sender>,
}

impl Write for SingleFileSender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while let Some(event) = self.parser.push(&mut rest).map_err(io::Error::other)? {
            match event {
                Event::FileStart { size, .. } => {
                    let (sender, body) = channel(Some(size));
                    self.sender = Some(sender);
                    // The client may have disconnected.
                    let _ = self.found.take().map(|found| found.send((size, body)));
                }
                Event::FileData(data) => {
                    if let Some(sender) = &self.sender {
                        sender.blocking_send(Bytes::copy_from_slice(data))?;
                    }
                }
                Event::FileEnd | Event::End => {}
                _ => return Err(io::Error::other("not a single file")),
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_output_paths_are_those_of_the_real_programs() {
        // The path that `nix-store --print-fixed-path sha256` prints.
        let hash = "086vqwk2wl8zfs47sq2xpjc9k066ilmb8z6dn0q6ymwjzlm196cd";
        let path = fixed_output("/nix/store", "hello-2.12.1.tar.gz", hash).unwrap();
        let expected = "/nix/store/pa10z4ngm0g83kx9mssrqzz30s84vq7k-hello-2.12.1.tar.gz";
        assert_eq!(path.as_str(), expected);
        assert_ne!(
            fixed_output("/gnu/store", "hello-2.12.1.tar.gz", hash),
            Some(path)
        );
        for wrong in ["", "zzz", &"e".repeat(52), &"0".repeat(64)] {
            assert_eq!(fixed_output("/gnu/store", "x", wrong), None, "{wrong}");
        }
    }
}
