//! Decides from the end of a source which source was wrong, and whether to try another.

use super::Source;
use super::checker::{Fault, Stop};
use alloc::vec;
use alloc::vec::Vec;

/// How one source ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt<E> {
    /// The NAR is complete and right.
    Complete,
    /// The source stopped before its end.
    Interrupted,
    /// The source can't have the NAR: its blocks are not a file, or it is longer than the NAR can
    /// be. Its bytes didn't reach the checker.
    Unfit,
    /// The checker stopped the source.
    Stopped(Stop<E>),
}

/// What the proxy does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Complete the response.
    Complete,
    /// Try the next source.
    Another,
    /// End the response incomplete: no other source can repair it.
    GiveUp,
}

/// The sources of one response, tried one after another.
#[derive(Debug, Default)]
pub struct Trial {
    /// Sources whose bytes were sent to the client.
    contributors: Vec<Source>,
}

impl Trial {
    /// Judges a source by how it ended. `contributed` tells whether bytes of it were sent to the
    /// client. Also returns the sources that are wrong for this NAR.
    pub fn judge<E>(
        &mut self,
        source: Source,
        contributed: bool,
        attempt: &Attempt<E>,
    ) -> (Next, Vec<Source>) {
        let judged = match attempt {
            Attempt::Complete => (Next::Complete, Vec::new()),
            // No source is to blame for a malformed NAR that was signed, and none can repair it.
            Attempt::Stopped(Stop::Gone | Stop::Malformed(_)) => (Next::GiveUp, Vec::new()),
            // This source is right, so those before it were not.
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
            Attempt::Unfit => (Next::Another, vec![source.clone()]),
        };
        if contributed {
            self.contributors.push(source);
        }
        judged
    }
}
