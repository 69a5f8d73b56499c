//! Compresses pieces so that each can stand anywhere in one zstd frame
//! ([`interplanar_core::dedup::frame`]).
//!
//! With workers, libzstd allows repeat offsets at the start of the first job of a frame only.
//! Without overlap, a job can't refer to bytes of earlier jobs. So the context has one worker and
//! no overlap. A frame starts with a dummy byte and a flush. Then each piece is one job, and a
//! flush writes it. All of that is public interface of libzstd. The next piece goes into the same
//! frame, which never ends, unless the piece needs another window size.
//!
//! The compressed bytes depend only on the piece, the level and libzstd's version.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::task;
use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::dedup::{MAX_PIECE, frame, leaves};
use interplanar_core::hash::Sha256;
use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd::zstd_safe::{self, CCtx, CParameter, InBuffer, OutBuffer, ResetDirective};

/// Smallest and largest binary logarithm of a window; the frame's header names the largest.
const WINDOW_LOG: std::ops::RangeInclusive<u32> = 10..=23;
/// Smallest binary logarithm of a job's size (`ZSTDMT_JOBSIZE_MIN`).
const MIN_JOB_LOG: u32 = 19;
/// How long a context stays in memory without use.
const IDLE: Duration = Duration::from_secs(2);

/// Compresses at one level.
struct PieceCompressor {
    context: CCtx<'static>,
    level: u32,
    /// Binary logarithm of the window of the current frame.
    window: Option<u32>,
}

impl PieceCompressor {
    fn new(level: u32) -> io::Result<Self> {
        let context = CCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            context,
            level,
            window: None,
        })
    }

    fn compress(&mut self, plain: &[u8]) -> io::Result<Vec<u8>> {
        // A window no larger than the piece: its tables are cleared for each.
        let window = plain.len().next_power_of_two().ilog2();
        let window = window.clamp(*WINDOW_LOG.start(), *WINDOW_LOG.end());
        if self.window != Some(window) {
            self.begin(window)?;
        }
        let piece = self.flushed(plain)?;
        frame::check(&piece).map_err(io::Error::other)?;
        Ok(piece)
    }

    fn begin(&mut self, window: u32) -> io::Result<()> {
        self.window = None;
        let level = i32::try_from(self.level).unwrap_or(3);
        self.context
            .reset(ResetDirective::SessionAndParameters)
            .map_err(code)?;
        for parameter in [
            CParameter::CompressionLevel(level),
            CParameter::NbWorkers(1),
            CParameter::OverlapSizeLog(1),
            CParameter::WindowLog(window),
            // A piece is one job.
            CParameter::JobSize(1 << window.max(MIN_JOB_LOG)),
        ] {
            self.context.set_parameter(parameter).map_err(code)?;
        }
        self.flushed(b"-")?;
        self.window = Some(window);
        Ok(())
    }

    fn flushed(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(zstd_safe::compress_bound(bytes.len()));
        let mut input = InBuffer::around(bytes);
        loop {
            out.reserve(1024);
            let filled = out.len();
            let mut output = OutBuffer::around_pos(&mut out, filled);
            let flush = ZSTD_EndDirective::ZSTD_e_flush;
            let left = self
                .context
                .compress_stream2(&mut output, &mut input, flush);
            if left.map_err(code)? == 0 {
                return Ok(out);
            }
        }
    }
}

fn code(code: usize) -> io::Error {
    io::Error::other(zstd_safe::get_error_name(code))
}

/// A compressed piece, cut into the blocks that are stored.
pub(super) struct CompressedPiece {
    pub(super) leaves: Vec<Block>,
    /// SHA-256 of the plain bytes.
    pub(super) plain: Sha256,
    pub(super) length: u32,
    pub(super) compressed: u32,
}

/// A piece that is being compressed.
pub(super) struct PendingPiece {
    receiver: Receiver<io::Result<CompressedPiece>>,
    _bytes: PendingBytes,
}

