//! Requests as read: members may still be absent, constraints are not checked.
//!
//! The checks here answer yes or no and cost no allocation. When the answer is no, the draft becomes a value tree and the
//! interpreter finds the words, so there is one source of error texts.

use std::borrow::Cow;

use bytes::Bytes;
use millstream_types::Payload;
use millstream_types::limits::PUT_RECORDS_COUNT_MAX;

use super::{PutEntry, PutRecord, PutRecords};
use crate::constraints::{characters, violations};
use crate::error::{ApiError, CommonError};
use crate::kinesis;
use crate::limits::DecodeError;
use crate::operation::{Operation, OperationShape};
use crate::value::Value;

pub(super) type Text<'a> = Option<Cow<'a, str>>;

/// The members that the two operations share, and their own.
#[derive(Debug, Default)]
pub(super) struct Draft<'a> {
    pub(super) stream_name: Text<'a>,
    pub(super) stream_arn: Text<'a>,
    pub(super) stream_id: Text<'a>,
    /// `PutRecord` only.
    pub(super) entry: EntryDraft<'a>,
    /// `PutRecord` only.
    pub(super) sequence_number_for_ordering: Text<'a>,
    /// `PutRecords` only. An entry that is null is `None`.
    pub(super) entries: Option<Vec<Option<EntryDraft<'a>>>>,
}

#[derive(Debug, Default)]
pub(super) struct EntryDraft<'a> {
    pub(super) data: Option<Data<'a>>,
    pub(super) partition_key: Text<'a>,
    pub(super) explicit_hash_key: Text<'a>,
}

/// Checked base64, or bytes, with the decoded length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data<'a> {
    pub(super) payload: Payload<'a>,
    pub(super) length: usize,
}

/// Longest data of a record (Kinesis model).
const DATA_BYTES_MAX: usize = 10_485_760;
/// Longest stream name and shard id, partition key, ARN and stream id (Kinesis model), in UTF-16 units.
const STREAM_NAME_MAX: usize = 128;
const PARTITION_KEY_MAX: usize = 256;
const STREAM_ARN_MAX: usize = 2048;
/// A hash key and a sequence number: `0`, or a first digit and up to so many more.
const HASH_KEY_DIGITS_MAX: usize = 39;
const SEQUENCE_NUMBER_DIGITS_MAX: usize = 129;

impl<'a> Draft<'a> {
    pub(super) fn into_put_records(self) -> Result<PutRecords<'a>, ApiError> {
        match self.entries {
            Some(ref entries) if self.stream_is_valid() && entries_are_valid(entries) => {}
            _ => return Err(refused::<kinesis::op::PutRecords>(&self.put_records_value())),
        }
        let entries = self.entries.into_iter().flatten().flatten().filter_map(EntryDraft::into_entry).collect();
        Ok(PutRecords {
            stream_name: self.stream_name,
            stream_arn: self.stream_arn,
            stream_id: self.stream_id,
            entries,
        })
    }

    pub(super) fn into_put_record(self) -> Result<PutRecord<'a>, ApiError> {
        let valid = self.stream_is_valid()
            && self.entry.is_valid()
            && is_decimal(&self.sequence_number_for_ordering, SEQUENCE_NUMBER_DIGITS_MAX);
        if !valid {
            return Err(refused::<kinesis::op::PutRecord>(&self.put_record_value()));
        }
        Ok(PutRecord {
            stream_name: self.stream_name,
            stream_arn: self.stream_arn,
            stream_id: self.stream_id,
            entry: self.entry.into_entry().expect("a valid entry has its required members"),
            sequence_number_for_ordering: self.sequence_number_for_ordering,
        })
    }

    fn stream_is_valid(&self) -> bool {
        let name = self.stream_name.as_deref().is_none_or(|name| {
            (1..=STREAM_NAME_MAX).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        });
        // The rarer two are left to the tables.
        let matches = |member: &str, text: &Text<'_>| {
            text.as_ref().is_none_or(|text| {
                let value = Value::String(text.clone().into_owned());
                let shape = member_shape::<kinesis::op::PutRecords>(member);
                text.len() <= STREAM_ARN_MAX * 4 && violations(&kinesis::SERVICE, shape, &value).is_none()
            })
        };
        name && matches("StreamARN", &self.stream_arn) && matches("StreamId", &self.stream_id)
    }

    fn put_records_value(&self) -> Value {
        let entry = |entry: &Option<EntryDraft<'_>>| entry.as_ref().map_or(Value::Null, EntryDraft::to_value);
        let entries = self.entries.as_ref().map(|entries| Value::List(entries.iter().map(entry).collect()));
        structure(
            kinesis::op::PutRecords::shape(),
            [
                ("Records", entries),
                ("StreamARN", text(&self.stream_arn)),
                ("StreamId", text(&self.stream_id)),
                ("StreamName", text(&self.stream_name)),
            ],
        )
    }

    fn put_record_value(&self) -> Value {
        structure(
            kinesis::op::PutRecord::shape(),
            [
                ("Data", self.entry.data.map(Data::to_value)),
                ("ExplicitHashKey", text(&self.entry.explicit_hash_key)),
                ("PartitionKey", text(&self.entry.partition_key)),
                ("SequenceNumberForOrdering", text(&self.sequence_number_for_ordering)),
                ("StreamARN", text(&self.stream_arn)),
                ("StreamId", text(&self.stream_id)),
                ("StreamName", text(&self.stream_name)),
            ],
        )
    }
}

