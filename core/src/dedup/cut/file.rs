//! A large file: its gaps and clusters are cut by FastCDC, each on its own.
//!
//! In clusters the hashes of references count as zeros, so that a rebuild is cut as before.

use super::cluster::{Clusters, Kind, Portion};
use super::gear::Chunker;
use super::{Rules, Window, elf};
use crate::dedup::scan::Found;
use crate::store_path::HASH_PART;
use alloc::collections::VecDeque;

/// Digits of a hash as they count.
const MASK: [u8; HASH_PART] = [0; HASH_PART];

#[derive(Debug, Clone)]
pub(super) struct File {
    start: u64,
    pub(super) end: u64,
    clusters: Clusters,
    /// Marks that are no references, in order; unknown before the header is there.
    marks: Option<VecDeque<(u64, u64)>>,
    /// All references that start before this are known.
    scanned: u64,
    /// References that are not cut yet.
    references: VecDeque<u64>,
    /// What is being cut.
    portion: Option<Portion>,
    chunker: Chunker,
    /// All before this is cut.
    done: u64,
}

impl File {
    /// A file whose content starts at `start` in the NAR.
    pub(super) fn new(start: u64, size: u64, rules: &Rules) -> Self {
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

    /// Looks at what has come; once that is all of the file, all of it is cut.
    pub(super) fn advance(&mut self, rules: &Rules, window: &Window<'_>, cuts: &mut VecDeque<u64>) {
        let seen = window.end().min(self.end);
        let Some(mut marks) = self.marks.take().or_else(|| self.extents(window, seen)) else {
            return;
        };
        loop {
            let bytes = window.slice(self.scanned, seen);
            let (reference, clean) = match rules.references.find(bytes, 0) {
                Found::At(at) => (true, self.scanned.saturating_add(at as u64)),
                Found::NoneBefore(_) if seen == self.end => (false, seen),
                Found::NoneBefore(at) => (false, seen.min(self.scanned.saturating_add(at as u64))),
            };
            while let Some((start, end)) = marks.pop_front_if(|(start, _)| *start <= clean) {
                self.clusters.mark(start, end);
            }
            self.clusters.clean(clean);
            if reference {
                self.scanned = clean.saturating_add(HASH_PART as u64);
                self.clusters.mark(clean, self.scanned);
                self.references.push_back(clean);
            } else {
                self.scanned = clean;
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

    /// The marks that an ELF header gives, and the file's end.
    fn extents(&self, window: &Window<'_>, seen: u64) -> Option<VecDeque<(u64, u64)>> {
        let bytes = window.slice(self.start, seen);
        let size = self.end.saturating_sub(self.start);
        if bytes.len() < elf::HEADER && (bytes.len() as u64) < size {
            return None;
        }
        let extents = elf::extents(bytes, size).into_iter().flatten();
        let place = |at: u64| self.start.saturating_add(at);
        let mut marks: VecDeque<_> = extents
            .map(|(start, end)| (place(start), place(end)))
            .collect();
        marks.push_back((self.end, self.end));
        Some(marks)
    }

    fn cut(&mut self, rules: &Rules, window: &Window<'_>, cuts: &mut VecDeque<u64>) {
        while let Some(portion) = self.portion.take().or_else(|| self.clusters.next()) {
            // Behind `scanned` a reference may start.
            self.chunk(rules, window, portion.end.min(self.scanned), cuts);
            if self.done < portion.end {
                self.portion = Some(portion);
                return;
            }
            if portion.last {
                cuts.push_back(self.done);
                self.chunker = Chunker::new(match portion.kind {
                    Kind::Gap => rules.parameters.file().of_clusters(),
                    Kind::Cluster => rules.parameters.file(),
                });
            }
        }
    }

    fn chunk(&mut self, rules: &Rules, window: &Window<'_>, limit: u64, cuts: &mut VecDeque<u64>) {
        while self.done < limit {
            let behind = |start: u64| start.saturating_add(HASH_PART as u64);
            while self
                .references
                .pop_front_if(|start| behind(*start) <= self.done)
                .is_some()
            {}
            let next = self.references.front().copied().unwrap_or(limit);
            let bytes = if self.done < next {
                window.slice(self.done, next.min(limit))
            } else {
                let length = behind(next).min(limit).saturating_sub(self.done);
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
