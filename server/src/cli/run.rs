//! `interplanar run`
