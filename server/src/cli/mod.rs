//! The command line.

pub mod get;
pub mod import;
pub mod proxy;
pub mod publish;
pub mod run;
pub mod substitute;
