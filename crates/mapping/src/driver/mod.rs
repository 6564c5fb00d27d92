//! Carries the machine's commands out: tasks, reads, invocations, kept positions.
//!
//! ```text
//!   catalog watch --> Service --signals--> Coordinator (one per mapping) --orders--> shard worker (one per shard)
//!                                                 ^------------ reports -----------------'     |
//!                                                                                              v
//!                                         catalog <--- at most 100 ms late --- Positions <-- checkpoints
//! ```
//!
//! - [`service`]: starts a coordinator for every mapping in the catalog and tells it what may concern it.
//! - [`coordinator`]: carries a mapping from state to state and follows its stream's shards.
//! - [`worker`]: the machine of one shard between log, function and clock.
//! - [`positions`]: checkpoints of all mappings, flushed together.
//! - [`signals`]: what wakes a coordinator.
//! - [`history`]: the last batches of each shard; [`meters`]: what is counted.
//! - [`failures`]: batches that are given up: kept, and brought to a destination.
//! - [`directory`]: where operators reach a shard's worker.
//!
//! Nothing here polls: an idle shard is a task that waits for its tail.

mod coordinator;
pub(crate) mod directory;
mod failures;
pub(crate) mod history;
mod meters;
pub(crate) mod positions;
mod service;
mod signals;
#[cfg(test)]
mod tests;
pub(crate) mod worker;

pub use service::Service;
