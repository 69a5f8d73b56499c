//! What follows from how a source ended: who was wrong, and whether to ask another.

use super::Source;
use super::checker::{Fault, Stop};
use alloc::vec;
use alloc::vec::Vec;

/// How one source ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt<E> {
    /// What has left is complete and right.
    Complete,
    /// The source stopped in the middle.
    Interrupted,
    /// As the checker says.
    Stopped(Stop<E>),
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Complete the answer.
    Complete,
    /// Try the next source.
    Another,
    /// End the answer, incomplete: no source can mend it.
    GiveUp,
}

/// The sources of one answer, one after another.
#[derive(Debug, Default)]
pub struct Trial {
    /// Whose bytes have left.
    contributors: Vec<Source>,
}

impl Trial {
    /// Judges a source by its end; `contributed` says whether bytes of it have left. With those sources that are wrong for this NAR.
    pub fn judge<E>(
        &mut self,
        source: Source,
        contributed: bool,
        attempt: &Attempt<E>,
    ) -> (Next, Vec<Source>) {
        let judged = match attempt {
            Attempt::Complete => (Next::Complete, Vec::new()),
            Attempt::Stopped(Stop::Gone) => (Next::GiveUp, Vec::new()),
            // This one is right, so those before it were not.
            Attempt::Stopped(Stop::TooLate) => {
                return (Next::GiveUp, core::mem::take(&mut self.contributors));
            }
            Attempt::Stopped(Stop::Wrong(fault)) => {
                let sent_wrong = contributed && matches!(fault, Fault::Hash { .. });
                let next = if sent_wrong {
                    Next::GiveUp
                } else {
                    Next::Another
                };
                (next, vec![source.clone()])
            }
            Attempt::Interrupted => (Next::Another, Vec::new()),
        };
        if contributed {
            self.contributors.push(source);
        }
        judged
    }
}
