//! Interplanar's core for JavaScript runtimes: browsers, service workers, workerd and Node.
//!
//! [`driver`] is for Rust: what fetches over the runtime's own `fetch`.

pub mod driver;
