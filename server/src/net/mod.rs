//! HTTP, both ways: the server loop, bodies, and the client that drives the fetch engine.

pub mod client;
pub mod server;
