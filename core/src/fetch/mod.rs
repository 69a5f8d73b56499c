//! signatures first
mod action;
mod engine;
mod fault;
mod gateway;
mod options;
mod pool;

pub use action::{Action, Event, GatewayUse, Origin, RequestId, RequestKind, Summary};
pub use engine::Fetcher;
pub use fault::{Failure, Fault, FetchError};
pub use gateway::{ACCEPT_CAR, ACCEPT_RAW, Gateway, GatewayUrlError, MAX_GATEWAY_URL};
pub use options::{ByteRange, Options};
pub use pool::{GatewayPool, Policy, Report};
