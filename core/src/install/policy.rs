//! How the answers of several upstreams become one answer, and how long it is cached.
//!
//! The proxy asks all upstreams at the same time. The first upstream in order that has the item
//! wins. A later one is used if those before it don't answer within [`PATIENCE`] of it. A narinfo
//! that is not signed by a trusted key counts as absent.

use super::Known;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

/// How long an answer waits for the answers of preferred upstreams.
pub const PATIENCE: Duration = Duration::from_millis(500);
/// How long a narinfo is cached if its upstream gives no lifetime. Narinfos of store items rarely
/// change.
pub const FOUND_TTL: Duration = Duration::from_secs(3600);
/// How long an absence is cached if the upstream gives no lifetime.
pub const ABSENT_TTL: Duration = Duration::from_secs(30);
/// How long an absence is cached if some upstream failed.
const UNCERTAIN_TTL: Duration = Duration::from_secs(5);
/// Longest lifetime that an upstream can set.
pub const MAX_TTL: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a source with wrong bytes is not asked again. The content of a CID never changes.
pub const BAD_FOR: Duration = Duration::from_secs(24 * 3600);
/// The same for an HTTP source, whose content may be repaired.
pub const BAD_HTTP_FOR: Duration = Duration::from_secs(600);

/// Answer of one upstream about a store item.
#[derive(Debug, Clone)]
pub enum Said {
    /// The upstream has the item. The duration is the lifetime of this answer.
    Found(Arc<Known>, Duration),
    /// The upstream doesn't have the item, or its narinfo was rejected.
    Absent(Duration),
    /// The upstream did not answer, or answered with an error.
    Failed,
}

impl Said {
    /// Makes the answer for a narinfo, with the lifetime that the upstream gave it.
    #[must_use]
    pub fn found(known: Known, fresh_for: Option<Duration>) -> Self {
        Self::Found(Arc::new(known), fresh_for.unwrap_or(FOUND_TTL).min(MAX_TTL))
    }

    /// Makes the answer for an absent item, with the lifetime that the upstream gave it.
    #[must_use]
    pub fn absent(fresh_for: Option<Duration>) -> Self {
        Self::Absent(fresh_for.unwrap_or(ABSENT_TTL).min(MAX_TTL))
    }

    /// Whether this is [`Said::Found`].
    #[must_use]
    pub fn is_found(&self) -> bool {
        matches!(self, Self::Found(..))
    }
}

/// Answer of all upstreams together about a store item.
#[derive(Debug, Clone)]
pub enum Answer {
    /// An upstream has the item.
    Found(Arc<Known>),
    /// At least one upstream answered, and none has the item.
    Absent,
    /// No upstream answered.
    Unreachable,
}

/// Returns the store directory from an upstream's `nix-cache-info`.
#[must_use]
pub fn store_dir(cache_info: &[u8]) -> Option<&str> {
    let text = core::str::from_utf8(cache_info).ok()?;
    let directory = text
        .lines()
        .find_map(|line| line.strip_prefix("StoreDir:"))?;
    Some(directory.trim()).filter(|directory| directory.starts_with('/'))
}

/// Whether the answers so far, in the order of the upstreams, decide. They decide once an
/// upstream has the item and all upstreams before it have answered.
#[must_use]
pub fn is_settled(answers: &[Option<Said>]) -> bool {
    let answered = answers.iter().map_while(Option::as_ref);
    answered.into_iter().any(Said::is_found)
}

/// Combines the answers of the upstreams, in their order. Also returns how long the result may be
/// cached.
#[must_use]
pub fn summary(answers: Vec<Option<Said>>) -> (Answer, Duration) {
    let mut absent: Option<Duration> = None;
    let mut failed = false;
    for answer in answers {
        match answer {
            Some(Said::Found(known, ttl)) => return (Answer::Found(known), ttl),
            Some(Said::Absent(ttl)) => absent = Some(absent.map_or(ttl, |other| ttl.min(other))),
            Some(Said::Failed) | None => failed = true,
        }
    }
    match (absent, failed) {
        (Some(ttl), false) => (Answer::Absent, ttl),
        (Some(ttl), true) => (Answer::Absent, ttl.min(UNCERTAIN_TTL)),
        (None, _) => (Answer::Unreachable, Duration::ZERO),
    }
}
