//! Separates the bytes that change in a rebuild from those that don't. Marks that are near each
//! other form clusters, with gaps between them.
//!
//! ```text
//! space    := [cluster] *( gap cluster ) [gap]    a large file, or everything between two of them
//! cluster  := mark *( at most join bytes, mark )
//! mark     := a reference, an ELF's head or section table, an entry that holds references,
//!             an end of the space
//! ```
//! An end of the space is an empty mark, so that no tiny piece remains between it and a cluster.

use alloc::collections::VecDeque;

/// The two types of portions in a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PortionKind {
    Gap,
    Cluster,
}

/// The next part of a space that is decided. It starts where the last portion ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Portion {
    pub(super) kind: PortionKind,
    pub(super) end: u64,
    /// Whether the gap or cluster ends at `end`. Then the other type follows.
    pub(super) last: bool,
}

/// Receives the marks of one space in the order of their starts.
#[derive(Debug, Clone)]
pub(super) struct Clusters {
    join: u64,
    /// Current end of the open cluster.
    cluster: Option<u64>,
    decided: VecDeque<Portion>,
}

impl Clusters {
    pub(super) fn new(start: u64, join: u32) -> Self {
        Self {
            join: u64::from(join),
            cluster: Some(start),
            decided: VecDeque::new(),
        }
    }

    /// Adds a mark. It must not start before the offset last passed to [`Self::advance_to`].
    pub(super) fn mark(&mut self, start: u64, end: u64) {
        self.advance_to(start);
        match &mut self.cluster {
            Some(open) => {
                *open = end.max(*open);
                let end = *open;
                self.decide(PortionKind::Cluster, end, false);
            }
            None => {
                self.decide(PortionKind::Gap, start, true);
                self.cluster = Some(end);
                self.decide(PortionKind::Cluster, end, false);
            }
        }
    }

    /// Promises that no further mark starts before `upto`.
    pub(super) fn advance_to(&mut self, upto: u64) {
        if let Some(open) = self.cluster
            && upto > open.saturating_add(self.join)
        {
            self.finish();
        }
        if self.cluster.is_none() {
            self.decide(PortionKind::Gap, upto, false);
        }
    }

    /// Ends the open cluster: no further mark is near it.
    pub(super) fn finish(&mut self) {
        if let Some(open) = self.cluster.take() {
            self.decide(PortionKind::Cluster, open, true);
        }
    }

    /// Returns the next decided portion, once.
    pub(super) fn next(&mut self) -> Option<Portion> {
        self.decided.pop_front()
    }

    fn decide(&mut self, kind: PortionKind, end: u64, last: bool) {
        self.decided.push_back(Portion { kind, end, last });
    }
}
