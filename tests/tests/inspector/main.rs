//! The cache inspector in a real Chromium, as `interplanar publish` serves it. The scenarios are in
//! tests/web/inspector.

mod compare;
mod files;
mod keys;
mod large;
mod loads;
mod look;
mod open;
mod references;
mod served;
mod setup;
mod sources;
mod trees;
