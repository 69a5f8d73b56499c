//! The interplanar program.
fn main() {}
