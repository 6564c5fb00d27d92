//! What each stage of a record's way costs, in CPU time and allocations, against a stored baseline.
//!
//! `cargo xtask bench` measures: the same 500 records of 1 KiB go through every stage alone (receive and hash, signature
//! and policies, parse, route, reserve and fill, commit, encode) and through all of them as one request. `--guard` is the
//! stage of `cargo xtask test`: a short load, and two bounds that a noisy machine keeps. Never wall time.
//!
//! - [`services`]: the server's services over a log, without sockets and processes. [`load`]: requests, built and signed.
//! - [`put`], [`get`]: the stages of writing and of reading.
//! - [`record`]: what was spent; [`baseline`]: what was spent when it was stored; [`guard`]: the bounds.
//! - `tests/allocations.rs`: what a record may allocate on its way in. That is exact, and an ordinary test.

pub mod baseline;
pub mod get;
pub mod guard;
pub mod load;
pub mod put;
pub mod record;
pub mod services;
