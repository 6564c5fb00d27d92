//! What the Lambda operations do, without HTTP: functions, versions, invocations and the asynchronous queue.
//!
//! - [`Functions`] is the handle: one method per operation (`operations`), and [`Invoke`], the one way to run a function.
//! - `record` and `store`: what the catalog keeps, under which keys. `settings`: from a request to a checked
//!   configuration. `response`: back to AWS's form. `names`: the spellings of a function's name. `runtimes`: identifiers.
//! - `code`: archives as blobs, unpacked once into the run directory, where the runtime finds them.
//! - `asynchronous`: events that were accepted with 202, kept until they succeed or are given up.
//!
//! It does not start processes (that is the runtime's), does not decide who may call (the gateway's), and reads no streams
//! (the mappings'). [`ExecutionRoles`] and [`Executor`] are what it asks of others.

mod asynchronous;
mod code;
mod execution;
mod failure;
mod functions;
mod invoke;
mod invoke_config;
mod layers;
mod measures;
mod names;
mod operations;
mod parts;
mod policy;
mod record;
mod response;
mod runtimes;
mod settings;
mod store;

#[cfg(test)]
mod testing;

pub use functions::{Functions, Options, StartError};
pub use invoke::*;
pub use names::spelled_arn;
pub use operations::{Described, LookupError};
pub use parts::{ExecutionRoles, Executor};
