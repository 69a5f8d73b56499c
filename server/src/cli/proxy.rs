//! `interplanar proxy`
