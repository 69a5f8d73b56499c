//! substitute
