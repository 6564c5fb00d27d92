//! The record log: where the records of all shards live, durably and in order.
//!
//! [`ShardLog`] is the contract; every form of it runs the same `conformance` suite. Engines know only shard keys,
//! positions and arrival times: sequence numbers, hash ranges, states and limits are made above.
//!
//! - [`contract`]: what every form promises.
//! - [`memory`]: everything in memory, for `--ephemeral` and for tests.
//! - [`disk`]: the embedded log: one shared, segmented log with group commit.
//! - [`encryption`]: around any of them: what is stored is encrypted, what is read is not.
//! - `conformance`: the suite, as a macro over a way to make a log.

mod admission;
pub mod contract;
pub mod disk;
pub mod encryption;
pub mod memory;
mod sync;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

pub use contract::*;
pub use disk::DiskLog;
pub use encryption::EncryptedLog;
pub use memory::MemoryLog;
