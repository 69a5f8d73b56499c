//! HTTP, both ways: the server loop, bodies and ranges, and the client that drives the fetch engine.

pub mod client;
pub mod html;
pub mod range;
pub mod server;
