//! What changes in a rebuild is kept apart from what doesn't: marks that are near each other form clusters, with gaps between them.
//!
//! ```text
//! space    := [cluster] *( gap cluster ) [gap]        a large file, or all that stands between two of them
//! cluster  := mark *( at most join bytes, mark )
//! mark     := a reference, an ELF's head or section table, an entry that holds references, an end of the space
//! ```
//! An end of the space is an empty mark, so that no splinter is left between it and a cluster.

use alloc::collections::VecDeque;

/// What a part of a space is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gap,
    Cluster,
}

/// What is decided next, from the last portion's end on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Portion {
    pub(super) kind: Kind,
    pub(super) end: u64,
    /// The gap or cluster ends there; the other kind follows.
    pub(super) last: bool,
}

/// Takes the marks of one space in the order of their starts.
#[derive(Debug, Clone)]
pub(super) struct Clusters {
    join: u64,
    /// Where the open cluster ends for now.
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

    /// A mark that starts where, or after, [`Self::clean`] was told.
    pub(super) fn mark(&mut self, start: u64, end: u64) {
        self.clean(start);
        match &mut self.cluster {
            Some(open) => {
                *open = end.max(*open);
                let end = *open;
                self.decide(Kind::Cluster, end, false);
            }
            None => {
                self.decide(Kind::Gap, start, true);
                self.cluster = Some(end);
                self.decide(Kind::Cluster, end, false);
            }
        }
    }

    /// No further mark starts before `upto`.
    pub(super) fn clean(&mut self, upto: u64) {
        if let Some(open) = self.cluster
            && upto > open.saturating_add(self.join)
        {
            self.finish();
        }
        if self.cluster.is_none() {
            self.decide(Kind::Gap, upto, false);
        }
    }

    /// No mark is near the open cluster any more.
    pub(super) fn finish(&mut self) {
        if let Some(open) = self.cluster.take() {
            self.decide(Kind::Cluster, open, true);
        }
    }

    /// The next part that is decided, once.
    pub(super) fn next(&mut self) -> Option<Portion> {
        self.decided.pop_front()
    }

    fn decide(&mut self, kind: Kind, end: u64, last: bool) {
        self.decided.push_back(Portion { kind, end, last });
    }
}
