//! Progress of a download on standard error: as build-trace lines for Guix's own progress bars, or
//! as readable text.
//!
//! ```text
//! @ download-started FILE URL SIZE
//! @ download-progress FILE URL SIZE TRANSFERRED
//! @ download-succeeded FILE URL SIZE
//! ```
//! Each line is one write, because the daemon mixes the lines of several downloads. Source:
//! guix/progress.scm of Guix 1.5.0.

use std::io::Write;
use std::time::{Duration, Instant};

/// Time between two updates; Guix uses the same.
const INTERVAL: Duration = Duration::from_millis(200);

/// Prints the progress of one download.
pub(super) struct DownloadProgress<W> {
    out: W,
    trace: bool,
    file: String,
    url: String,
    size: u64,
    received: u64,
    last: Option<Instant>,
}

impl<W: Write> DownloadProgress<W> {
    /// Prints that a download of `size` bytes from `url` to `file` starts.
    pub(super) fn start(out: W, trace: bool, file: &str, url: &str, size: u64) -> Self {
        let (file, url) = (file.to_owned(), url.to_owned());
        let mut progress = Self {
            out,
            trace,
            file,
            url,
            size,
            received: 0,
            last: None,
        };
        let line = if trace {
            format!(
                "@ download-started {} {} {size}\n",
                progress.file, progress.url
            )
        } else {
            format!("Downloading {}...\n", progress.url)
        };
        progress.print(&line);
        progress
    }

    /// Counts bytes and prints an update when [`INTERVAL`] has passed.
    pub(super) fn add(&mut self, bytes: u64) {
        self.received = self.received.saturating_add(bytes);
        let now = Instant::now();
        if self
            .last
            .is_none_or(|last| now.duration_since(last) >= INTERVAL)
        {
            self.last = Some(now);
            self.update();
        }
    }

    /// Prints that the download is complete.
    pub(super) fn succeed(mut self) {
        self.received = self.size;
        self.update();
        let line = if self.trace {
            format!(
                "@ download-succeeded {} {} {}\n\n",
                self.file, self.url, self.size
            )
        } else {
            "\n\n".to_owned()
        };
        self.print(&line);
    }

    fn update(&mut self) {
        let line = if self.trace {
            format!(
                "@ download-progress {} {} {} {}\n",
                self.file, self.url, self.size, self.received
            )
        } else {
            let percent = self
                .received
                .saturating_mul(100)
                .checked_div(self.size)
                .unwrap_or(100);
            let name = self.file.rsplit('/').next().unwrap_or_default();
            format!(
                "\r\x1b[K {name}  {:.1} MiB  {percent}%",
                self.received as f64 / 1_048_576.0
            )
        };
        self.print(&line);
    }

    fn print(&mut self, line: &str) {
        // The daemon may have closed the other end. The download continues without messages.
        drop(
            self.out
                .write_all(line.as_bytes())
                .and_then(|()| self.out.flush()),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_what_guix_parses() {
        let mut out = Vec::new();
        let mut progress =
            DownloadProgress::start(&mut out, true, "/gnu/store/x", "ipfs://cid", 10);
        progress.add(4);
        progress.succeed();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "@ download-started /gnu/store/x ipfs://cid 10\n\
             @ download-progress /gnu/store/x ipfs://cid 10 4\n\
             @ download-progress /gnu/store/x ipfs://cid 10 10\n\
             @ download-succeeded /gnu/store/x ipfs://cid 10\n\n"
        );
    }
}
