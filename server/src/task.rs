//! Starts work as tasks and on threads so that no panic is lost. All of this program's work starts
//! here.
//!
//! Work has a name, and that of an item if it is for one. A panic is logged with both, is counted
//! for `/metrics`, and ends only this work. Whoever waits for the work gets a [`WorkError`]. The
//! message of a panic can contain what a stranger sent, so only the log has it.
//!
//! ```
//! use interplanar_server::task::{self, WorkError};
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let sum = task::blocking("adding", || 1 + 1);
//! assert_eq!(sum.await, Ok(2));
//! let failed = task::spawn(("reading", "/gnu/store/…-hello"), async { panic!("a bug") });
//! assert_eq!(failed.await, Err::<(), _>(WorkError::Panicked("reading")));
//! # });
//! ```

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::thread;

use futures_util::FutureExt as _;
use tokio::task::{AbortHandle, JoinHandle};

/// Panics since the start of the process.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// The name of work, as in "can't finish {name}", and the item that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    name: &'static str,
    item: Option<String>,
}

impl From<&'static str> for Work {
    fn from(name: &'static str) -> Self {
        Self { name, item: None }
    }
}

impl<T: ToString> From<(&'static str, T)> for Work {
    fn from((name, item): (&'static str, T)) -> Self {
        let item = Some(item.to_string());
        Self { name, item }
    }
}

/// Why work ended without a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    /// It panicked.
    #[error("can't finish {0}: a bug of this program, which the log describes")]
    Panicked(&'static str),
    /// It was aborted, or the runtime shut down.
    #[error("can't finish {0}: the program is stopping")]
    Cancelled(&'static str),
}

impl From<WorkError> for io::Error {
    fn from(error: WorkError) -> Self {
        Self::other(error)
    }
}

/// Returns the number of panics since the start of the process.
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// Runs work here.
///
/// # Errors
/// The work panicked. What it borrowed may be half changed, so drop it or check it.
pub fn caught<T>(work: impl Into<Work>, run: impl FnOnce() -> T) -> Result<T, WorkError> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| panicked(&work.into(), &*panic))
}

/// Runs a future here.
///
/// # Errors
/// See [`caught`].
pub async fn watched<T>(
    work: impl Into<Work>,
    run: impl Future<Output = T>,
) -> Result<T, WorkError> {
    let done = AssertUnwindSafe(run).catch_unwind().await;
    done.map_err(|panic| panicked(&work.into(), &*panic))
}

/// Starts a task of the runtime.
pub fn spawn<T: Send + 'static>(
    work: impl Into<Work>,
    run: impl Future<Output = T> + Send + 'static,
) -> Task<T> {
    let work = work.into();
    let name = work.name;
    let handle = tokio::spawn(watched(work, run));
    Task { name, handle }
}

/// Starts work that blocks, on a thread of the runtime.
pub fn blocking<T: Send + 'static>(
    work: impl Into<Work>,
    run: impl FnOnce() -> T + Send + 'static,
) -> Task<T> {
    let work = work.into();
    let name = work.name;
    let handle = tokio::task::spawn_blocking(move || caught(work, run));
    Task { name, handle }
}

/// Starts a thread, with the name of the work.
///
/// # Errors
/// The system can't start it.
pub fn thread<T: Send + 'static>(
    work: impl Into<Work>,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<thread::JoinHandle<Result<T, WorkError>>> {
    let work = work.into();
    let builder = thread::Builder::new().name(work.name.to_owned());
    builder.spawn(move || caught(work, run))
}

/// Work of [`spawn`] or [`blocking`]. Dropping this does not stop it.
#[derive(Debug)]
pub struct Task<T> {
    name: &'static str,
    handle: JoinHandle<Result<T, WorkError>>,
}

impl<T> Task<T> {
    /// Stops the task at its next `await`. Blocking work runs to its end.
    pub fn abort(&self) {
        self.handle.abort();
    }

    /// Returns a handle that stops the task.
    pub fn abort_handle(&self) -> AbortHandle {
        self.handle.abort_handle()
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, WorkError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let cancelled = Err(WorkError::Cancelled(self.name));
        let joined = Pin::new(&mut self.handle).poll(context);
        joined.map(|joined| joined.unwrap_or(cancelled))
    }
}

/// Logs and counts a panic.
fn panicked(work: &Work, panic: &(dyn Any + Send)) -> WorkError {
    PANICS.fetch_add(1, Ordering::Relaxed);
    let reason = panic.downcast_ref::<&str>().copied();
    let reason = reason.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(
        work = work.name,
        item = work.item.as_deref(),
        reason,
        "a panic ended this work; please report it as a bug"
    );
    WorkError::Panicked(work.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_counted_and_is_an_error_without_its_message() {
        let before = panics();
        let error = caught(("reading", "an item"), || panic!("secret")).map(|(): ()| ());
        assert_eq!(error, Err(WorkError::Panicked("reading")));
        let message = WorkError::Panicked("reading").to_string();
        assert_eq!(
            message,
            "can't finish reading: a bug of this program, which the log describes"
        );
        assert!(panics() > before);
        let thread = thread("reading", || panic!("{}", "secret".to_owned())).unwrap();
        let joined = thread.join().unwrap().map(|(): ()| ());
        assert_eq!(joined, Err(WorkError::Panicked("reading")));
        assert!(panics() > before + 1);
        assert_eq!(caught("reading", || 5), Ok(5));
    }

    #[tokio::test]
    async fn whoever_waits_for_a_task_gets_an_error() {
        let before = panics();
        let task = spawn(("reading", "an item"), async { panic!("secret") });
        assert_eq!(task.await, Err::<(), _>(WorkError::Panicked("reading")));
        let task = blocking("hashing", || panic!("secret"));
        assert_eq!(task.await, Err::<(), _>(WorkError::Panicked("hashing")));
        assert!(panics() > before + 1);
        let task = spawn("waiting", std::future::pending::<()>());
        task.abort();
        assert_eq!(task.await, Err(WorkError::Cancelled("waiting")));
        assert_eq!(spawn("adding", async { 1 + 1 }).await, Ok(2));
    }
}
