//! Prints the demonstration's progress: one line per step, with its time.

use crate::inspect;
use crate::store::Item;
use interplanar_core::trust::TrustedKeys;
use std::io::IsTerminal as _;
use std::time::Instant;

/// Prints lines to standard output.
pub(super) struct Report {
    last: Instant,
    colour: bool,
}

impl Report {
    pub(super) fn new() -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self {
            last: Instant::now(),
            colour,
        }
    }

    /// Prints a step that succeeded, and the time since the previous one.
    pub(super) fn step(&mut self, name: &str, what: &str) {
        let seconds = self.last.elapsed().as_secs_f64();
        self.last = Instant::now();
        let (on, off) = if self.colour {
            ("\x1b[1;32m", "\x1b[0m")
        } else {
            ("", "")
        };
        println!("{on}{name:>9}{off} {seconds:6.2} s  {what}");
    }

    /// Prints a hint for the user.
    pub(super) fn note(&mut self, what: &str) {
        println!("{:>9}           {what}", "note");
    }

    /// Prints that all steps succeeded.
    pub(super) fn succeeded(&self) {
        println!("\nAll steps succeeded.");
    }

    /// Prints the server's addresses, and commands to try.
    pub(super) fn addresses(&self, url: &str, item: &Item, trusted: &TrustedKeys) {
        let key = trusted
            .nix
            .first()
            .map(ToString::to_string)
            .unwrap_or_default();
        let inspector = match inspect::is_built() {
            true => format!("  open {url}/inspect/ in a browser\n"),
            false => String::new(),
        };
        println!(
            "Serving a web page and narinfos at {url},\n\
             and the IPFS gateway at {url}/ipfs/\n\
             Try these commands in another terminal:\n{inspector}  \
             curl {url}/{hash}.narinfo\n  \
             nix copy --from {url} {path} --option trusted-public-keys '{key}'\n  \
             interplanar proxy --upstream {url} --gateway {url} --trusted-key '{key}'",
            hash = item.store_path.hash_part(),
            path = item.store_path,
        );
    }
}

/// Formats a number of bytes with a binary unit.
pub(super) fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}
