//! The native parts.
