//! The options of whatever fetches store items, about what is installed.

use crate::store::{self, SourceSpec};
use std::path::PathBuf;

/// Which installed items are used.
#[derive(Debug, Clone, clap::Args)]
pub struct InstalledArgs {
    /// Where the stores of this machine lie, whose items are not fetched anew where they have the same pieces.
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub store_root: PathBuf,
    /// Fetch all of an item, whatever installed ones have of it.
    #[arg(long)]
    pub no_delta: bool,
}

impl InstalledArgs {
    /// The stores whose items may have pieces of what is wanted.
    #[must_use]
    pub fn stores(&self) -> Vec<SourceSpec> {
        match self.no_delta {
            true => Vec::new(),
            false => store::registered_under(&self.store_root),
        }
    }
}
