//! A cache without a server: clients install from the snapshot that `publish --snapshot` left on
//! IPFS.

mod common;
mod files;
mod install;
mod kept;
mod records;
