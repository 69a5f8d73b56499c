//! The addresses that the worker may contact.

use interplanar_core::install::{host, is_private};

/// Whether the worker may contact this http or https URL. `allow_private` allows private addresses
/// too.
pub(crate) fn may_contact(url: &str, allow_private: bool) -> bool {
    host(url).is_some_and(|host| allow_private || !is_private(&host))
}
