//! A NAR that is read, hashed and compressed while it is sent.
//!
//! Its last bytes are held back until the hash is that of the store, so that a client never has a complete wrong NAR: the connection
//! ends before. A client that goes away ends the work.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use interplanar_core::hash::Sha256Hasher;
use interplanar_core::narinfo::Compression;

use crate::bake::{Compressor, Encoder};
use crate::net::server::{Body, Sender, channel};
use crate::store::{Item, Source};

/// Bytes sent at once.
const PIECE: usize = 128 << 10;

/// The body; `permit` is given back when it is done.
pub(super) fn body(
    source: Arc<dyn Source>,
    item: Item,
    compressor: Compressor,
    permit: tokio::sync::OwnedSemaphorePermit,
) -> Body {
    // How long compressed bytes will be nobody knows.
    let plain = compressor.method() == Compression::None;
    let (sender, body) = channel(plain.then_some(item.nar_size));
    tokio::task::spawn_blocking(move || {
        let path = item.store_path.as_str();
        match send(&*source, &item, compressor, sender) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => tracing::error!(path, %error, "a NAR broke off"),
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
    let outlet = Outlet::new(sender);
    let mut pipe = Pipe {
        hasher: Sha256Hasher::new(),
        encoder: Encoder::new(compressor, item.nar_size, outlet)?,
        failure: None,
    };
    let dumped = source.dump(item, &mut pipe);
    if let Some(error) = pipe.failure {
        return Err(error);
    }
    dumped.map_err(io::Error::other)?;
    if pipe.hasher.finish() != item.nar_hash {
        return Err(io::Error::other("its hash is not the registered one"));
    }
    pipe.encoder.finish()?.complete()
}

struct Pipe {
    hasher: Sha256Hasher,
    encoder: Encoder<Outlet>,
    failure: Option<io::Error>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
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

/// Sends pieces to the client, but keeps the last one until it is told to complete.
pub(super) struct Outlet {
    sender: Sender,
    full: Option<Bytes>,
    piece: BytesMut,
}

impl Outlet {
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

impl Write for Outlet {
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
