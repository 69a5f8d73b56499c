//! `interplanar get`
