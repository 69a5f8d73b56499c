//! Compressing pieces so that they can stand anywhere in one zstd frame ([`interplanar_core::dedup::frame`]).
//!
//! libzstd forbids repeat offsets at the start of every job but the first of a frame when it has workers, and without overlap a job knows nothing
//! of those before. So: one worker, no overlap, a byte that nobody wants and a flush, then a piece and a flush, which writes the piece. That is all
//! public interface. The next piece goes into the same frame, which never ends, unless it wants other tables.
//!
//! A piece's bytes depend on the piece, the level and libzstd's version only.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::dedup::{MAX_PIECE, frame, leaves};
use interplanar_core::hash::Sha256;
use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd::zstd_safe::{self, CCtx, CParameter, InBuffer, OutBuffer, ResetDirective};

/// Least and largest binary logarithm of a window: what the frame's header says at most.
const WINDOW_LOG: std::ops::RangeInclusive<u32> = 10..=23;
/// Least binary logarithm of a job's size (`ZSTDMT_JOBSIZE_MIN`).
const MIN_JOB_LOG: u32 = 19;
/// A context that is not used for so long is freed.
const IDLE: Duration = Duration::from_secs(2);

/// Compresses at one level.
struct PieceCompressor {
    context: CCtx<'static>,
    level: u32,
    /// Binary logarithm of the window of the frame that is open.
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
        // Tables for no more than the piece: they are cleared for each.
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

/// A piece as it is stored.
pub(super) struct CompressedPiece {
    pub(super) leaves: Vec<Block>,
    /// SHA-256 of the plain bytes.
    pub(super) plain: Sha256,
    pub(super) length: u32,
    pub(super) compressed: u32,
}

/// What comes of a piece; an error also where the thread has panicked.
pub(super) struct Outcome {
    receiver: Receiver<io::Result<CompressedPiece>>,
    _share: Share,
}

impl Outcome {
    /// Waits for it.
    pub(super) fn wait(self) -> io::Result<CompressedPiece> {
        let outcome = self.receiver.recv();
        outcome.unwrap_or_else(|_| Err(io::Error::other("a thread that compresses has ended")))
    }
}

/// Bytes that are counted as being in the works until this is dropped.
struct Share {
    queue: Arc<Queue>,
    bytes: u64,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.queue.in_works.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Job {
    level: u32,
    plain: Bytes,
    reply: SyncSender<io::Result<CompressedPiece>>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    /// Bytes of pieces whose outcome nobody has taken yet.
    in_works: AtomicU64,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    begun: bool,
    closed: bool,
}

/// The threads that compress pieces, for all bakes together; begun when they are needed, and ended with this.
#[derive(Default)]
pub(super) struct CompressorPool {
    queue: Arc<Queue>,
}

impl Drop for CompressorPool {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.wake.notify_all();
    }
}

impl CompressorPool {
    /// How many there are: one per processor.
    fn count() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    /// Whether so much is in the works that every thread has a piece and finds the next one.
    pub(super) fn is_busy(&self) -> bool {
        let enough = (Self::count() as u64 + 1) * u64::from(MAX_PIECE);
        self.queue.in_works.load(Ordering::Relaxed) > enough
    }

    /// Has a piece compressed.
    pub(super) fn compress(&self, level: u32, plain: Bytes) -> Outcome {
        let (reply, receiver) = sync_channel(1);
        let bytes = plain.len() as u64;
        self.queue.in_works.fetch_add(bytes, Ordering::Relaxed);
        let share = Share {
            queue: Arc::clone(&self.queue),
            bytes,
        };
        let mut state = self.queue.lock();
        if !std::mem::replace(&mut state.begun, true) {
            self.start();
        }
        state.jobs.push_back(Job {
            level,
            plain,
            reply,
        });
        drop(state);
        self.queue.wake.notify_one();
        Outcome {
            receiver,
            _share: share,
        }
    }

    fn start(&self) {
        for number in 0..Self::count() {
            let queue = Arc::clone(&self.queue);
            let started = std::thread::Builder::new()
                .name(format!("compress-{number}"))
                .spawn(move || queue.work());
            if let Err(error) = started {
                tracing::error!(%error, "a thread to compress in can't be started");
            }
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut compressor = None;
        while let Some(job) = self.next(&mut compressor) {
            let compressed = compressed(&mut compressor, job.level, &job.plain);
            if compressed.is_err() {
                // Whatever it was, the next piece gets a fresh context.
                compressor = None;
            }
            // A bake that failed doesn't listen any more.
            let _ = job.reply.send(compressed);
        }
    }

    /// Waits for a job; the context, which has tables of some 10 to 100 MB, goes if none comes for a while.
    fn next(&self, compressor: &mut Option<PieceCompressor>) -> Option<Job> {
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

    /// Bytes that compress somewhat.
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
    fn a_piece_stands_anywhere_and_is_the_same_whatever_was_pressed_before() {
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

    /// Zeros and repeats of 1, 4 and 8 bytes would use a fresh decoder's offsets at once.
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
    fn presses_give_each_its_own() {
        let compressor_pool = CompressorPool::default();
        let plain = |n: u64| Bytes::from(words(n, 1000 * n as usize + 1));
        let outcomes: Vec<Outcome> = (0..50)
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
