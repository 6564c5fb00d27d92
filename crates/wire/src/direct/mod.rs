//! The data path without a value tree: `PutRecord`, `PutRecords`, `GetRecords` by hand, in JSON and CBOR, and the events of
//! `SubscribeToShard`.
//!
//! A request borrows from its body: `put_records::decode(body, format)` and `put_record::decode(body, format)` give the
//! types below after the same type and constraint checks, with the same error texts, as the interpreter does for the
//! other operations. Answers go from what the log holds straight into the body: `put_records::encode`,
//! `put_record::encode`, `get_records::encode` and, a frame of an event stream at a time, `subscribe_to_shard::encode`.

mod draft;
mod from_cbor;
mod from_json;
pub mod get_records;
pub mod put_record;
pub mod put_records;
mod records;
pub mod subscribe_to_shard;
#[cfg(test)]
mod tests;
mod writer;

use std::borrow::Cow;

use millstream_env::Timestamp;
use millstream_types::{Payload, SequenceNumber, ShardId};

use crate::kinesis::EncryptionType;

/// The two forms of a Kinesis body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `application/x-amz-json-1.1`
    Json,
    /// `application/x-amz-cbor-1.1`
    Cbor,
}

/// A `PutRecords` request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutRecords<'a> {
    pub stream_name: Option<Cow<'a, str>>,
    pub stream_arn: Option<Cow<'a, str>>,
    /// Reserved by the service; has no meaning yet.
    pub stream_id: Option<Cow<'a, str>>,
    /// 1 to 500 entries.
    pub entries: Vec<PutEntry<'a>>,
}

/// A `PutRecord` request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutRecord<'a> {
    pub stream_name: Option<Cow<'a, str>>,
    pub stream_arn: Option<Cow<'a, str>>,
    /// Reserved by the service; has no meaning yet.
    pub stream_id: Option<Cow<'a, str>>,
    pub entry: PutEntry<'a>,
    /// Decimal digits without leading zeros.
    pub sequence_number_for_ordering: Option<Cow<'a, str>>,
}

/// One record to put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutEntry<'a> {
    /// Checked: it decodes to `data_length` bytes.
    pub data: Payload<'a>,
    /// The decoded length, at most the model's 10 MiB.
    pub data_length: usize,
    /// 1 to 256 characters.
    pub partition_key: Cow<'a, str>,
    /// Up to 39 decimal digits without leading zeros; may lie beyond 2^128 - 1.
    pub explicit_hash_key: Option<Cow<'a, str>>,
}

/// What became of one entry of a `PutRecords` request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutResult {
    Stored {
        shard_id: ShardId,
        sequence_number: SequenceNumber,
    },
    Failed {
        /// `ProvisionedThroughputExceededException` or `InternalFailure`.
        error_code: &'static str,
        error_message: String,
    },
}

/// A record in a `GetRecords` answer or a `SubscribeToShard` event.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    pub sequence_number: SequenceNumber,
    pub approximate_arrival_timestamp: Timestamp,
    pub data: &'a [u8],
    pub partition_key: &'a str,
    /// `None` for unencrypted streams, where the member is left out.
    pub encryption_type: Option<EncryptionType>,
}
