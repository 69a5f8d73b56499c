//! Tests sources with databases of the daemons' schemas, real binary caches and known content
//! addresses.

mod cache;
pub(crate) mod fixture;
mod registered;
mod trees;
