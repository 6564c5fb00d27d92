//! The record log: where the records of all shards live, durably and in order.
//!
//! [`ShardLog`] is the contract; every form of it runs the same conformance suite. Engines know only shard keys,
//! positions and arrival times: sequence numbers, hash ranges, states and limits are made above.

mod contract;

pub use contract::*;
