//! `interplanar substitute`
