//! What the Kinesis operations do, without HTTP.
//!
//! [`Streams`] is the only way in: a cheap handle with one function for each operation. It stands between the catalog,
//! which holds what a stream *is* (a header and pages of 256 shards), and the record log, which holds what is *in* it.
//!
//! - [`Stream`] and [`Shard`]: a stream as it was when it was looked up; also what event source mappings read.
//! - `model`: the stored form of streams, versioned.
//! - `registry`: streams in memory, so that a put reads no catalog; kept fresh by the catalog's changes.
//! - `lifecycle`: the steps that span several keys and shards. The intent to take them stands in the stream's header,
//!   so that whatever was interrupted is finished at the next start.
//! - `reshard`: what replaces which shards, and the rounds in which it happens.
//! - `traffic`: counters of each shard, AWS's limits of shards and calls, and on-demand streams that scale by their load.
//! - `keys`: what encrypted streams are encrypted with; the log is wrapped so that everybody else sees data as it was put.
//! - `iterator`, `signer`: shard iterators and page tokens carry all they need, are signed, and survive a restart.
//! - `consumers`, `subscriptions`: enhanced fan-out: who has subscribed, and what is pushed to him.
//! - `operations`: one file for each operation or closely related group.
//!
//! Not here: HTTP, and authorization but for what a stream's own state decides.

mod consumers;
mod errors;
mod iterator;
mod keys;
mod lifecycle;
mod model;
mod names;
mod operations;
mod registry;
mod reshard;
mod service;
mod signer;
mod stream;
mod subscriptions;
#[cfg(test)]
mod tests;
mod traffic;

pub use consumers::{ConsumerArn, ConsumerTarget};
pub use keys::MasterKeys;
pub use millstream_log::Record;
pub use names::{StreamName, StreamTarget};
pub use operations::get_records::RecordsPage;
pub use operations::monitoring::ShardMetric;
pub use operations::put::{PutRecordsReply, StoredRecord};
pub use registry::{StreamWatch, stream_numbers};
pub use service::{OpenError, Options, Parts, Streams};
pub use stream::{Shard, Stream, StreamState};
pub use subscriptions::{Subscription, SubscriptionEvent};
