//! The event of a batch: JSON exactly as AWS sends it, key order included (event source mapping reference, section 4).
//!
//! An event is built once for a batch and shared by its retries. Its size is known before it is built, record by record,
//! so that the 6 MB limit can cut a batch without encoding anything.

use std::io::Write;

use base64_simd::STANDARD;
use bytes::Bytes;
use millstream_env::Timestamp;
use millstream_log::{Position, Record};
use millstream_types::limits::INVOKE_PAYLOAD_BYTES_MAX;
use millstream_types::{SequenceNumber, ShardId, sequence_number};

use crate::dates;

/// Largest event: what a synchronous invocation takes.
pub const EVENT_BYTES_MAX: usize = INVOKE_PAYLOAD_BYTES_MAX;

const OPEN: &str = r#"{"Records":["#;
const CLOSE: &str = "]";
const RECORD_OPEN: &str = r#"{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":"#;
const SEQUENCE_NUMBER: &str = r#","sequenceNumber":""#;
const DATA: &str = r#"","data":""#;
const ARRIVAL: &str = r#"","approximateArrivalTimestamp":"#;
/// Of a record that is stored encrypted; others have no such member.
const ENCRYPTION: &str = r#","encryptionType":"KMS""#;
/// Every sequence number has as many: its highest digit in base 16 is the constant 2, so it lies between 4.9 and 7.4
/// times 10^55.
const SEQUENCE_NUMBER_DIGITS: usize = 56;

/// The shard whose records an event carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardIdentity {
    pub id: ShardId,
    /// When the shard was created, seconds since the epoch: a part of its sequence numbers.
    pub created_seconds: u64,
}

impl ShardIdentity {
    /// The sequence number that clients of the stream see for `record`.
    pub fn sequence_number(&self, record: &Record) -> SequenceNumber {
        SequenceNumber::new(sequence_number::Parts {
            shard_created_seconds: self.created_seconds,
            // Numbers count from 1, so that each is greater than the shard's starting number.
            index: record.position.0.saturating_add(1).min(SequenceNumber::MAX_INDEX),
            time_seconds: record.arrival.seconds(),
            shard_index: self.id.0.get(),
        })
    }

    /// Where the record with this sequence number lies; `None` when `number` is none of this shard. Whether the number is
    /// really the record's is not checked: a number says more than the position.
    pub fn position_of(&self, number: &str) -> Option<Position> {
        let parts = number.parse::<SequenceNumber>().ok()?.parts()?;
        let is_its = parts.shard_index == self.id.0.get() && parts.shard_created_seconds == self.created_seconds;
        is_its.then_some(Position(parts.index.checked_sub(1)?))
    }
}

/// Makes the events of one shard for one mapping: holds what is the same in all of its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFormat {
    shard: ShardIdentity,
    /// From the end of what is in `kinesis` to the second sequence number.
    middle: String,
    /// After the second sequence number.
    end: String,
    event_source_arn: String,
}

/// What an event says of its tumbling window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowMembers<'a> {
    pub start: Timestamp,
    pub end: Timestamp,
    /// JSON.
    pub state: &'a str,
    pub is_final: bool,
    pub is_terminated_early: bool,
}

