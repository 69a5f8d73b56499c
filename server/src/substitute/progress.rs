//! Progress of a download, on standard error: as build-trace lines that Guix draws its own bars from, or as a line for people.
//!
//! ```text
//! @ download-started FILE URL SIZE
//! @ download-progress FILE URL SIZE TRANSFERRED
//! @ download-succeeded FILE URL SIZE
//! ```
//! Each in one write, since the daemon interleaves those of several downloads. Source: guix/progress.scm of Guix 1.5.0.

use std::io::Write;
use std::time::{Duration, Instant};

/// Guix draws no more often.
const INTERVAL: Duration = Duration::from_millis(200);

/// Tells of one download.
pub(super) struct Progress<W> {
    out: W,
    trace: bool,
    file: String,
    url: String,
    size: u64,
    done: u64,
    last: Option<Instant>,
}

impl<W: Write> Progress<W> {
    /// Says that a download of `size` bytes from `url` to `file` starts.
    pub(super) fn start(out: W, trace: bool, file: &str, url: &str, size: u64) -> Self {
        let (file, url) = (file.to_owned(), url.to_owned());
        let mut progress = Self {
            out,
            trace,
            file,
            url,
            size,
            done: 0,
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
        progress.say(&line);
        progress
    }

    /// Counts bytes, and says so from time to time.
    pub(super) fn add(&mut self, bytes: u64) {
        self.done = self.done.saturating_add(bytes);
        let now = Instant::now();
        if self
            .last
            .is_none_or(|last| now.duration_since(last) >= INTERVAL)
        {
            self.last = Some(now);
            self.report();
        }
    }

    /// Says that all is there.
    pub(super) fn succeed(mut self) {
        self.done = self.size;
        self.report();
        let line = if self.trace {
            format!(
                "@ download-succeeded {} {} {}\n\n",
                self.file, self.url, self.size
            )
        } else {
            "\n\n".to_owned()
        };
        self.say(&line);
    }

    fn report(&mut self) {
        let line = if self.trace {
            format!(
                "@ download-progress {} {} {} {}\n",
                self.file, self.url, self.size, self.done
            )
        } else {
            let percent = self
                .done
                .saturating_mul(100)
                .checked_div(self.size)
                .unwrap_or(100);
            let name = self.file.rsplit('/').next().unwrap_or_default();
            format!(
                "\r\x1b[K {name}  {:.1} MiB  {percent}%",
                self.done as f64 / 1_048_576.0
            )
        };
        self.say(&line);
    }

    fn say(&mut self, line: &str) {
        // The daemon may have closed the other end; the download goes on without words.
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
        let mut progress = Progress::start(&mut out, true, "/gnu/store/x", "ipfs://cid", 10);
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
