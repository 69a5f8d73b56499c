//! `interplanar import`