impl EventFormat {
    /// `role_arn` is the function's execution role: `invokeIdentityArn` is the role itself, not a session of it
    /// (recorded).
    pub fn new(shard: ShardIdentity, event_source_arn: &str, region: &str, role_arn: &str) -> Self {
        let text = |value: &str| serde_json::to_string(value).expect("a string is always valid JSON");
        Self {
            shard,
            middle: format!(r#"}},"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":"{}:"#, shard.id),
            end: format!(
                r#"","eventName":"aws:kinesis:record","invokeIdentityArn":{},"awsRegion":{},"eventSourceARN":{}}}"#,
                text(role_arn),
                text(region),
                text(event_source_arn)
            ),
            event_source_arn: event_source_arn.to_owned(),
        }
    }

    /// The ARN of the stream or consumer that the events name.
    pub fn event_source_arn(&self) -> &str {
        &self.event_source_arn
    }

    pub fn shard(&self) -> ShardIdentity {
        self.shard
    }

    /// Bytes that `record` takes in an event, without the comma between records.
    pub fn record_bytes(&self, record: &Record) -> usize {
        RECORD_OPEN.len()
            + json_string_bytes(&record.partition_key)
            + SEQUENCE_NUMBER.len()
            + 2 * SEQUENCE_NUMBER_DIGITS
            + DATA.len()
            + STANDARD.encoded_length(record.data.len())
            + ARRIVAL.len()
            + arrival_bytes(record.arrival)
            + encryption(record).len()
            + self.middle.len()
            + self.end.len()
    }

    /// The event of `records`, with the members of a tumbling window if there is one.
    pub fn build(&self, records: &[Record], window: Option<&WindowMembers<'_>>) -> Bytes {
        self.build_sized(records, records.iter().map(|record| self.record_bytes(record)).sum(), window)
    }

    /// The same, when it is known already how many bytes the records take ([`Self::record_bytes`]).
    pub fn build_sized(&self, records: &[Record], record_bytes: usize, window: Option<&WindowMembers<'_>>) -> Bytes {
        let members = window.map(|window| self.window_members(window)).unwrap_or_default();
        let bytes = EventSize { records: records.len(), record_bytes, members_bytes: members.len() }.bytes();
        let mut event = Vec::with_capacity(bytes);
        event.extend_from_slice(OPEN.as_bytes());
        for (i, record) in records.iter().enumerate() {
            if i > 0 {
                event.push(b',');
            }
            self.write_record(record, &mut event);
        }
        event.extend_from_slice(CLOSE.as_bytes());
        event.extend_from_slice(members.as_bytes());
        event.push(b'}');
        assert_eq!(event.len(), bytes, "the size of an event is known before it is built");
        event.into()
    }

    /// What follows the records (event source mapping reference, section 9).
    pub fn window_members(&self, window: &WindowMembers<'_>) -> String {
        format!(
            r#","window":{{"start":"{}","end":"{}"}},"state":{},"shardId":"{}","eventSourceARN":{},"isFinalInvokeForWindow":{},"isWindowTerminatedEarly":{}"#,
            dates::seconds(window.start),
            dates::seconds(window.end),
            window.state,
            self.shard.id,
            serde_json::to_string(&self.event_source_arn).expect("a string is always valid JSON"),
            window.is_final,
            window.is_terminated_early
        )
    }

    fn write_record(&self, record: &Record, event: &mut Vec<u8>) {
        event.extend_from_slice(RECORD_OPEN.as_bytes());
        let partition_key = std::str::from_utf8(&record.partition_key).expect("the log holds UTF-8 partition keys");
        serde_json::to_writer(&mut *event, partition_key).expect("a string is written to memory");
        event.extend_from_slice(SEQUENCE_NUMBER.as_bytes());
        let number = event.len();
        write!(event, "{}", self.shard.sequence_number(record)).expect("a number is written to memory");
        let number = number..event.len();
        event.extend_from_slice(DATA.as_bytes());
        STANDARD.encode_append(&record.data, event);
        event.extend_from_slice(ARRIVAL.as_bytes());
        write_arrival(record.arrival, event);
        event.extend_from_slice(encryption(record).as_bytes());
        event.extend_from_slice(self.middle.as_bytes());
        event.extend_from_within(number);
        event.extend_from_slice(self.end.as_bytes());
    }
}

fn encryption(record: &Record) -> &'static str {
    if record.is_encrypted() { ENCRYPTION } else { "" }
}

/// The size of an event that grows record by record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventSize {
    records: usize,
    record_bytes: usize,
    /// What follows the records.
    members_bytes: usize,
}

impl EventSize {
    /// This event with one more record of `record_bytes` ([`EventFormat::record_bytes`]).
    #[must_use]
    pub fn with(self, record_bytes: usize) -> Self {
        Self { records: self.records + 1, record_bytes: self.record_bytes + record_bytes, ..self }
    }

    /// This event without one of its records.
    #[must_use]
    pub fn without(self, record_bytes: usize) -> Self {
        Self { records: self.records - 1, record_bytes: self.record_bytes - record_bytes, ..self }
    }

    /// An event without records that has further members of so many bytes.
    #[must_use]
    pub fn with_members(members_bytes: usize) -> Self {
        Self { members_bytes, ..Self::default() }
    }

    /// Bytes of the records alone.
    pub fn record_bytes(self) -> usize {
        self.record_bytes
    }

    /// Bytes of the whole event.
    pub fn bytes(self) -> usize {
        OPEN.len() + self.record_bytes + self.records.saturating_sub(1) + CLOSE.len() + self.members_bytes + 1
    }

    /// Whether the event may be sent.
    pub fn fits(self) -> bool {
        self.bytes() <= EVENT_BYTES_MAX
    }
}

/// Seconds with up to three decimals, without trailing zeros (recorded).
fn write_arrival(arrival: Timestamp, event: &mut Vec<u8>) {
    let (seconds, millis) = (arrival.seconds(), arrival.millis() % 1000);
    let written = match millis {
        0 => write!(event, "{seconds}"),
        _ if millis % 100 == 0 => write!(event, "{seconds}.{}", millis / 100),
        _ if millis % 10 == 0 => write!(event, "{seconds}.{:02}", millis / 10),
        _ => write!(event, "{seconds}.{millis:03}"),
    };
    written.expect("a number is written to memory");
}

/// Bytes of [`write_arrival`].
fn arrival_bytes(arrival: Timestamp) -> usize {
    let fraction = match arrival.millis() % 1000 {
        0 => 0,
        millis if millis % 100 == 0 => 2,
        millis if millis % 10 == 0 => 3,
        _ => 4,
    };
    arrival.seconds().checked_ilog10().map_or(1, |log| log as usize + 1) + fraction
}

