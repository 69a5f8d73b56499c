//! The requests that fetch the missing leaves, and whether they cost less than the whole file.
//!
//! ```text
//! missing leaves, in order
//!   ─► groups: all of the .nar.zst │ small pieces from their own file, others from the .nar.zst
//!   ─► ranges::cut of each group, at several prices of a request ─► requests: leaf │ range
//!   ─► Prefer::choose, by bytes and time on this LinkSpeed ─► Route
//!   ─► Prefer::is_worth, in comparison with the whole
//! ```
//! A round trip costs as much as the bytes that could be transferred in its time. If the gap
//! between two leaves has fewer bytes than that, one CAR with `entity-bytes` is cheaper than two
//! requests; it includes the gap. The route with the lowest estimate is chosen. The sizes in an
//! estimate are exact, but the measurements of the line may be wrong.
//!
//! The measurements in a [`LinkSpeed`] are of an untrusted server, but they are bounded. Whatever they
//! are, each missing leaf is in exactly one request.
//!
//! ```
//! use interplanar_core::cid::{self, RAW, Version};
//! use interplanar_core::dedup::{Ask, Form, Forms, Missing, Prefer, Route};
//! use interplanar_core::fetch::LinkSpeed;
//! use interplanar_core::hash::Sha256;
//! let leaf = |offset| Missing {
//!     cid: cid::of_sha256(Version::V1, RAW, &Sha256::of(b"leaf")),
//!     length: 2_000,
//!     offset,
//!     small: None,
//! };
//! // The heads of a hundred programs, 50 KB apart, and one leaf far away.
//! let mut missing: Vec<Missing> = (0..100).map(|n| leaf(n * 52_000)).collect();
//! missing.push(leaf(1 << 30));
//! let line = LinkSpeed::new(Some(300), Some(50 << 20));
//! let forms = Forms { frame: true, small: false };
//! let quick = Route::new(&missing, forms, &line, Prefer::Time);
//! let leaves = (0..100).collect();
//! let range = Ask::Range { form: Form::Frame, from: 0, to: 5_150_000, leaves };
//! assert_eq!(quick.asks, [range, Ask::Leaf(100)]);
//! let frugal = Route::new(&missing, forms, &line, Prefer::Bytes);
//! assert_eq!(frugal.asks.len(), 101);
//! assert!(frugal.estimate.bytes < quick.estimate.bytes);
//! ```

mod estimate;
mod ranges;
#[cfg(test)]
mod tests;

pub use estimate::{Estimate, Prefer};
pub use ranges::MAX_RANGE;

use super::plan::Missing;
use crate::fetch::LinkSpeed;
use alloc::vec::Vec;
use ranges::{LeafPosition, Prices, RequestPart};

/// A file that contains the leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The `.nar.zst`.
    Frame,
    /// The file of the small pieces.
    Small,
}

/// The files that a server probably has. Without any, leaves are requested one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forms {
    /// The `.nar.zst`.
    pub frame: bool,
    /// The file of the small pieces.
    pub small: bool,
}

/// One request. It names leaves by their indexes among the missing leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// One leaf, as a block.
    Leaf(usize),
    /// A range of a file, as a CAR.
    Range {
        /// The file.
        form: Form,
        /// Offset of the first byte.
        from: u64,
        /// Offset after the last byte.
        to: u64,
        /// Indexes of the missing leaves in the range.
        leaves: Vec<usize>,
    },
}

impl Ask {
    /// Returns the missing leaves that the request fetches, without the bytes between them.
    #[must_use]
    pub fn leaves(&self) -> &[usize] {
        match self {
            Self::Leaf(leaf) => core::slice::from_ref(leaf),
            Self::Range { leaves, .. } => leaves,
        }
    }
}

/// All requests for the missing leaves, in the order of their first leaves in the NAR.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Route {
    /// The requests.
    pub asks: Vec<Ask>,
    /// Their estimated cost.
    pub estimate: Estimate,
}

impl Route {
    /// Chooses the best route. The leaves must be in the order of the NAR, as in
    /// [`Plan::fetch`](super::Plan::fetch).
    #[must_use]
    pub fn new(missing: &[Missing], forms: Forms, line: &LinkSpeed, prefer: Prefer) -> Self {
        let mut routes = Vec::new();
        for groups in groupings(missing, forms) {
            for prices in Prices::candidates(line) {
                routes.push(Self::at(&groups, &prices));
            }
        }
        prefer.choose(routes, line)
    }

    fn at(groups: &[LeafGroup], prices: &Prices) -> Self {
        let mut route = Self::default();
        for group in groups {
            let Some(form) = group.form else {
                group
                    .positions
                    .iter()
                    .for_each(|position| route.ask(None, core::slice::from_ref(position)));
                continue;
            };
            for RequestPart { positions, range } in ranges::cut(&group.positions, prices) {
                match range {
                    true => route.ask(Some(form), positions),
                    false => positions
                        .iter()
                        .for_each(|position| route.ask(None, core::slice::from_ref(position))),
                }
            }
        }
        route.asks.sort_by_key(|ask| ask.leaves().first().copied());
        route
    }

    /// Adds a request for a range of a file, or for a leaf.
    fn ask(&mut self, form: Option<Form>, positions: &[LeafPosition]) {
        let (Some(first), Some(last)) = (positions.first(), positions.last()) else {
            return;
        };
        let (from, to) = (first.offset, last.end());
        let bytes = to.saturating_sub(from);
        self.asks.push(match form {
            Some(form) => {
                self.estimate.range(bytes);
                let leaves = positions.iter().map(|position| position.leaf).collect();
                Ask::Range {
                    form,
                    from,
                    to,
                    leaves,
                }
            }
            None => {
                self.estimate.leaf(bytes);
                Ask::Leaf(first.leaf)
            }
        });
    }
}

/// Leaves to fetch from one file, or one by one, in the order of the file.
struct LeafGroup {
    form: Option<Form>,
    positions: Vec<LeafPosition>,
}

/// Returns the possible assignments of leaves to files.
fn groupings(missing: &[Missing], forms: Forms) -> Vec<Vec<LeafGroup>> {
    let frame = forms.frame.then_some(Form::Frame);
    let of = |form, is_in: &dyn Fn(&Missing) -> Option<u64>| {
        let positions = missing.iter().enumerate().filter_map(|(leaf, one)| {
            let offset = is_in(one)?;
            let length = one.length;
            Some(LeafPosition {
                leaf,
                offset,
                length,
            })
        });
        LeafGroup {
            form,
            positions: positions.collect(),
        }
    };
    let all = of(frame, &|one| Some(one.offset));
    let mut groupings = Vec::from([Vec::from([all])]);
    if forms.small {
        let small = of(Some(Form::Small), &|one| one.small);
        let large = of(frame, &|one| match one.small {
            Some(_) => None,
            None => Some(one.offset),
        });
        groupings.push(Vec::from([small, large]));
    }
    groupings
}
