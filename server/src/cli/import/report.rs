//! Reports on an import: a progress bar while it runs, and a line of text or JSON at the end.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use interplanar_core::cid::Cid;

/// The totals of one CAR.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes of the CAR that were read.
    pub read: u64,
    /// Blocks in it, counting repeated ones each time.
    pub blocks: u64,
    /// Blocks that the store didn't have.
    pub new_blocks: u64,
    /// Bytes of the new blocks.
    pub new_bytes: u64,
    /// The roots in its header.
    pub roots: Vec<Cid>,
}

/// Reports on one file.
pub(super) struct Report {
    name: String,
    json: bool,
    bar: ProgressBar,
}

impl Report {
    /// Shows a progress bar, on a terminal.
    pub(super) fn new(file: &Path, length: Option<u64>, json: bool) -> Self {
        let name = file.display().to_string();
        let bar = match length {
            _ if json || !io::stderr().is_terminal() => ProgressBar::hidden(),
            Some(length) => ProgressBar::new(length).with_style(style(
                "{prefix} {bar:30} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {msg}",
            )),
            None => ProgressBar::new_spinner().with_style(style(
                "{prefix} {spinner} {binary_bytes} {binary_bytes_per_sec} {msg}",
            )),
        };
        bar.set_prefix(name.clone());
        Self { name, json, bar }
    }

    pub(super) fn progress(&self, counts: &Counts) {
        self.bar.set_position(counts.read);
        self.bar
            .set_message(format!("{} blocks", HumanCount(counts.blocks)));
    }

    /// Removes the progress bar.
    pub(super) fn abandon(self) {
        self.bar.finish_and_clear();
    }

    /// Prints the totals on standard output.
    pub(super) fn finish(self, counts: Counts) -> io::Result<()> {
        self.bar.finish_and_clear();
        let mut out = io::stdout().lock();
        if self.json {
            return writeln!(out, "{}", json(&self.name, &counts));
        }
        let name = if self.name == "-" {
            "standard input"
        } else {
            &self.name
        };
        writeln!(
            out,
            "{name}: {} blocks, {} of them new ({})",
            HumanCount(counts.blocks),
            HumanCount(counts.new_blocks),
            HumanBytes(counts.new_bytes),
        )?;
        for root in &counts.roots {
            writeln!(out, "  root {root}")?;
        }
        Ok(())
    }
}

/// Returns the totals as a line for programs.
pub(super) fn json(name: &str, counts: &Counts) -> serde_json::Value {
    let roots: Vec<String> = counts.roots.iter().map(Cid::to_string).collect();
    serde_json::json!({
        "file": name,
        "bytes": counts.read,
        "blocks": counts.blocks,
        "new_blocks": counts.new_blocks,
        "new_bytes": counts.new_bytes,
        "roots": roots,
    })
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants; a wrong one would show the default bar.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
