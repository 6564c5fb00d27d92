//! The stages of reading: `GetRecords`, and an event of `SubscribeToShard`.

use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::Full;
use millstream_client::sigv4::sha256;
use millstream_env::Random;
use millstream_log::{Position, ReadFrom, ReadLimit, Record};
use millstream_streams::Stream;
use millstream_wire::direct::{Format, RecordView, get_records, subscribe_to_shard};
use serde_json::json;

use crate::load::{PutRequest, RECORD_BYTES, RECORDS, content_type, signed};
use crate::record::{Mark, Recorder};
use crate::services::World;

/// A shard that holds records to be read.
#[derive(Debug)]
pub struct Get<'w> {
    world: &'w World,
    stream: Arc<Stream>,
    iterator: String,
}

impl<'w> Get<'w> {
    /// Fills a stream of one shard with [`RECORDS`] records.
    pub async fn new(world: &'w World, random: &Random) -> anyhow::Result<Self> {
        let stream = world.stream("read", 1).await?;
        let request = PutRequest::new("read", Format::Json, RECORDS, random);
        let head = request.signed(&world.credentials, &world.clock)?;
        world.answer(head.map(|()| request.pieces())).await?;
        let input = json!({
            "StreamName": "read", "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON",
        });
        let answer = world.kinesis("GetShardIterator", &input).await?;
        let iterator = answer["ShardIterator"].as_str().context("an iterator")?.to_owned();
        Ok(Self { world, stream, iterator })
    }

    /// Reading from the log, and each way to encode what was read.
    pub async fn stages(&self, stages: &mut Recorder) -> anyhow::Result<()> {
        let bytes = RECORDS * RECORD_BYTES;
        let shard = &self.stream.shards()[0];
        let limit = ReadLimit { records: 10_000, bytes: 10 << 20 };

        let mark = Mark::now();
        let batch = self.world.log.read(shard.key(), ReadFrom::Position(Position(0)), limit).await?;
        stages.end(mark, "get: read", RECORDS, bytes);
        anyhow::ensure!(batch.records.len() == RECORDS, "everything is read");

        for (form, format) in [("json", Format::Json), ("cbor", Format::Cbor)] {
            let mark = Mark::now();
            let answer = get_records::Answer {
                records: &self.views(&batch.records)?,
                next_shard_iterator: Some(&self.iterator),
                millis_behind_latest: Some(0),
                child_shards: None,
            };
            let answer = get_records::encode(&answer, format);
            stages.end(mark, &format!("get {form}: encode"), RECORDS, bytes);
            drop(answer);
        }

        let mark = Mark::now();
        let event = subscribe_to_shard::Event {
            records: &self.views(&batch.records)?,
            continuation_sequence_number: Some("0"),
            millis_behind_latest: 0,
            child_shards: None,
        };
        let frame = subscribe_to_shard::encode(&event);
        stages.end(mark, "fan-out: encode event", RECORDS, bytes);
        drop(frame);
        Ok(())
    }

    /// The request as the gateway answers it.
    pub async fn whole(&self, format: Format, stages: &mut Recorder) -> anyhow::Result<()> {
        // The form of the request decides the form of the answer; a request of one member is easily written in both.
        let (form, body) = match format {
            Format::Json => ("json", json!({ "ShardIterator": self.iterator }).to_string().into_bytes()),
            Format::Cbor => ("cbor", cbor("ShardIterator", &self.iterator)),
        };
        let head =
            signed(&self.world.credentials, &self.world.clock, "GetRecords", content_type(format), &sha256(&body))?;
        let request = head.map(|()| Full::new(Bytes::from(body)));
        let mark = Mark::now();
        let answer = self.world.answer(request).await?;
        stages.end(mark, &format!("get {form}: whole request"), RECORDS, RECORDS * RECORD_BYTES);
        anyhow::ensure!(answer.len() > RECORDS * RECORD_BYTES, "all records are in the answer");
        Ok(())
    }

    fn views<'r>(&self, records: &'r [Record]) -> anyhow::Result<Vec<RecordView<'r>>> {
        let shard = &self.stream.shards()[0];
        let view = |record: &'r Record| {
            Ok(RecordView {
                sequence_number: shard.sequence_number(record),
                approximate_arrival_timestamp: record.arrival,
                data: &record.data,
                partition_key: std::str::from_utf8(&record.partition_key)?,
                encryption_type: None,
            })
        };
        records.iter().map(view).collect()
    }
}

/// A map of one text.
fn cbor(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0xa1];
    for text in [name, value] {
        out.push(0x79);
        out.extend_from_slice(&u16::try_from(text.len()).expect("texts here are short").to_be_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out
}
