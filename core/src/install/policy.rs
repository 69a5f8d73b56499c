//! How several upstreams make one answer, and how long it holds.
//!
//! All are asked at once. The answer of the first in order wins; one further back is taken when those before it don't answer
//! within [`PATIENCE`] of it. A narinfo that isn't believed is as good as none.

use super::Known;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

/// How long an answer waits for those of upstreams that are preferred.
pub const PATIENCE: Duration = Duration::from_millis(500);
/// How long a narinfo is believed whose upstream doesn't say: those of store items hardly ever change.
pub const FOUND_TTL: Duration = Duration::from_secs(3600);
/// How long an absence is believed whose upstream doesn't say.
pub const ABSENT_TTL: Duration = Duration::from_secs(30);
/// How long an absence is believed when some upstream couldn't be asked.
const UNSURE_TTL: Duration = Duration::from_secs(5);
/// Longest time that an upstream can ask for.
pub const MAX_TTL: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a source that was wrong is left alone. What a CID stands for never changes.
pub const BAD_FOR: Duration = Duration::from_secs(24 * 3600);
/// The same for a place over HTTP, which may be mended.
pub const BAD_HTTP_FOR: Duration = Duration::from_secs(600);

/// What one upstream says of a store item.
#[derive(Debug, Clone)]
pub enum Said {
    /// It has it; and how long that holds.
    Found(Arc<Known>, Duration),
    /// It hasn't, or nothing that is believed.
    Absent(Duration),
    /// It can't be asked.
    Failed,
}

impl Said {
    /// A narinfo, with the time that its upstream gives it.
    #[must_use]
    pub fn found(known: Known, fresh_for: Option<Duration>) -> Self {
        Self::Found(Arc::new(known), fresh_for.unwrap_or(FOUND_TTL).min(MAX_TTL))
    }

    /// None, with the time that the upstream gives this.
    #[must_use]
    pub fn absent(fresh_for: Option<Duration>) -> Self {
        Self::Absent(fresh_for.unwrap_or(ABSENT_TTL).min(MAX_TTL))
    }

    /// Whether it is [`Said::Found`].
    #[must_use]
    pub fn is_found(&self) -> bool {
        matches!(self, Self::Found(..))
    }
}

/// What the upstreams together say of a store item.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It is there.
    Found(Arc<Known>),
    /// At least one answered, and none has it.
    Absent,
    /// None could be asked.
    Unreachable,
}

/// The store directory in an upstream's `nix-cache-info`.
#[must_use]
pub fn store_dir(cache_info: &[u8]) -> Option<&str> {
    let text = core::str::from_utf8(cache_info).ok()?;
    let told = text
        .lines()
        .find_map(|line| line.strip_prefix("StoreDir:"))?;
    Some(told.trim()).filter(|directory| directory.starts_with('/'))
}

/// Whether the answers so far, in the order of the upstreams, decide: nobody before the best one is still being asked.
#[must_use]
pub fn is_settled(said: &[Option<Said>]) -> bool {
    let answered = said.iter().map_while(Option::as_ref);
    answered.into_iter().any(Said::is_found)
}

/// One answer from those of the upstreams, in their order, with the time that it may be kept.
#[must_use]
pub fn summary(said: Vec<Option<Said>>) -> (Answer, Duration) {
    let mut absent: Option<Duration> = None;
    let mut failed = false;
    for one in said {
        match one {
            Some(Said::Found(known, ttl)) => return (Answer::Found(known), ttl),
            Some(Said::Absent(ttl)) => absent = Some(absent.map_or(ttl, |other| ttl.min(other))),
            Some(Said::Failed) | None => failed = true,
        }
    }
    match (absent, failed) {
        (Some(ttl), false) => (Answer::Absent, ttl),
        (Some(ttl), true) => (Answer::Absent, ttl.min(UNSURE_TTL)),
        (None, _) => (Answer::Unreachable, Duration::ZERO),
    }
}
