//! From bytes on a socket to a call of a service, and back.
//!
//! - [`listener`]: HTTP/1.1 and HTTP/2 on one port, with a bound on everything a peer can make it hold.
//! - [`origin`]: keeps web pages out.
//! - [`body`]: receives a body within its limit, its time and the budget of all.
//!
//! It does not know how a service does its work, and keeps no state of its own beyond counters.

pub mod body;
pub mod listener;
pub mod origin;
