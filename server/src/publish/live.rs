//! Sends a NAR that is read, hashed and compressed on the way.
//!
//! Its last bytes are held back until the hash equals the one in the store's database, and the NAR
//! is known to be well-formed. So a client never gets a complete wrong NAR: the connection ends before. If the client disconnects, the work
//! stops.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use interplanar_core::nar::NarHasher;
use interplanar_core::narinfo::Compression;

use crate::bake::{Compressor, Encoder};
use crate::net::server::{Body, Sender, channel};
use crate::store::{Item, Source};
use crate::task;

/// Bytes sent at a time.
const PIECE: usize = 128 << 10;

/// Returns the body; `permit` is released when all of it is sent.
pub(super) fn body(
    source: Arc<dyn Source>,
    item: Item,
    compressor: Compressor,
    permit: tokio::sync::OwnedSemaphorePermit,
) -> Body {
    // The compressed length is not known in advance.
    let plain = compressor.method() == Compression::None;
    let (sender, body) = channel(plain.then_some(item.nar_size));
    task::blocking(("sending a NAR", item.store_path.clone()), move || {
        let path = item.store_path.as_str();
        match send(&*source, &item, compressor, sender) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => tracing::error!(path, %error, "can't send a NAR to its end"),
            Ok(()) => {}
        }
        drop(permit);
    });
    body
}

fn send(
    source: &dyn Source,
    item: &Item,
    compressor: Compressor,
    sender: Sender,
) -> io::Result<()> {
    let output = HeldBackOutput::new(sender);
    let mut live_nar = LiveNar {
        nar: NarHasher::new(),
        encoder: Encoder::new(compressor, item.nar_size, output)?,
        failure: None,
    };
    let dumped = source.dump(item, &mut live_nar);
    if let Some(error) = live_nar.failure {
        return Err(error);
    }
    dumped.map_err(io::Error::other)?;
    if live_nar.nar.hash() != item.nar_hash {
        return Err(io::Error::other(
            "its hash differs from the NarHash in the store's database",
        ));
    }
    live_nar
        .nar
        .finish()
        .map_err(|error| io::Error::other(format!("the NAR is malformed: {error}")))?;
    live_nar.encoder.finish()?.complete()
}

struct LiveNar {
    nar: NarHasher,
    encoder: Encoder<HeldBackOutput>,
    failure: Option<io::Error>,
}

impl Write for LiveNar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.nar.update(bytes);
        if let Err(error) = self.encoder.write_all(bytes) {
            let kind = error.kind();
            self.failure = Some(error);
            return Err(kind.into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends pieces to the client, except the last one, which waits for [`Self::complete`].
pub(super) struct HeldBackOutput {
    sender: Sender,
    full: Option<Bytes>,
    piece: BytesMut,
}

impl HeldBackOutput {
    pub(super) fn new(sender: Sender) -> Self {
        Self {
            sender,
            full: None,
            piece: BytesMut::new(),
        }
    }

    pub(super) fn complete(mut self) -> io::Result<()> {
        let last = self.piece.split().freeze();
        for piece in self.full.take().into_iter().chain([last]) {
            if !piece.is_empty() {
                self.sender.blocking_send(piece)?;
            }
        }
        self.sender.blocking_finish();
        Ok(())
    }
}

impl Write for HeldBackOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            let piece = self.piece.split().freeze();
            if let Some(before) = self.full.replace(piece) {
                self.sender.blocking_send(before)?;
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
    use crate::store::binary_cache::BinaryCache;
    use http_body_util::BodyExt as _;
    use interplanar_core::hash::Sha256;
    use std::fs;

    /// Somebody wrote the hash of bytes that are no NAR into the narinfo of a binary cache.
    #[tokio::test]
    async fn a_malformed_nar_is_not_sent_to_its_end() {
        let (dir, nar) = (tempfile::tempdir().unwrap(), vec![0; 300_000]);
        let hash_part = "bnfap3gvj3v0k345a5zkxwyd38m1f2s5";
        let narinfo = format!(
            "StorePath: /nix/store/{hash_part}-x\nURL: x.nar\nCompression: none\n\
             NarHash: {}\nNarSize: {}\nReferences: \n",
            Sha256::of(&nar),
            nar.len(),
        );
        fs::write(dir.path().join("x.nar"), &nar).unwrap();
        fs::write(dir.path().join("nix-cache-info"), "StoreDir: /nix/store\n").unwrap();
        fs::write(dir.path().join(format!("{hash_part}.narinfo")), narinfo).unwrap();
        let source = BinaryCache::open(dir.path()).unwrap();
        let item = source.find(hash_part).unwrap().unwrap();
        let (sender, body) = channel(Some(item.nar_size));
        let received = tokio::spawn(body.collect());
        let sending = move || send(&source, &item, "none".parse().unwrap(), sender);
        let error = tokio::task::spawn_blocking(sending)
            .await
            .unwrap()
            .unwrap_err();
        let expected = "the NAR is malformed: byte 0: expected \"nix-archive-1\"";
        assert_eq!(error.to_string(), expected);
        assert!(received.await.unwrap().is_err());
    }
}
