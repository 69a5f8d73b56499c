//! `interplanar publish`