fn entries_are_valid(entries: &[Option<EntryDraft<'_>>]) -> bool {
    (1..=PUT_RECORDS_COUNT_MAX).contains(&entries.len())
        && entries.iter().all(|entry| entry.as_ref().is_some_and(EntryDraft::is_valid))
}

impl<'a> EntryDraft<'a> {
    fn is_valid(&self) -> bool {
        let key_fits =
            |key: &str| !key.is_empty() && (key.len() <= PARTITION_KEY_MAX || characters(key) <= PARTITION_KEY_MAX);
        self.data.is_some_and(|data| data.length <= DATA_BYTES_MAX)
            && self.partition_key.as_deref().is_some_and(key_fits)
            && is_decimal(&self.explicit_hash_key, HASH_KEY_DIGITS_MAX)
    }

    fn into_entry(self) -> Option<PutEntry<'a>> {
        let Data { payload, length } = self.data?;
        Some(PutEntry {
            data: payload,
            data_length: length,
            partition_key: self.partition_key?,
            explicit_hash_key: self.explicit_hash_key,
        })
    }

    fn to_value(&self) -> Value {
        // The members of PutRecordsRequestEntry, in the order of its table.
        let data = self.data.map(Data::to_value);
        Value::Structure(vec![data, text(&self.explicit_hash_key), text(&self.partition_key)])
    }
}

impl Data<'_> {
    /// Error texts show no data, only whether its length fits.
    fn to_value(self) -> Value {
        Value::Blob(Bytes::from(vec![0; self.length.min(DATA_BYTES_MAX + 1)]))
    }
}

/// Absent, or `0`, or digits without a leading zero.
fn is_decimal(text: &Text<'_>, digits_max: usize) -> bool {
    text.as_deref().is_none_or(|text| {
        text == "0"
            || (1..=digits_max).contains(&text.len())
                && !text.starts_with('0')
                && text.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn text(text: &Text<'_>) -> Option<Value> {
    text.as_ref().map(|text| Value::String(text.clone().into_owned()))
}

fn member_shape<O: Operation>(name: &str) -> &'static crate::shape::Shape {
    let members = O::shape().input.members();
    members.iter().find(|member| member.name == name).expect("the model has this member").shape
}

/// A structure of the operation's input from its members by name.
fn structure<const N: usize>(operation: &OperationShape, members: [(&str, Option<Value>); N]) -> Value {
    let shape = operation.input.members();
    let mut values = vec![None; shape.len()];
    for (name, value) in members {
        let place = shape.iter().position(|member| member.name == name).expect("the model has this member");
        values[place] = value;
    }
    Value::Structure(values)
}

/// The error of a draft that broke a constraint, in the interpreter's words.
fn refused<O: Operation>(value: &Value) -> ApiError {
    let text = violations(&kinesis::SERVICE, O::shape().input, value);
    CommonError::Validation(text.expect("the checks here and the tables agree, as a property test shows")).into()
}

/// A type error is told only of a body that is well-formed as a whole.
pub(super) fn failed(error: DecodeError, is_well_formed: impl FnOnce() -> bool) -> ApiError {
    match error {
        DecodeError::Type(_) if !is_well_formed() => CommonError::Malformed.into(),
        error => CommonError::from(error).into(),
    }
}
