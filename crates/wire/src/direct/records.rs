//! What the answers that carry stored records share.

use super::writer::Writer;
use super::{Format, RecordView};
use crate::kinesis::ChildShard;

/// Bytes that a record takes besides its data and its partition key.
const RECORD_BYTES: usize = 200;

/// About as many bytes as an answer with these records takes.
pub(super) fn capacity(records: &[RecordView<'_>], format: Format) -> usize {
    let data: usize = records.iter().map(|record| record.data.len() + record.partition_key.len()).sum();
    let data = if format == Format::Json { data.div_ceil(3) * 4 } else { data };
    data + RECORD_BYTES * (records.len() + 4)
}

/// The member `Records`.
pub(super) fn records(out: &mut Writer, records: &[RecordView<'_>]) {
    out.start_list("Records");
    for record in records {
        out.item();
        write_record(out, record);
    }
    out.end_list();
}

/// The member `ChildShards`.
pub(super) fn child_shards(out: &mut Writer, children: &[ChildShard]) {
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