impl PendingPiece {
    /// Waits for the compressed piece. A panic while it was compressed is an error.
    pub(super) fn wait(self) -> io::Result<CompressedPiece> {
        let result = self.receiver.recv();
        result.unwrap_or_else(|_| Err(io::Error::other("no thread compresses pieces")))
    }
}

/// Bytes that count as pending until this is dropped.
struct PendingBytes {
    queue: Arc<CompressQueue>,
    bytes: u64,
}

impl Drop for PendingBytes {
    fn drop(&mut self) {
        self.queue
            .pending_bytes
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct CompressJob {
    level: u32,
    plain: Bytes,
    reply: SyncSender<io::Result<CompressedPiece>>,
}

#[derive(Default)]
struct CompressQueue {
    state: Mutex<QueueState>,
    wake: Condvar,
    /// Bytes of pieces whose result was not taken yet.
    pending_bytes: AtomicU64,
}

#[derive(Default)]
struct QueueState {
    jobs: VecDeque<CompressJob>,
    started: bool,
    closed: bool,
}

/// The threads that compress pieces for all bakes. They start when the first piece comes, and stop
/// when this is dropped.
#[derive(Default)]
pub(super) struct CompressorPool {
    queue: Arc<CompressQueue>,
}

impl Drop for CompressorPool {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.wake.notify_all();
    }
}

impl CompressorPool {
    /// Returns the number of threads: one per processor.
    fn count() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    /// Returns whether so many bytes are pending that every thread has a piece and another one
    /// waits.
    pub(super) fn is_busy(&self) -> bool {
        let enough = (Self::count() as u64 + 1) * u64::from(MAX_PIECE);
        self.queue.pending_bytes.load(Ordering::Relaxed) > enough
    }

    /// Queues a piece to compress.
    pub(super) fn compress(&self, level: u32, plain: Bytes) -> PendingPiece {
        let (reply, receiver) = sync_channel(1);
        let bytes = plain.len() as u64;
        self.queue.pending_bytes.fetch_add(bytes, Ordering::Relaxed);
        let pending = PendingBytes {
            queue: Arc::clone(&self.queue),
            bytes,
        };
        let mut state = self.queue.lock();
        if !std::mem::replace(&mut state.started, true) {
            self.start();
        }
        state.jobs.push_back(CompressJob {
            level,
            plain,
            reply,
        });
        drop(state);
        self.queue.wake.notify_one();
        PendingPiece {
            receiver,
            _bytes: pending,
        }
    }

    fn start(&self) {
        for _ in 0..Self::count() {
            let queue = Arc::clone(&self.queue);
            let started = task::thread("compressing", move || queue.work());
            if let Err(error) = started {
                tracing::error!(%error, "can't start a compressing thread");
            }
        }
    }
}

impl CompressQueue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut compressor = None;
        while let Some(job) = self.next(&mut compressor) {
            let compressed = task::caught("compressing a piece", || {
                compressed(&mut compressor, job.level, &job.plain)
            });
            let compressed = compressed.unwrap_or_else(|error| Err(error.into()));
            if compressed.is_err() {
                // After any error, the next piece gets a new context.
                compressor = None;
            }
            // A failed bake no longer receives.
            let _ = job.reply.send(compressed);
        }
    }

    /// Waits for a job. If none comes for a while, frees the context, whose tables take 10 to
    /// 100 MB.
    fn next(&self, compressor: &mut Option<PieceCompressor>) -> Option<CompressJob> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if compressor.is_none() {
                state = self
                    .wake
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (woken, timeout) = self
                .wake
                .wait_timeout(state, IDLE)
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if timeout.timed_out() {
                *compressor = None;
            }
        }
    }
}

