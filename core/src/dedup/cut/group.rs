//! The groups between large files: framing and small files. Groups end where entries end.
//!
//! ```text
//! entry := from one "entry" token of the NAR to the next, or to the end of the space
//! a group ends after an entry if it is ≥ min bytes long
//!              and hash(entry) × (average - min) < length(entry) × 2^64,
//!       and before an entry that would make it longer than max
//! ```
//! So the probability that an entry ends a group grows with the entry's length. The average length
//! of groups is then as configured, for entries of every size. The hash is Murmur3 over the entry,
//! in which the hashes of references are zeros.

use super::cluster::{Clusters, PortionKind};
use super::{CutRules, InputWindow, Sizes};
use crate::dedup::scan::{ReferenceMatch, References};
use crate::murmur3;
use crate::store_path::HASH_PART;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

#[derive(Debug, Clone, Copy)]
struct GroupEntry {
    end: u64,
    hash: u64,
}

#[derive(Debug, Clone)]
pub(super) struct GroupCutter {
    /// Offset at which the current entry starts.
    start: u64,
    clusters: Clusters,
    /// Entries that were not yet assigned to a cluster or a gap.
    entries: VecDeque<GroupEntry>,
    sizes: Sizes,
    /// Everything before this offset is in a group.
    done: u64,
    /// Bytes of the current group so far.
    length: u64,
}

impl GroupCutter {
    /// Creates a cutter for a space that starts at this offset of the NAR.
    pub(super) fn new(start: u64, rules: &CutRules) -> Self {
        Self {
            start,
            clusters: Clusters::new(start, rules.parameters.join()),
            entries: VecDeque::new(),
            sizes: rules.parameters.group().of_clusters(),
            done: start,
            length: 0,
        }
    }

    /// Records that an entry starts here, so the one before it is complete.
    pub(super) fn boundary(
        &mut self,
        at: u64,
        rules: &CutRules,
        window: &InputWindow<'_>,
        cuts: &mut VecDeque<u64>,
    ) {
        if at <= self.start {
            return;
        }
        let (hash, holds_references) = digest(window.slice(self.start, at), &rules.references);
        self.entries.push_back(GroupEntry { end: at, hash });
        if holds_references {
            self.clusters.mark(self.start, at);
        } else {
            self.clusters.advance_to(at);
        }
        self.start = at;
        self.cut(rules, cuts);
    }

    /// Ends the space here.
    pub(super) fn finish(
        &mut self,
        at: u64,
        rules: &CutRules,
        window: &InputWindow<'_>,
        cuts: &mut VecDeque<u64>,
    ) {
        self.boundary(at, rules, window, cuts);
        self.clusters.mark(at, at);
        self.clusters.finish();
        self.cut(rules, cuts);
    }

    fn cut(&mut self, rules: &CutRules, cuts: &mut VecDeque<u64>) {
        while let Some(portion) = self.clusters.next() {
            while let Some(entry) = self.entries.pop_front_if(|entry| entry.end <= portion.end) {
                self.add(entry, cuts);
            }
            if portion.last {
                cuts.push_back(portion.end);
                self.length = 0;
                self.sizes = match portion.kind {
                    PortionKind::Gap => rules.parameters.group().of_clusters(),
                    PortionKind::Cluster => rules.parameters.group(),
                };
            }
        }
    }

    fn add(&mut self, entry: GroupEntry, cuts: &mut VecDeque<u64>) {
        let length = entry.end.saturating_sub(self.done);
        if self.length.saturating_add(length) > u64::from(self.sizes.max) {
            cuts.push_back(self.done);
            self.length = 0;
        }
        self.length = self.length.saturating_add(length);
        self.done = entry.end;
        let rest = self.sizes.average.saturating_sub(self.sizes.min);
        let chosen = (u128::from(entry.hash).saturating_mul(u128::from(rest)) >> 64) as u64;
        if self.length >= u64::from(self.sizes.min) && chosen < length {
            cuts.push_back(self.done);
            self.length = 0;
        }
    }
}

/// Returns the hash of an entry, and whether the entry holds references.
fn digest(entry: &[u8], references: &References) -> (u64, bool) {
    let ReferenceMatch::At(first) = references.find(entry, 0) else {
        return (murmur3::hash(entry), false);
    };
    let mut masked = Vec::from(entry);
    let mut found = ReferenceMatch::At(first);
    while let ReferenceMatch::At(at) = found {
        let end = at.saturating_add(HASH_PART);
        if let Some(digits) = masked.get_mut(at..end) {
            digits.fill(0);
        }
        found = references.find(entry, end);
    }
    (murmur3::hash(&masked), true)
}
