//! A progress bar on a terminal. Elsewhere it is hidden.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal as _;

/// Shows the progress of a transfer.
#[derive(Clone)]
pub struct Bar(ProgressBar);

impl Bar {
    /// Starts a bar. Without a length it only counts bytes.
    #[must_use]
    pub fn new(name: &str, length: Option<u64>) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let template =
            "{prefix} {bar:30} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
        let bar = length.map_or_else(ProgressBar::no_length, ProgressBar::new);
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        bar.set_prefix(name.to_owned());
        Self(bar)
    }

    /// Sets the length, in bytes.
    pub fn set_length(&self, bytes: u64) {
        self.0.set_length(bytes);
    }

    /// Counts transferred bytes.
    pub fn add(&self, bytes: usize) {
        self.0.inc(bytes as u64);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
