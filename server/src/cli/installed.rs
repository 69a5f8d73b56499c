//! The options of whatever fetches store items, about what is installed.

use crate::store::{self, SourceSpec};
use interplanar_core::dedup::Prefer;
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
    /// What should cost little where only the changed pieces of an item are fetched.
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    pub prefer: PreferArg,
}

/// [`Prefer`], as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum PreferArg {
    /// Few bytes, unless another way is a second quicker.
    #[default]
    Balance,
    /// Fewest bytes, however long it takes: for metered lines.
    Bytes,
    /// Least time, however many bytes.
    Time,
}

impl From<PreferArg> for Prefer {
    fn from(arg: PreferArg) -> Self {
        match arg {
            PreferArg::Balance => Self::Balance,
            PreferArg::Bytes => Self::Bytes,
            PreferArg::Time => Self::Time,
        }
    }
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
