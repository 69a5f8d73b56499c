//! kubo