fn compressed(
    compressor: &mut Option<PieceCompressor>,
    level: u32,
    plain: &[u8],
) -> io::Result<CompressedPiece> {
    let compressor = match compressor {
        Some(compressor) if compressor.level == level => compressor,
        other => other.insert(PieceCompressor::new(level)?),
    };
    let compressed = compressor.compress(plain)?;
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(io::Error::other);
    Ok(CompressedPiece {
        length: length(plain)?,
        compressed: length(&compressed)?,
        plain: Sha256::of(plain),
        leaves: leaves(compressed.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns bytes that compress a little.
    fn words(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed | 1;
        let mut words = String::new();
        while words.len() < length {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(seed);
            words.push_str(
                ["store ", "item ", "glibc-2.39/", "lib", "\n"][(state >> 33) as usize % 5],
            );
            words.push_str(&(state >> 50).to_string());
        }
        words.truncate(length);
        words.into_bytes()
    }

    const LENGTHS: [usize; 9] = [
        1,
        2,
        100,
        1023,
        1024,
        1025,
        70_000,
        600_000,
        MAX_PIECE as usize,
    ];

    #[test]
    fn a_piece_can_stand_anywhere_and_does_not_depend_on_earlier_ones() {
        for level in [1, 3, 9] {
            let mut compressor = PieceCompressor::new(level).unwrap();
            let mut pieces = Vec::new();
            for (seed, length) in LENGTHS.iter().chain(LENGTHS.iter().rev()).enumerate() {
                let plain = words(seed as u64, *length);
                let piece = compressor.compress(&plain).unwrap();
                assert_eq!(
                    PieceCompressor::new(level)
                        .unwrap()
                        .compress(&plain)
                        .unwrap(),
                    piece
                );
                let length = u32::try_from(*length).unwrap();
                assert_eq!(frame::is_independent(&piece, length), Ok(true));
                pieces.push((plain, piece));
            }
            let file = pieces.iter().flat_map(|(_, piece)| piece.clone());
            let file: Vec<u8> = frame::HEADER
                .into_iter()
                .chain(file)
                .chain(frame::TAIL)
                .collect();
            let plain: Vec<u8> = pieces.into_iter().flat_map(|(plain, _)| plain).collect();
            assert!(zstd::decode_all(&file[..]).unwrap() == plain);
        }
    }

    /// Zeros and repeats of 1, 4 and 8 bytes would otherwise use the offsets that a new decoder
    /// starts with.
    #[test]
    fn repeats_at_the_start_use_no_offset_from_before() {
        for level in [1, 3, 9, 19, 22] {
            let mut compressor = PieceCompressor::new(level).unwrap();
            for period in [1, 4, 8] {
                let mut plain = b"abcdefgh"[..period].repeat(100);
                plain.extend(words(7, 500));
                let piece = compressor.compress(&plain).unwrap();
                let length = u32::try_from(plain.len()).unwrap();
                assert_eq!(
                    frame::is_independent(&piece, length),
                    Ok(true),
                    "{level} {period}"
                );
                assert!(piece.len() < plain.len() / 2);
            }
        }
    }

    #[test]
    fn each_piece_gets_its_own_result() {
        let compressor_pool = CompressorPool::default();
        let plain = |n: u64| Bytes::from(words(n, 1000 * n as usize + 1));
        let outcomes: Vec<PendingPiece> = (0..50)
            .map(|n| compressor_pool.compress(n as u32 % 5 + 1, plain(n)))
            .collect();
        for (n, outcome) in outcomes.into_iter().enumerate() {
            let compressed = outcome.wait().unwrap();
            let plain = plain(n as u64);
            assert_eq!(
                (compressed.plain, compressed.length as usize),
                (Sha256::of(&plain), plain.len())
            );
            let piece: Vec<u8> = compressed
                .leaves
                .iter()
                .flat_map(|leaf| leaf.data().to_vec())
                .collect();
            assert_eq!(piece.len(), compressed.compressed as usize);
            assert_eq!(
                frame::decode(&piece, compressed.length).as_deref(),
                Ok(&plain[..])
            );
        }
    }
}
