//! Options about installed items, for every command that fetches store items.

use super::proxy::cache_home;
use crate::installed::{self, Config};
use crate::store;
use interplanar_core::dedup::Prefer;
use std::path::{Path, PathBuf};

/// How installed items are used.
#[derive(Debug, Clone, clap::Args)]
pub struct InstalledArgs {
    /// Folder that contains gnu/store and nix/store. Pieces that installed items already contain
    /// are not downloaded again.
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub store_root: PathBuf,
    /// Download whole items, even if installed items contain parts of them.
    #[arg(long)]
    pub no_delta: bool,
    /// What to save when parts of an item are installed already: bytes, time, or a balance of both.
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    pub prefer: PreferArg,
}

/// [`Prefer`], as a value of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum PreferArg {
    /// Few bytes, but whole items where that is at least a second faster.
    #[default]
    Balance,
    /// Fewest bytes, however long it takes: for metered connections.
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

/// [`InstalledArgs`] of commands that can use the index of a proxy.
#[derive(Debug, Clone, clap::Args)]
pub struct SharedIndexArgs {
    /// How installed items are used.
    #[command(flatten)]
    pub installed: InstalledArgs,
    /// Folder with the index of installed items, which a proxy keeps as "installed" in its cache
    /// folder. It is only read [default: that of the user's proxy, or else the one in
    /// /var/cache/interplanar, if it exists].
    #[arg(long, value_name = "DIR")]
    pub index: Option<PathBuf>,
}

impl InstalledArgs {
    /// Returns the configuration for all possible stores, also for those that appear later.
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

impl SharedIndexArgs {
    /// Returns the configuration for the stores that exist now, with the index of a proxy.
    #[must_use]
    pub fn config(&self) -> Config {
        let mut config = self.installed.config();
        // This command ends before another store could appear.
        config.stores.retain(store::SourceSpec::is_there);
        let system = || Some(Path::new("/var/cache/interplanar").join(super::proxy::CACHE_FOLDER));
        let folders = [cache_home(), system()].into_iter().flatten();
        let mut folders = folders.map(|home| home.join(installed::FOLDER));
        let index = match &self.index {
            Some(named) => Some(named.clone()),
            None => folders.find(|dir| installed::is_index(dir)),
        };
        config.others = Vec::from_iter(index);
        config
    }
}
