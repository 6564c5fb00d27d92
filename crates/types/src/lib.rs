//! Identifiers, ARNs, sequence numbers, hash keys and limits, parsed at the border and valid everywhere behind it.
//!
//! - [`arn`]: ARNs, accounts, regions and the names of streams, functions and roles.
//! - [`aggregation`]: records that hold records, as the Kinesis Producer Library makes them.
//! - [`hash_key`]: the 128-bit hash key space of a stream.
//! - [`sequence_number`]: the recorded 56-digit layout.
//! - [`payload`]: the data of a record as it stands in a request.
//! - [`limits`]: the numbers AWS documents, each with its source.

pub mod aggregation;
pub mod arn;
pub mod hash_key;
pub mod limits;
pub mod payload;
pub mod sequence_number;
pub mod shard;

pub use arn::{AccountId, Arn, Region, Scope};
pub use hash_key::{HashKey, HashKeyRange};
pub use millstream_env::Timestamp;
pub use payload::Payload;
pub use sequence_number::SequenceNumber;
pub use shard::{ShardId, ShardIndex};
