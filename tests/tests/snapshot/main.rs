//! A cache without a server: what `publish --snapshot` leaves on IPFS is a substitute server, whoever runs or doesn't.

mod common;
mod files;
mod install;
mod kept;
mod records;
