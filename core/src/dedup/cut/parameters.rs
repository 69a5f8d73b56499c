//! How large pieces are. Whoever wants to find the same pieces must cut by the same parameters, so the chunk index names them.

/// Longest piece in bytes; what one costs in memory.
pub const MAX_PIECE: u32 = 4 << 20;
/// Shortest that a piece chosen by content may be, in bytes: what the rolling hash has seen.
pub const MIN_PIECE: u32 = 64;
/// Largest [`Parameters::threshold`]: a smaller file is held whole, and must fit in a piece with its framing.
pub const MAX_THRESHOLD: u32 = 1 << 20;
/// Largest [`Parameters::join`], which is looked ahead.
pub const MAX_JOIN: u32 = 64 << 10;
/// Pieces around references are chosen as others are, at this part of the size.
const CLUSTER_SCALE: u32 = 16;

/// Lengths of pieces in bytes. Where something else ends a piece it may be shorter than `min`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sizes {
    /// No content ends a piece before this.
    pub min: u32,
    /// About so long pieces become.
    pub average: u32,
    /// Here a piece ends whatever its content.
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

    /// The sizes of pieces that hold references.
    pub(super) fn of_clusters(self) -> Self {
        let part = |size: u32| (size / CLUSTER_SCALE).max(MIN_PIECE);
        Self {
            min: part(self.min),
            average: part(self.average),
            max: part(self.max),
        }
    }

    fn is_sound(self) -> bool {
        MIN_PIECE <= self.min
            && self.min < self.average
            && self.average <= self.max
            && self.max <= MAX_PIECE
    }
}

/// How a NAR is cut, within the limits above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Parameters {
    threshold: u32,
    join: u32,
    file: Sizes,
    group: Sizes,
}

impl Parameters {
    /// Files from 64 KiB on, pieces of 1 MiB: few blocks (design.md).
    pub const LARGE: Self = Self {
        threshold: 64 << 10,
        join: 2 << 10,
        file: Sizes::of(1 << 20),
        group: Sizes::of(1 << 20),
    };
    /// Files from 64 KiB on in pieces of 256 KiB, groups of 1 MiB: few more blocks, and much smaller updates (measured, ARCHITECTURE.md).
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
    /// Files from 16 KiB on, pieces of 64 KiB: small updates (design.md).
    pub const SMALL: Self = Self {
        threshold: 16 << 10,
        join: 2 << 10,
        file: Sizes::of(64 << 10),
        group: Sizes::of(64 << 10),
    };

    /// `None` unless [`MIN_PIECE`] ≤ min < average ≤ max ≤ [`MAX_PIECE`], [`MIN_PIECE`] ≤ threshold ≤ [`MAX_THRESHOLD`] and join ≤ [`MAX_JOIN`].
    #[must_use]
    pub fn new(threshold: u32, join: u32, file: Sizes, group: Sizes) -> Option<Self> {
        let sound = file.is_sound()
            && group.is_sound()
            && (MIN_PIECE..=MAX_THRESHOLD).contains(&threshold)
            && join <= MAX_JOIN;
        sound.then_some(Self {
            threshold,
            join,
            file,
            group,
        })
    }

    /// Files of at least so many bytes are cut on their own; smaller ones stay whole.
    #[must_use]
    pub fn threshold(&self) -> u32 {
        self.threshold
    }

    /// References with at most so many bytes between them share a piece.
    #[must_use]
    pub fn join(&self) -> u32 {
        self.join
    }

    /// Pieces of large files.
    #[must_use]
    pub fn file(&self) -> Sizes {
        self.file
    }

    /// Pieces of small files and framing.
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
    fn what_is_offered_is_within_the_limits_and_nothing_else_is_taken() {
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
