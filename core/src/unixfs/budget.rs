//! Limits on what a walk may use. The caller sets them.

use super::UnixFsError;

/// Default for [`Budget::entries`]. The largest store items have a quarter of a million files.
pub const MAX_ENTRIES: u64 = 1 << 20;
/// Default for [`Budget::names`]: 256 bytes for each of [`MAX_ENTRIES`]. A caller that collects the
/// entries needs so much memory for their paths.
pub const MAX_NAMES: u64 = 256 << 20;

/// Limits on what a walk may use. What occurs more than once in the DAG counts each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Blocks that may be pushed. A node of a file uses those of its children at once.
    pub blocks: u64,
    /// Levels of nodes below the root.
    pub depth: u32,
    /// Bytes of content. The size that the root of a file claims uses them at once.
    pub output: u64,
    /// Links of directories: the entries, and the shards of large directories.
    pub entries: u64,
    /// Bytes of the paths of all entries of a tree, and of the targets of its symlinks.
    pub names: u64,
}

impl Default for Budget {
    /// 16 Mi blocks, 64 levels, 16 TiB, [`MAX_ENTRIES`], [`MAX_NAMES`].
    fn default() -> Self {
        Self {
            blocks: 1 << 24,
            depth: 64,
            output: 1 << 44,
            entries: MAX_ENTRIES,
            names: MAX_NAMES,
        }
    }
}

impl Budget {
    pub(crate) fn spend_blocks(&mut self, blocks: u64) -> Result<(), UnixFsError> {
        spend(&mut self.blocks, blocks, UnixFsError::BudgetBlocks)
    }

    pub(crate) fn spend_output(&mut self, bytes: u64) -> Result<(), UnixFsError> {
        spend(&mut self.output, bytes, UnixFsError::BudgetOutput)
    }

    pub(crate) fn spend_entries(&mut self, entries: usize) -> Result<(), UnixFsError> {
        let entries = entries as u64;
        spend(&mut self.entries, entries, UnixFsError::BudgetEntries)
    }

    pub(crate) fn spend_names(&mut self, bytes: usize) -> Result<(), UnixFsError> {
        spend(&mut self.names, bytes as u64, UnixFsError::BudgetNames)
    }
}

fn spend(left: &mut u64, used: u64, error: UnixFsError) -> Result<(), UnixFsError> {
    *left = left.checked_sub(used).ok_or(error)?;
    Ok(())
}
