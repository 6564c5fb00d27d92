//! The answer of `GetRecords` without a value tree: data goes from the log's block into the body.

use super::writer::Writer;
use super::{Format, RecordView};
use crate::kinesis::ChildShard;

/// Bytes that a record takes besides its data and its partition key.
const RECORD_BYTES: usize = 200;

/// An answer of `GetRecords`.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    pub records: &'a [RecordView<'a>],
    /// `None` at the end of a closed shard.
    pub next_shard_iterator: Option<&'a str>,
    pub millis_behind_latest: Option<i64>,
    /// Given at the end of a closed shard.
    pub child_shards: Option<&'a [ChildShard]>,
}

/// The body of the answer.
pub fn encode(answer: &Answer<'_>, format: Format) -> Vec<u8> {
    let mut out = Writer::new(format, capacity(answer, format));
    out.start_structure();
    if let Some(children) = answer.child_shards {
        child_shards(&mut out, children);
    }
    if let Some(millis) = answer.millis_behind_latest {
        out.integer("MillisBehindLatest", millis);
    }
    if let Some(iterator) = answer.next_shard_iterator {
        out.text("NextShardIterator", iterator);
    }
    out.start_list("Records");
    for record in answer.records {
        out.item();
        write_record(&mut out, record);
    }
    out.end_list();
    out.end_structure();
    out.finish()
}

fn capacity(answer: &Answer<'_>, format: Format) -> usize {
    let data: usize = answer.records.iter().map(|record| record.data.len() + record.partition_key.len()).sum();
    let data = if format == Format::Json { data.div_ceil(3) * 4 } else { data };
    data + RECORD_BYTES * (answer.records.len() + 4)
}

fn write_record(out: &mut Writer, record: &RecordView<'_>) {
    out.start_structure();
    out.timestamp("ApproximateArrivalTimestamp", record.approximate_arrival_timestamp);
    out.blob("Data", record.data);
    if let Some(encryption_type) = record.encryption_type {
        out.text("EncryptionType", encryption_type.as_str());
    }
    out.text("PartitionKey", record.partition_key);
    out.display("SequenceNumber", &record.sequence_number);
    out.end_structure();
}

fn child_shards(out: &mut Writer, children: &[ChildShard]) {
    out.start_list("ChildShards");
    for child in children {
        out.item();
        out.start_structure();
        out.key("HashKeyRange");
        out.start_structure();
        out.text("EndingHashKey", &child.hash_key_range.ending_hash_key);
        out.text("StartingHashKey", &child.hash_key_range.starting_hash_key);
        out.end_structure();
        out.start_list("ParentShards");
        for parent in &child.parent_shards {
            out.item();
            out.text_value(parent);
        }
        out.end_list();
        out.text("ShardId", &child.shard_id);
        out.end_structure();
    }
    out.end_list();
}