/// Length of a UTF-8 text as a JSON string, quotes included.
fn json_string_bytes(text: &[u8]) -> usize {
    if text.iter().all(|byte| *byte >= 0x20 && *byte != b'"' && *byte != b'\\') {
        return text.len() + 2;
    }
    let mut counter = Counter(0);
    let text = std::str::from_utf8(text).expect("the log holds UTF-8 partition keys");
    serde_json::to_writer(&mut counter, text).expect("counting does not fail");
    counter.0
}

struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use millstream_log::Position;
    use millstream_types::ShardIndex;
    use proptest::prelude::*;

    use super::*;

    fn format(shard: u32, created_seconds: u64) -> EventFormat {
        EventFormat::new(
            ShardIdentity { id: ShardId(ShardIndex::new(shard).unwrap()), created_seconds },
            "arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream",
            "us-east-2",
            "arn:aws:iam::123456789012:role/lambda-role",
        )
    }

    fn record(position: u64, arrival: u64, key: &str, data: &[u8]) -> Record {
        Record {
            position: Position(position),
            arrival: Timestamp::from_millis(arrival),
            partition_key: Bytes::copy_from_slice(key.as_bytes()),
            data: Bytes::copy_from_slice(data),
            tag: 0,
        }
    }

    #[test]
    fn the_event_is_the_one_of_the_reference() {
        let format = format(6, 1_545_000_000);
        let record = record(3, 1_545_084_650_987, "1", b"Hello, this is a test.");
        let number = format.shard().sequence_number(&record);
        let expected = format!(
            concat!(
                r#"{{"Records":[{{"kinesis":{{"kinesisSchemaVersion":"1.0","partitionKey":"1","#,
                r#""sequenceNumber":"{number}","data":"SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==","#,
                r#""approximateArrivalTimestamp":1545084650.987}},"eventSource":"aws:kinesis","eventVersion":"1.0","#,
                r#""eventID":"shardId-000000000006:{number}","eventName":"aws:kinesis:record","#,
                r#""invokeIdentityArn":"arn:aws:iam::123456789012:role/lambda-role","awsRegion":"us-east-2","#,
                r#""eventSourceARN":"arn:aws:kinesis:us-east-2:123456789012:stream/lambda-stream"}}]}}"#,
            ),
            number = number
        );
        assert_eq!(std::str::from_utf8(&format.build(&[record], None)).unwrap(), expected);
    }

    #[test]
    fn an_encrypted_record_says_so() {
        let encrypted = Record { tag: millstream_log::encryption::TAG, ..record(3, 1_545_084_650_987, "1", b"a") };
        let event = format(6, 1_545_000_000).build(&[encrypted, record(4, 1_545_084_650_987, "1", b"a")], None);
        let text = std::str::from_utf8(&event).unwrap();
        assert_eq!(text.matches(r#""approximateArrivalTimestamp":1545084650.987,"encryptionType":"KMS"},"#).count(), 1);
        assert_eq!(text.matches("encryptionType").count(), 1);
    }

    #[test]
    fn arrival_times_have_no_trailing_zeros() {
        let check = |millis, expected: &str| {
            let mut written = Vec::new();
            write_arrival(Timestamp::from_millis(millis), &mut written);
            assert_eq!(std::str::from_utf8(&written).unwrap(), expected);
            assert_eq!(arrival_bytes(Timestamp::from_millis(millis)), expected.len());
        };
        check(0, "0");
        check(9_990, "9.99");
        check(1_545_084_650_987, "1545084650.987");
        check(1_545_084_650_980, "1545084650.98");
        check(1_545_084_650_900, "1545084650.9");
        check(1_545_084_650_000, "1545084650");
        check(1_545_084_650_007, "1545084650.007");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn sizes_are_exact_and_the_data_comes_back(
            records in prop::collection::vec((0_u64..1 << 62, 0_u64..1 << 41, "\\PC{1,20}|[\\x00-\\x7f]{1,20}", prop::collection::vec(any::<u8>(), 0..100)), 1..20),
        ) {
            let format = format(7, 1_600_000_000);
            let records: Vec<Record> = records.iter().map(|(p, a, k, d)| record(*p, *a, k, d)).collect();
            // The size itself is asserted inside `build`.
            let event: serde_json::Value = serde_json::from_slice(&format.build(&records, None)).unwrap();
            for (record, json) in records.iter().zip(event["Records"].as_array().unwrap()) {
                let kinesis = &json["kinesis"];
                prop_assert_eq!(kinesis["partitionKey"].as_str().unwrap().as_bytes(), &record.partition_key[..]);
                let data = STANDARD.decode_to_vec(kinesis["data"].as_str().unwrap()).unwrap();
                prop_assert_eq!(&data[..], &record.data[..]);
                prop_assert_eq!(json["eventID"].as_str().unwrap().split_once(':').unwrap().1, kinesis["sequenceNumber"].as_str().unwrap());
            }
        }
    }
}
