//! `interplanar substitute`: takes the place of `guix substitute` under an unmodified guix-daemon.
//!
//! The daemon starts `$GUIX substitute --query` and `--substitute`, so with `GUIX=/path/to/interplanar` in its environment it starts this. What
//! it asks for is looked up and downloaded by [`Proxy`] in the same process, so the order of sources, the verification and the
//! hold-back are the proxy's. Any other sub-command that the daemon starts is handed to the real `guix` ([`handover`]).
//!
//! Restrictions: Linux with /proc, since replies go to file descriptor 4 and safe code opens it there.

mod deduplicate;
pub mod handover;
mod options;
mod progress;
mod protocol;

use crate::nar_restore::Unpacker;
use crate::proxy::{Available, Found, Proxy};
use anyhow::{Context as _, anyhow};
use futures_util::stream::{self, StreamExt as _};
use http_body_util::BodyExt as _;
use interplanar_core::store_path::StorePath;
use progress::Progress;
use protocol::{Command, Outcome};
use std::fs::File;
use std::io::{Stderr, Write as _, stderr};
use std::path::Path;
use tokio::task::block_in_place;

pub use options::DaemonOptions;

/// Narinfos asked for at once.
const LOOKUPS: usize = 32;

/// Serves one run of the daemon's protocol.
pub struct Substituter {
    proxy: Proxy,
    options: DaemonOptions,
    replies: File,
}

impl Substituter {
    /// Replies go to file descriptor 4, as guix-daemon has it.
    ///
    /// # Errors
    /// No such descriptor: the program was not started by guix-daemon.
    pub fn new(proxy: Proxy, options: DaemonOptions) -> anyhow::Result<Self> {
        let replies = File::options().write(true).open("/proc/self/fd/4");
        let replies = replies
            .context("file descriptor 4 is not open: this is to be started by guix-daemon")?;
        Ok(Self {
            proxy,
            options,
            replies,
        })
    }

    /// Answers one line of `--query`.
    ///
    /// # Errors
    /// No such command, or the daemon is gone.
    pub async fn query(&mut self, line: &str) -> anyhow::Result<()> {
        let (paths, in_full) = match Command::parse(line) {
            Some(Command::Have(paths)) => (paths, false),
            Some(Command::Info(paths)) => (paths, true),
            _ => return Err(anyhow!("unknown query of the daemon")),
        };
        let urls = self.options.substitute_urls.join("', '");
        say(&format!(
            "\r\x1b[Klooking for substitutes on '{urls}'...   0.0%"
        ));
        let found: Vec<Option<Available>> = stream::iter(&paths)
            .map(|path| self.find(path))
            .buffered(LOOKUPS)
            .collect()
            .await;
        say(&format!(
            "\r\x1b[Klooking for substitutes on '{urls}'... 100.0%\n"
        ));
        let mut reply = String::new();
        for item in found.iter().flatten() {
            let reply_of = match in_full {
                true => protocol::info(item.narinfo(), item.download_size().unwrap_or(0)),
                false => format!("{}\n", item.narinfo().store_path()),
            };
            reply.push_str(&reply_of);
        }
        reply.push('\n');
        self.reply(&reply)
    }

    /// Carries out one line of `--substitute`.
    ///
    /// # Errors
    /// No such command, or the destination can't be written.
    pub async fn substitute(&mut self, line: &str) -> anyhow::Result<()> {
        let Some(Command::Substitute { path, destination }) = Command::parse(line) else {
            return Err(anyhow!("unknown command of the daemon"));
        };
        let outcome = match self.find(path).await {
            Some(item) => self.download(&item, destination).await?,
            None => Outcome::NotFound,
        };
        if outcome == Outcome::NotFound {
            say(&format!(
                "substitute: failed to find a substitute for '{path}'\n"
            ));
        }
        self.reply(&format!("{outcome}\n"))
    }

    fn reply(&mut self, text: &str) -> anyhow::Result<()> {
        self.replies
            .write_all(text.as_bytes())
            .context("the daemon doesn't listen any more")
    }

    /// A store path that an upstream has and a trusted key signed.
    async fn find(&self, path: &str) -> Option<Available> {
        let path = StorePath::parse(path).ok()?;
        match self.proxy.find(path.hash_part()).await {
            Found::Available(item) if *item.narinfo().store_path() == path => Some(item),
            Found::Available(_) | Found::Absent | Found::Unreachable => None,
        }
    }

    async fn download(&self, item: &Available, destination: &str) -> anyhow::Result<Outcome> {
        let Some(mut body) = self.proxy.open_nar(item).await else {
            return Ok(Outcome::NotFound);
        };
        let info = item.narinfo();
        let from = format!(
            "{}{}.narinfo",
            item.upstream(),
            info.store_path().hash_part()
        );
        let mut progress = Progress::start(
            stderr(),
            self.options.build_trace,
            destination,
            &from,
            info.nar_size(),
        );
        let destination = Path::new(destination);
        block_in_place(|| remove(destination))?;
        let mut unpacker = Unpacker::for_store(destination)?;
        while let Some(frame) = body.frame().await {
            // The body breaks off where no source is left, or none was right.
            let Ok(frame) = frame else {
                return Ok(Outcome::NotFound);
            };
            if let Ok(data) = frame.into_data() {
                block_in_place(|| unpacker.push(&data))?;
                progress.add(data.len() as u64);
            }
        }
        block_in_place(|| unpacker.finish())?;
        if self.options.deduplicate && destination.starts_with(info.store_path().directory()) {
            let links = Path::new(info.store_path().directory()).join(".links");
            block_in_place(|| deduplicate::tree(destination, &links));
        }
        progress.succeed();
        Ok(Outcome::Success {
            hash: info.nar_hash(),
            size: info.nar_size(),
        })
    }
}

/// Removes what an earlier download left.
fn remove(path: &Path) -> std::io::Result<()> {
    let removed = match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    removed.or_else(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            Ok(())
        } else {
            Err(error)
        }
    })
}

/// Standard error is the daemon's log and its client's terminal.
fn say(text: &str) {
    let mut err: Stderr = stderr();
    drop(err.write_all(text.as_bytes()).and_then(|()| err.flush()));
}
