//! `interplanar substitute` replaces `guix substitute` under an unmodified guix-daemon.
//!
//! The daemon starts `$GUIX substitute --query` and `--substitute`; with
//! `GUIX=/path/to/interplanar` in its environment it starts this program. [`Proxy`] looks items up
//! and downloads them in the same process, with the same sources and checks as `interplanar proxy`.
//! Other sub-commands are passed on to the real `guix` ([`handover`]).
//!
//! Restrictions: Linux with /proc. Replies go to file descriptor 4, which safe code can open only
//! through /proc.

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
use progress::DownloadProgress;
use protocol::{Command, Outcome};
use std::fs::File;
use std::io::{Stderr, Write as _, stderr};
use std::path::Path;
use tokio::task::block_in_place;

pub use options::DaemonOptions;

/// Narinfos that are looked up at once.
const LOOKUPS: usize = 32;

/// Answers one run of the daemon's protocol.
pub struct Substituter {
    proxy: Proxy,
    options: DaemonOptions,
    replies: File,
}

impl Substituter {
    /// Opens file descriptor 4, where guix-daemon expects replies.
    ///
    /// # Errors
    /// The descriptor is not open: the program was not started by guix-daemon.
    pub fn new(proxy: Proxy, options: DaemonOptions) -> anyhow::Result<Self> {
        let replies = File::options().write(true).open("/proc/self/fd/4");
        let replies = replies.context(
            "can't open file descriptor 4: this command is started by guix-daemon, not by hand",
        )?;
        Ok(Self {
            proxy,
            options,
            replies,
        })
    }

    /// Answers one line of `--query`.
    ///
    /// # Errors
    /// The command is unknown, or the daemon has closed the connection.
    pub async fn query(&mut self, line: &str) -> anyhow::Result<()> {
        let (paths, in_full) = match Command::parse(line) {
            Some(Command::Have(paths)) => (paths, false),
            Some(Command::Info(paths)) => (paths, true),
            _ => return Err(anyhow!("the daemon sent an unknown query")),
        };
        let urls = self.options.substitute_urls.join("', '");
        print_status(&format!(
            "\r\x1b[Klooking for substitutes on '{urls}'...   0.0%"
        ));
        let found: Vec<Option<Available>> = stream::iter(&paths)
            .map(|path| self.find(path))
            .buffered(LOOKUPS)
            .collect()
            .await;
        print_status(&format!(
            "\r\x1b[Klooking for substitutes on '{urls}'... 100.0%\n"
        ));
        let mut reply = String::new();
        for item in found.iter().flatten() {
            let reply_of = match in_full {
                true => protocol::info(
                    item.signed(),
                    item.deriver(),
                    item.download_size().unwrap_or(0),
                ),
                false => format!("{}\n", item.signed().store_path()),
            };
            reply.push_str(&reply_of);
        }
        reply.push('\n');
        self.reply(&reply)
    }

    /// Executes one line of `--substitute`.
    ///
    /// # Errors
    /// The command is unknown, or the destination can't be written.
    pub async fn substitute(&mut self, line: &str) -> anyhow::Result<()> {
        let Some(Command::Substitute { path, destination }) = Command::parse(line) else {
            return Err(anyhow!("the daemon sent an unknown command"));
        };
        let outcome = match self.find(path).await {
            Some(item) => {
                let downloaded = self.download(&item, destination).await;
                // The temporary folder is deleted after the last download.
                self.proxy.settle().await;
                downloaded?
            }
            None => Outcome::NotFound,
        };
        if outcome == Outcome::NotFound {
            print_status(&format!(
                "substitute: failed to find a substitute for '{path}'\n"
            ));
        }
        self.reply(&format!("{outcome}\n"))
    }

    fn reply(&mut self, text: &str) -> anyhow::Result<()> {
        self.replies
            .write_all(text.as_bytes())
            .context("can't reply to the daemon")
    }

    /// Returns the item of a store path, if an upstream has it with a trusted signature.
    async fn find(&self, path: &str) -> Option<Available> {
        let path = StorePath::parse(path).ok()?;
        match self.proxy.find(path.hash_part()).await {
            Found::Available(item) if *item.signed().store_path() == path => Some(item),
            Found::Available(_) | Found::Absent | Found::Unreachable => None,
        }
    }

    async fn download(&self, item: &Available, destination: &str) -> anyhow::Result<Outcome> {
        let Some(mut body) = self.proxy.open_nar(item).await else {
            return Ok(Outcome::NotFound);
        };
        let signed = item.signed();
        let from = format!(
            "{}{}.narinfo",
            item.upstream(),
            signed.store_path().hash_part()
        );
        let mut progress = DownloadProgress::start(
            stderr(),
            self.options.build_trace,
            destination,
            &from,
            signed.nar_size(),
        );
        let destination = Path::new(destination);
        block_in_place(|| remove(destination))?;
        let mut unpacker = Unpacker::for_store(destination)?;
        while let Some(frame) = body.frame().await {
            // The body ends with an error when no source is left.
            let Ok(frame) = frame else {
                return Ok(Outcome::NotFound);
            };
            if let Ok(data) = frame.into_data() {
                block_in_place(|| unpacker.push(&data))?;
                progress.add(data.len() as u64);
            }
        }
        block_in_place(|| unpacker.finish())?;
        if self.options.deduplicate && destination.starts_with(signed.store_path().directory()) {
            let links = Path::new(signed.store_path().directory()).join(".links");
            block_in_place(|| deduplicate::deduplicate(destination, &links));
        }
        progress.succeed();
        Ok(Outcome::Success {
            hash: signed.nar_hash(),
            size: signed.nar_size(),
        })
    }
}

/// Deletes the rest of an earlier download.
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

/// Prints to standard error, which is the daemon's log and its client's terminal.
fn print_status(text: &str) {
    let mut err: Stderr = stderr();
    drop(err.write_all(text.as_bytes()).and_then(|()| err.flush()));
}
