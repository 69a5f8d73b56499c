//! Writes the framing of a NAR, into one buffer with the files' contents.
//!
//! Contents are read directly into that buffer, so no byte is copied between file and writer.

use std::io::Write;
use std::os::fd::BorrowedFd;

use rustix::buffer::spare_capacity;
use rustix::io::{Errno, read, retry_on_intr};

use super::DumpError;

/// Bytes that are collected before they are written; about as many are read at a time.
const BUFFER: usize = 256 << 10;
/// Space behind [`BUFFER`] for a name, a target and their framing.
const SLACK: usize = 8 << 10;

pub(super) struct Archive<'w> {
    buffer: Vec<u8>,
    written: u64,
    out: &'w mut dyn Write,
}

impl<'w> Archive<'w> {
    /// Starts an archive with its magic string.
    pub(super) fn new(out: &'w mut dyn Write) -> Self {
        let mut archive = Self {
            buffer: Vec::with_capacity(BUFFER + SLACK),
            written: 0,
            out,
        };
        archive.strings(&[b"nix-archive-1"]);
        archive
    }

    pub(super) fn directory_start(&mut self) {
        self.strings(&[b"(", b"type", b"directory"]);
    }

    pub(super) fn directory_end(&mut self) {
        self.strings(&[b")"]);
    }

    pub(super) fn entry_start(&mut self, name: &[u8]) {
        self.strings(&[b"entry", b"(", b"name", name, b"node"]);
    }

    pub(super) fn entry_end(&mut self) {
        self.strings(&[b")"]);
    }

    pub(super) fn symlink(&mut self, target: &[u8]) {
        self.strings(&[b"(", b"type", b"symlink", b"target", target, b")"]);
    }

    pub(super) fn file_start(&mut self, executable: bool, size: u64) {
        self.strings(&[b"(", b"type", b"regular"]);
        if executable {
            self.strings(&[b"executable", b""]);
        }
        self.strings(&[b"contents"]);
        self.buffer.extend_from_slice(&size.to_le_bytes());
    }

    /// Reads some of a file's contents; returns 0 at its end.
    pub(super) fn fill(&mut self, file: BorrowedFd<'_>) -> Result<u64, Errno> {
        let read = retry_on_intr(|| read(file, spare_capacity(&mut self.buffer)))?;
        Ok(read as u64)
    }

    pub(super) fn file_end(&mut self, size: u64) {
        self.pad(size);
        self.strings(&[b")"]);
    }

    /// Writes the buffer if it is full. Call it before each node and each [`Self::fill`].
    pub(super) fn make_room(&mut self) -> Result<(), DumpError> {
        if self.buffer.len() >= BUFFER {
            self.write_buffer()?;
        }
        Ok(())
    }

    /// Writes the rest and returns the archive's length in bytes.
    pub(super) fn finish(mut self) -> Result<u64, DumpError> {
        self.write_buffer()?;
        Ok(self.written)
    }

    fn write_buffer(&mut self) -> Result<(), DumpError> {
        self.out
            .write_all(&self.buffer)
            .map_err(|error| DumpError::Write(error.kind()))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn strings(&mut self, strings: &[&[u8]]) {
        for string in strings {
            let size = string.len() as u64;
            self.buffer.extend_from_slice(&size.to_le_bytes());
            self.buffer.extend_from_slice(string);
            self.pad(size);
        }
    }

    /// Writes zeros up to the next multiple of eight, counted from the start of the string.
    fn pad(&mut self, size: u64) {
        let padding = size.wrapping_neg() % 8;
        self.buffer.extend((0..padding).map(|_| 0));
    }
}
