//! Starts the runtime and handles signals: the first SIGINT or SIGTERM stops the program in an
//! orderly way, the second one at once.

use super::{Exit, Failure};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long a server may take to stop after the first signal.
const GRACE: Duration = Duration::from_secs(30);

/// What every sub-command gets from the program.
#[derive(Debug, Clone, Default)]
pub struct Context {
    shutdown: CancellationToken,
    graceful: Arc<AtomicBool>,
}

impl Context {
    /// Returns a token that is cancelled at the first SIGINT or SIGTERM. A sub-command that calls
    /// this must then stop by itself within 30 seconds. One that never calls it is dropped at once,
    /// which removes its temporary files.
    #[must_use]
    pub fn shutdown(&self) -> CancellationToken {
        self.graceful.store(true, Ordering::Relaxed);
        self.shutdown.clone()
    }
}

/// Runs a sub-command on a multi-threaded runtime until it ends or a signal stops it.
pub(super) fn run<F: Future<Output = Result<(), Failure>>>(
    command: impl FnOnce(Context) -> F,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let context = Context::default();
    let result = runtime.block_on(async {
        let mut signals = Signals::new()?;
        let mut running = std::pin::pin!(command(context.clone()));
        let stopped_by = tokio::select! {
            result = &mut running => return result,
            exit = signals.next() => exit,
        };
        context.shutdown.cancel();
        if context.graceful.load(Ordering::Relaxed) {
            tracing::info!("stopping; signal again to stop at once");
            tokio::select! {
                result = &mut running => return result,
                _ = signals.next() => {}
                () = tokio::time::sleep(GRACE) => tracing::warn!("stopping with open connections after 30 s"),
            }
        }
        Err(Failure { exit: stopped_by, error: anyhow::anyhow!("stopped by a signal") })
    });
    // Don't wait for blocking work whose result nobody needs.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Signal(2),
            _ = self.terminate.recv() => Exit::Signal(15),
        }
    }
}
