//! The options of whatever fetches store items, about what is installed.

use super::proxy::cache_home;
use crate::installed::{self, Config};
use crate::store;
use interplanar_core::dedup::Prefer;
use std::path::{Path, PathBuf};

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

/// [`InstalledArgs`] of commands that run beside a proxy.
#[derive(Debug, Clone, clap::Args)]
pub struct BesideArgs {
    /// Which installed items are used.
    #[command(flatten)]
    pub installed: InstalledArgs,
    /// Folder of an index of installed items, which a proxy keeps as "installed" in its cache folder [default: that of the user's proxy, else the one in
    /// /var/cache, where it is there].
    #[arg(long, value_name = "DIR")]
    pub index: Option<PathBuf>,
}

impl InstalledArgs {
    /// The stores whose items may have pieces of what is wanted, also those that appear later.
    #[must_use]
    pub fn config(&self) -> Config {
        let stores = match self.no_delta {
            true => Vec::new(),
            false => store::registrable_under(&self.store_root),
        };
        Config {
            stores,
            ..Config::default()
        }
    }
}

impl BesideArgs {
    /// The stores that are there, and the index of a proxy.
    #[must_use]
    pub fn config(&self) -> Config {
        let mut config = self.installed.config();
        // This ends before another one could appear.
        config.stores.retain(store::SourceSpec::is_there);
        let system = || Some(Path::new("/var/cache/interplanar").join(super::proxy::CACHE));
        let homes = [cache_home(), system()].into_iter().flatten();
        let mut homes = homes.map(|home| home.join(installed::FOLDER));
        let index = match &self.index {
            Some(named) => Some(named.clone()),
            None => homes.find(|dir| installed::is_index(dir)),
        };
        config.others = Vec::from_iter(index);
        config
    }
}
