//! Whom the worker may ask.

use interplanar_core::install::{host, is_private};

/// Whether a URL of http or https may be asked; `allow_private` lets it reach hosts that are not public.
pub(crate) fn may_ask(url: &str, allow_private: bool) -> bool {
    host(url).is_some_and(|host| allow_private || !is_private(&host))
}
