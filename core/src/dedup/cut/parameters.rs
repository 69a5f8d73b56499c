//! The sizes of pieces. Two parties find the same pieces only with the same parameters, so the
//! chunk index contains them.

/// Longest piece, in bytes. It bounds the memory that one piece needs.
pub const MAX_PIECE: u32 = 4 << 20;
/// Smallest minimum length of pieces cut by content, in bytes: the rolling hash covers as many.
pub const MIN_PIECE: u32 = 64;
/// Largest [`Parameters::threshold`], in bytes. A smaller file is buffered whole, and must fit in a
/// piece with its framing.
pub const MAX_THRESHOLD: u32 = 1 << 20;
/// Largest [`Parameters::join`], in bytes. The cutter looks ahead as far.
pub const MAX_JOIN: u32 = 64 << 10;
/// Pieces around references are cut like others, but their sizes are divided by this.
const CLUSTER_SCALE: u32 = 16;

/// Lengths of pieces in bytes. A piece that ends for another reason may be shorter than `min`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sizes {
    /// Content never ends a piece before this length.
    pub min: u32,
    /// Approximate average length of pieces.
    pub average: u32,
    /// A piece always ends at this length.
    pub max: u32,
}

impl Sizes {
    const fn of(average: u32) -> Self {
        Self {
            min: average / 4,
            average,
            max: average.saturating_mul(4),
        }
    }

    /// Returns the sizes of pieces that hold references.
    pub(super) fn of_clusters(self) -> Self {
        let part = |size: u32| (size / CLUSTER_SCALE).max(MIN_PIECE);
        Self {
            min: part(self.min),
            average: part(self.average),
            max: part(self.max),
        }
    }

    fn is_valid(self) -> bool {
        MIN_PIECE <= self.min
            && self.min < self.average
            && self.average <= self.max
            && self.max <= MAX_PIECE
    }
}

/// How a NAR is cut, within the limits of this module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Parameters {
    threshold: u32,
    join: u32,
    file: Sizes,
    group: Sizes,
}

impl Parameters {
    /// Files of at least 64 KiB are cut alone; pieces of 1 MiB. Few blocks (docs/decisions/005).
    pub const LARGE: Self = Self {
        threshold: 64 << 10,
        join: 2 << 10,
        file: Sizes::of(1 << 20),
        group: Sizes::of(1 << 20),
    };
    /// Files of at least 64 KiB are cut alone, into pieces of 256 KiB; groups of 1 MiB. A few more
    /// blocks and much smaller updates (measured, docs/decisions/005).
    pub const MEDIUM: Self = Self {
        threshold: 64 << 10,
        join: 2 << 10,
        file: Sizes {
            min: 128 << 10,
            average: 256 << 10,
            max: 1 << 20,
        },
        group: Sizes::of(1 << 20),
    };
    /// Files of at least 16 KiB are cut alone; pieces of 64 KiB. Small updates (docs/decisions/005).
    pub const SMALL: Self = Self {
        threshold: 16 << 10,
        join: 2 << 10,
        file: Sizes::of(64 << 10),
        group: Sizes::of(64 << 10),
    };

    /// Checks and creates parameters.
    ///
    /// Returns `None` unless [`MIN_PIECE`] ≤ min < average ≤ max ≤ [`MAX_PIECE`], [`MIN_PIECE`] ≤
    /// threshold ≤ [`MAX_THRESHOLD`] and join ≤ [`MAX_JOIN`].
    #[must_use]
    pub fn new(threshold: u32, join: u32, file: Sizes, group: Sizes) -> Option<Self> {
        let valid = file.is_valid()
            && group.is_valid()
            && (MIN_PIECE..=MAX_THRESHOLD).contains(&threshold)
            && join <= MAX_JOIN;
        valid.then_some(Self {
            threshold,
            join,
            file,
            group,
        })
    }

    /// Returns the bytes from which a file is cut alone. Smaller files stay whole.
    #[must_use]
    pub fn threshold(&self) -> u32 {
        self.threshold
    }

    /// Returns the most bytes between two references that share a piece.
    #[must_use]
    pub fn join(&self) -> u32 {
        self.join
    }

    /// Returns the sizes of pieces of large files.
    #[must_use]
    pub fn file(&self) -> Sizes {
        self.file
    }

    /// Returns the sizes of pieces of small files and framing.
    #[must_use]
    pub fn group(&self) -> Sizes {
        self.group
    }
}

impl Default for Parameters {
    fn default() -> Self {
        Self::MEDIUM
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_presets_are_within_the_limits_and_others_are_refused() {
        for p in [Parameters::LARGE, Parameters::MEDIUM, Parameters::SMALL] {
            assert_eq!(
                Parameters::new(p.threshold, p.join, p.file, p.group),
                Some(p)
            );
            let none = Sizes { min: 0, ..p.file };
            let endless = Sizes {
                max: MAX_PIECE + 1,
                ..p.file
            };
            let crossed = Sizes {
                min: p.file.average,
                ..p.file
            };
            for bad in [none, endless, crossed] {
                assert_eq!(Parameters::new(p.threshold, p.join, bad, p.group), None);
                assert_eq!(Parameters::new(p.threshold, p.join, p.file, bad), None);
            }
            assert_eq!(Parameters::new(0, p.join, p.file, p.group), None);
            assert_eq!(
                Parameters::new(MAX_THRESHOLD + 1, p.join, p.file, p.group),
                None
            );
            assert_eq!(
                Parameters::new(p.threshold, MAX_JOIN + 1, p.file, p.group),
                None
            );
        }
    }
}
