//! Sources against databases with the daemons' schemas, real binary caches and known content addresses.

mod cache;
mod fixture;
mod registered;
mod trees;
