//! Event source mappings: control plane, the pure shard machine, its driver.
//!
//! - [`event`]: the JSON a function receives for a batch of records.
//! - [`machine`]: what happens to the records of one shard, as a state machine without I/O.
//! - [`result`]: the texts of `LastProcessingResult`, all in one place.
//! - [`topology`]: which shards of a stream may be worked on: parents before children.

pub mod event;
pub mod machine;
pub mod result;
#[cfg(test)]
mod simulation;
pub mod topology;
