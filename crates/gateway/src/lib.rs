//! From bytes on a socket to a call of a service, and back.
//!
//! - [`listener`]: HTTP/1.1 and HTTP/2 on one port, with a bound on everything a peer can make it hold.
//! - [`origin`]: keeps web pages out. `identify`: which service a request is for.
//! - [`body`]: receives a body within its limit, its time and the budget of all.
//! - `pipeline`: [`Gateway`], the way of a request through one of the protocols.
//! - `operation` and `routes`: the operations of all services as tables: what each needs to be allowed, and its call.
//! - `metrics`: what is counted.
//!
//! It does not know how a service does its work, and keeps no state of its own beyond counters.

mod answer;
mod authenticate;
pub mod body;
mod identify;
pub mod listener;
mod metrics;
mod operation;
pub mod origin;
mod pipeline;
mod routes;
mod services;
#[cfg(test)]
mod testing;

pub use metrics::{Figure, Metrics};
pub use pipeline::{Gateway, Health, Parts};
pub use services::Services;
