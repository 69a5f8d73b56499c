//! Cuts a large file: each of its gaps and clusters is cut by FastCDC alone.
//!
//! In clusters the hashes of references count as zeros, so that a rebuild is cut at the same
//! offsets.

use super::cluster::{Clusters, Portion, PortionKind};
use super::gear::Chunker;
use super::{CutRules, InputWindow, elf};
use crate::dedup::scan::ReferenceMatch;
use crate::store_path::HASH_PART;
use alloc::collections::VecDeque;

/// The bytes that stand in for the digits of a hash.
const MASK: [u8; HASH_PART] = [0; HASH_PART];

#[derive(Debug, Clone)]
pub(super) struct FileCutter {
    start: u64,
    pub(super) end: u64,
    clusters: Clusters,
    /// Marks other than references, in order. `None` until the header was seen.
    marks: Option<VecDeque<(u64, u64)>>,
    /// All references that start before this offset are known.
    scanned: u64,
    /// References that were not cut yet.
    references: VecDeque<u64>,
    /// The portion that is being cut.
    portion: Option<Portion>,
    chunker: Chunker,
    /// Everything before this offset is cut.
    done: u64,
}

impl FileCutter {
    /// Creates a cutter for a file whose content starts at `start` in the NAR.
    pub(super) fn new(start: u64, size: u64, rules: &CutRules) -> Self {
        Self {
            start,
            end: start.saturating_add(size),
            clusters: Clusters::new(start, rules.parameters.join()),
            marks: None,
            scanned: start,
            references: VecDeque::new(),
            portion: None,
            chunker: Chunker::new(rules.parameters.file().of_clusters()),
            done: start,
        }
    }

    /// Processes the bytes that arrived. After the last byte of the file, all of it is cut.
    pub(super) fn advance(
        &mut self,
        rules: &CutRules,
        window: &InputWindow<'_>,
        cuts: &mut VecDeque<u64>,
    ) {
        let seen = window.end().min(self.end);
        let Some(mut marks) = self.marks.take().or_else(|| self.extents(window, seen)) else {
            return;
        };
        loop {
            let bytes = window.slice(self.scanned, seen);
            let (reference, scanned_to) = match rules.references.find(bytes, 0) {
                ReferenceMatch::At(at) => (true, self.scanned.saturating_add(at as u64)),
                ReferenceMatch::NoneBefore(_) if seen == self.end => (false, seen),
                ReferenceMatch::NoneBefore(at) => {
                    (false, seen.min(self.scanned.saturating_add(at as u64)))
                }
            };
            while let Some((start, end)) = marks.pop_front_if(|(start, _)| *start <= scanned_to) {
                self.clusters.mark(start, end);
            }
            self.clusters.advance_to(scanned_to);
            if reference {
                self.scanned = scanned_to.saturating_add(HASH_PART as u64);
                self.clusters.mark(scanned_to, self.scanned);
                self.references.push_back(scanned_to);
            } else {
                self.scanned = scanned_to;
            }
            if self.scanned >= self.end && marks.is_empty() {
                self.clusters.finish();
            }
            self.cut(rules, window, cuts);
            if !reference {
                self.marks = Some(marks);
                return;
            }
        }
    }

    /// Returns the marks from an ELF header, and the file's end.
    fn extents(&self, window: &InputWindow<'_>, seen: u64) -> Option<VecDeque<(u64, u64)>> {
        let bytes = window.slice(self.start, seen);
        let size = self.end.saturating_sub(self.start);
        if bytes.len() < elf::HEADER && (bytes.len() as u64) < size {
            return None;
        }
        let extents = elf::extents(bytes, size).into_iter().flatten();
        let offset = |at: u64| self.start.saturating_add(at);
        let mut marks: VecDeque<_> = extents
            .map(|(start, end)| (offset(start), offset(end)))
            .collect();
        marks.push_back((self.end, self.end));
        Some(marks)
    }

    fn cut(&mut self, rules: &CutRules, window: &InputWindow<'_>, cuts: &mut VecDeque<u64>) {
        while let Some(portion) = self.portion.take().or_else(|| self.clusters.next()) {
            // An unknown reference may start after `scanned`.
            self.chunk(rules, window, portion.end.min(self.scanned), cuts);
            if self.done < portion.end {
                self.portion = Some(portion);
                return;
            }
            if portion.last {
                cuts.push_back(self.done);
                self.chunker = Chunker::new(match portion.kind {
                    PortionKind::Gap => rules.parameters.file().of_clusters(),
                    PortionKind::Cluster => rules.parameters.file(),
                });
            }
        }
    }

    fn chunk(
        &mut self,
        rules: &CutRules,
        window: &InputWindow<'_>,
        limit: u64,
        cuts: &mut VecDeque<u64>,
    ) {
        while self.done < limit {
            let reference_end = |start: u64| start.saturating_add(HASH_PART as u64);
            while self
                .references
                .pop_front_if(|start| reference_end(*start) <= self.done)
                .is_some()
            {}
            let next = self.references.front().copied().unwrap_or(limit);
            let bytes = if self.done < next {
                window.slice(self.done, next.min(limit))
            } else {
                let length = reference_end(next).min(limit).saturating_sub(self.done);
                let length = usize::try_from(length).unwrap_or(HASH_PART);
                MASK.get(..length).unwrap_or_default()
            };
            if bytes.is_empty() {
                return;
            }
            let taken = self.chunker.feed(&rules.gear, bytes);
            let length = taken.unwrap_or(bytes.len());
            self.done = self.done.saturating_add(length as u64);
            if taken.is_some() {
                cuts.push_back(self.done);
            }
        }
    }
}
