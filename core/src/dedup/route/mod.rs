//! By which requests the leaves that are missing are fetched, and whether that beats fetching the whole.
//!
//! ```text
//! missing leaves, in order ─► groups: all of the .nar.zst │ small ones of the small pieces' file, the others of the .nar.zst
//!        each group ─► ranges::cut at several prices of a request ─► asks: leaf │ range, read through what is here
//!        all of these ─► Prefer::choose, by bytes and time on this Line ─► Route ─► Prefer::is_worth beside the whole
//! ```
//! A round trip costs as much as the bytes that could have come meanwhile, so a gap between two leaves is read through where it has fewer bytes than that: one CAR by
//! `entity-bytes` in place of two requests. The price that estimates least is taken, so what is here is exact and what is measured of the line may be wrong.
//!
//! What a [`Line`] says was measured of a stranger; it has bounds, and whatever it says each missing leaf is in exactly one request.
//!
//! ```
//! use interplanar_core::cid::{self, RAW, Version};
//! use interplanar_core::dedup::{Ask, Form, Forms, Missing, Prefer, Route};
//! use interplanar_core::fetch::Line;
//! use interplanar_core::hash::Sha256;
//! let leaf = |offset| Missing {
//!     cid: cid::of_sha256(Version::V1, RAW, &Sha256::of(b"leaf")), length: 2_000, offset, small: None,
//! };
//! // A hundred heads of programs that are here otherwise, 50 KB apart, and one far away.
//! let mut missing: Vec<Missing> = (0..100).map(|n| leaf(n * 52_000)).collect();
//! missing.push(leaf(1 << 30));
//! let line = Line::new(Some(300), Some(50 << 20));
//! let forms = Forms { frame: true, small: false };
//! let quick = Route::new(&missing, forms, &line, Prefer::Time);
//! assert_eq!(quick.asks, [Ask::Range { form: Form::Frame, from: 0, to: 5_150_000, leaves: (0..100).collect() }, Ask::Leaf(100)]);
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
use crate::fetch::Line;
use alloc::vec::Vec;
use ranges::{Part, Prices, Spot};

/// A file that leaves are a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The `.nar.zst`.
    Frame,
    /// The file of the small pieces.
    Small,
}

/// Which files somebody is thought to have. Without any, leaves are asked for one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forms {
    /// The `.nar.zst`.
    pub frame: bool,
    /// The file of the small pieces.
    pub small: bool,
}

/// One request. Leaves are named by where they stand among the missing ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// One leaf, as a block.
    Leaf(usize),
    /// A range of a file, as a CAR.
    Range {
        /// Which file.
        form: Form,
        /// The first byte.
        from: u64,
        /// The first byte behind it.
        to: u64,
        /// The leaves that it is asked for.
        leaves: Vec<usize>,
    },
}

impl Ask {
    /// The leaves that it brings, besides what is read through.
    #[must_use]
    pub fn leaves(&self) -> &[usize] {
        match self {
            Self::Leaf(leaf) => core::slice::from_ref(leaf),
            Self::Range { leaves, .. } => leaves,
        }
    }
}

/// All requests for what is missing, in the order of their first leaves in the NAR.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Route {
    /// The requests.
    pub asks: Vec<Ask>,
    /// What they are thought to cost.
    pub estimate: Estimate,
}

impl Route {
    /// The best one. The leaves are in the order of the NAR, as [`Plan::fetch`](super::Plan::fetch) has them.
    #[must_use]
    pub fn new(missing: &[Missing], forms: Forms, line: &Line, prefer: Prefer) -> Self {
        let mut routes = Vec::new();
        for groups in groupings(missing, forms) {
            for prices in Prices::candidates(line) {
                routes.push(Self::at(&groups, &prices));
            }
        }
        prefer.choose(routes, line)
    }

    fn at(groups: &[Group], prices: &Prices) -> Self {
        let mut route = Self::default();
        for group in groups {
            let Some(form) = group.form else {
                group
                    .spots
                    .iter()
                    .for_each(|spot| route.ask(None, core::slice::from_ref(spot)));
                continue;
            };
            for Part { spots, range } in ranges::cut(&group.spots, prices) {
                match range {
                    true => route.ask(Some(form), spots),
                    false => spots
                        .iter()
                        .for_each(|spot| route.ask(None, core::slice::from_ref(spot))),
                }
            }
        }
        route.asks.sort_by_key(|ask| ask.leaves().first().copied());
        route
    }

    /// Adds a request for a range of a file, or for a leaf.
    fn ask(&mut self, form: Option<Form>, spots: &[Spot]) {
        let (Some(first), Some(last)) = (spots.first(), spots.last()) else {
            return;
        };
        let (from, to) = (first.offset, last.end());
        let bytes = to.saturating_sub(from);
        self.asks.push(match form {
            Some(form) => {
                self.estimate.range(bytes);
                let leaves = spots.iter().map(|spot| spot.leaf).collect();
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

/// Leaves that are looked for in one file, if in any, in its order.
struct Group {
    form: Option<Form>,
    spots: Vec<Spot>,
}

/// The ways to say which leaf is looked for in which file.
fn groupings(missing: &[Missing], forms: Forms) -> Vec<Vec<Group>> {
    let frame = forms.frame.then_some(Form::Frame);
    let of = |form, is_in: &dyn Fn(&Missing) -> Option<u64>| {
        let spots = missing.iter().enumerate().filter_map(|(leaf, one)| {
            let offset = is_in(one)?;
            let length = one.length;
            Some(Spot {
                leaf,
                offset,
                length,
            })
        });
        Group {
            form,
            spots: spots.collect(),
        }
    };
    let all = of(frame, &|one| Some(one.offset));
    let mut ways = Vec::from([Vec::from([all])]);
    if forms.small {
        let small = of(Some(Form::Small), &|one| one.small);
        let large = of(frame, &|one| match one.small {
            Some(_) => None,
            None => Some(one.offset),
        });
        ways.push(Vec::from([small, large]));
    }
    ways
}
