//! The library of the `interplanar` program: `publish`, `proxy`, `substitute` and the other
//! commands.

mod atomic;
pub mod bake;
pub mod blocks;
pub mod cli;
pub mod decode;
pub mod demo;
pub mod gateway;
pub mod get;
pub mod inspect;
pub mod installed;
pub mod kubo;
pub mod nar_dump;
pub mod nar_restore;
pub mod net;
pub mod printable;
pub mod proxy;
pub mod publish;
pub mod settings;
pub mod store;
pub mod substitute;
mod system_error;
pub mod task;
mod unix_time;
