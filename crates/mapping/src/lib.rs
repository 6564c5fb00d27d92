//! Event source mappings: control plane, the pure shard machine, its driver.
//!
//! [`Mappings`] is the handle with one function for each operation; [`Service`] runs the mappings. An operation only
//! writes a mapping's record into the catalog; the service sees it there and does the rest, so an operation can be
//! served by one process and carried out by another.
//!
//! - [`event`]: the JSON a function receives for a batch of records.
//! - [`filter`]: the patterns that decide which records reach the function.
//! - [`machine`]: what happens to the records of one shard, as a state machine without I/O.
//! - `driver`: carries the machine's commands out; keeps positions, follows shards, watches permissions.
//! - `operations`: what the API's operations do.
//! - [`contract`]: what mappings need from streams, functions and identities, and `adapters` to the real ones.
//! - [`operator`]: what operators see and do, and AWS has no call for.
//! - `record`, `store`, `failed`: what is kept in the catalog. `failure_record`: what destinations get.
//! - [`result`]: the texts of `LastProcessingResult`, all in one place.
//! - [`topology`]: which shards of a stream may be worked on: parents before children.

mod adapters;
pub mod contract;
mod dates;
mod driver;
pub mod event;
mod failed;
mod failure_record;
pub mod filter;
pub mod machine;
mod mappings;
mod names;
mod operations;
pub mod operator;
mod record;
pub mod result;
#[cfg(test)]
mod simulation;
mod store;
#[cfg(test)]
mod testing;
pub mod topology;

pub use driver::Service;
pub use mappings::{Mappings, Parts};
pub use record::{DeliveryState, FailedRecord};
