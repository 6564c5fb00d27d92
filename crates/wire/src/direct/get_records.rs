//! The answer of `GetRecords` without a value tree: data goes from the log's block into the body.

use super::writer::Writer;
use super::{Format, RecordView, records};
use crate::kinesis::ChildShard;

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
    let mut out = Writer::new(format, records::capacity(answer.records, format));
    out.start_structure();
    if let Some(children) = answer.child_shards {
        records::child_shards(&mut out, children);
    }
    if let Some(millis) = answer.millis_behind_latest {
        out.integer("MillisBehindLatest", millis);
    }
    if let Some(iterator) = answer.next_shard_iterator {
        out.text("NextShardIterator", iterator);
    }
    records::records(&mut out, answer.records);
    out.end_structure();
    out.finish()
}
