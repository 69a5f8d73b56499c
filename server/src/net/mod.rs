//! HTTP server and client: the server loop, bodies, and the driver of the fetch engine.

pub mod client;
pub mod server;
