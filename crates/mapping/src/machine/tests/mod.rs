//! Tests of the machine by itself: no clock, no log, no function. One file for each theme.
//!
//! [`Bench`] takes one event at a time and gives the commands as short text; [`play`] lets a machine run by itself, with
//! a stream that is all there and a function that answers at once, and tells what was delivered when.

mod age;
mod aggregated;
mod batching;
mod bench;
mod bisect;
mod control;
mod discarding;
mod document;
mod filters;
mod lanes;
mod leaving;
mod play;
mod reading;
mod responses;
mod restart;
mod retries;
mod tumbling;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_functions::{FunctionErrorKind, InvokeReport, Outcome};
use millstream_types::{ShardId, ShardIndex};

use super::*;
use crate::event::ShardIdentity;
use crate::result::ProcessingResult;
use bench::Bench;
use play::{play, play_from};

/// A full minute, so that tumbling windows begin with it.
const START: u64 = 1_700_000_040_000;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(START + millis)
}

fn format() -> EventFormat {
    let shard = ShardIdentity { id: ShardId(ShardIndex::new(0).unwrap()), created_seconds: 1_600_000_000 };
    EventFormat::new(
        shard,
        "arn:aws:kinesis:eu-central-1:000000000000:stream/s",
        "eu-central-1",
        "arn:aws:iam::000000000000:role/r",
    )
}

/// AWS's defaults with another batch size.
fn settings(batch_size: usize) -> Settings {
    Settings {
        batch_size,
        batching_window: Duration::ZERO,
        lanes: 1,
        retries_max: None,
        record_age_max: None,
        bisect: false,
        partial_failures: false,
        tumbling_window: None,
        taken_apart: None,
        filters: Arc::default(),
    }
}

fn record(position: u64) -> Record {
    Record {
        position: Position(position),
        arrival: at(0),
        partition_key: Bytes::from_static(b"key"),
        data: Bytes::from_static(b"{}"),
        tag: 0,
    }
}

fn arrived(position: u64, millis: u64) -> Record {
    Record { arrival: at(millis), ..record(position) }
}

/// A record that goes to `lane` of `lanes`.
fn in_lane(position: u64, lane: usize, lanes: usize) -> Record {
    let mut keys = (0..1000).map(|key| format!("key-{key}"));
    let key = keys.find(|key| lane_of(key.as_bytes(), lanes) == lane).expect("a lane has keys");
    Record { partition_key: key.into(), ..record(position) }
}

fn records(positions: std::ops::Range<u64>) -> Vec<Record> {
    positions.map(record).collect()
}

fn large(positions: std::ops::Range<u64>, data_bytes: usize) -> Vec<Record> {
    positions.map(|position| Record { data: vec![0; data_bytes].into(), ..record(position) }).collect()
}

/// What the shard's end gave.
fn read(records: Vec<Record>, next: u64) -> Event {
    Event::Read(ReadBatch { records, next: Position(next), behind: None, ended: false })
}

/// More follows.
fn read_more(records: Vec<Record>, next: u64) -> Event {
    Event::Read(ReadBatch { records, next: Position(next), behind: Some(at(0)), ended: false })
}

/// Nothing will follow.
fn read_last(records: Vec<Record>, next: u64) -> Event {
    Event::Read(ReadBatch { records, next: Position(next), behind: None, ended: true })
}

fn ended(lane: usize, outcome: Outcome) -> Event {
    let executed_version = Some("$LATEST".to_owned());
    let report = InvokeReport { request_id: "id".to_owned(), executed_version, outcome, log_tail: Bytes::new() };
    Event::Invoked { lane, report }
}

fn answers(text: impl Into<String>) -> Outcome {
    Outcome::Ok(text.into().into())
}

fn fails() -> Outcome {
    Outcome::FunctionError { kind: FunctionErrorKind::Handler, payload: Bytes::new() }
}

fn throttled() -> Outcome {
    Outcome::Throttled { reason: "ReservedFunctionConcurrentInvocationLimitExceeded" }
}

fn ok() -> Event {
    ended(0, answers(""))
}

fn failed() -> Event {
    ended(0, fails())
}

fn time() -> Event {
    horizon(0)
}

fn horizon(position: u64) -> Event {
    Event::Time { horizon: Position(position) }
}

fn delivered() -> Event {
    Event::Discarded { lane: 0, delivered: Ok(()) }
}

/// The response that names `position` of the shard as failed.
fn reports_failed(position: u64) -> Outcome {
    answers(format!(r#"{{"batchItemFailures":[{{"itemIdentifier":"{}"}}]}}"#, number(position)))
}

fn number(position: u64) -> String {
    format().shard().sequence_number(&record(position)).to_string()
}

/// `None` for what only counts.
fn text(command: &Command) -> Option<String> {
    Some(match command {
        Command::Read { from: ReadFrom::Position(from), limit } => format!("read({},{})", from.0, limit.records),
        Command::Read { from, limit } => format!("read({from:?},{})", limit.records),
        Command::Invoke { lane, batch } => format!("invoke{}({})", lane_text(*lane), span(batch.records())),
        Command::Keep { progress, ticket } => {
            format!("keep{}({})", if ticket.is_some() { "!" } else { "" }, progress_text(progress))
        }
        Command::Discard { lane, failed } => format!(
            "discard{}({} {:?} {})",
            lane_text(*lane),
            span(&failed.records),
            failed.reason,
            failed.invoke_count
        ),
        Command::Discarded { records, is_delivered: true, .. } => format!("discarded({records})"),
        Command::Discarded { records, is_delivered: false, .. } => format!("undelivered({records})"),
        Command::Result(result) => format!("{result:?}"),
        Command::Polled { .. } | Command::History(_) => return None,
        Command::Drained => "drained".to_owned(),
        Command::Stopped => "stopped".to_owned(),
    })
}

fn lane_text(lane: usize) -> String {
    if lane == 0 { String::new() } else { format!("[{lane}]") }
}

/// Each lane's position, and for its failed batches how many records and failures they have; an open window.
fn progress_text(progress: &Progress) -> String {
    let lanes = progress.lanes.iter().map(|lane| {
        let failed = lane.failed.iter().map(|part| format!(" {}..={}x{}", part.records, part.last.0, part.failures));
        format!("{}{}", lane.next.0, failed.collect::<String>())
    });
    let window = progress.window.as_ref().map(|window| format!(" {}", window.state.text()));
    lanes.collect::<Vec<_>>().join("|") + &window.unwrap_or_default()
}

fn span(records: &[Record]) -> String {
    match records {
        [] => "final".to_owned(),
        [one] => one.position.0.to_string(),
        [first, .., last] if last.position.0 - first.position.0 + 1 == records.len() as u64 => {
            format!("{}..={}", first.position.0, last.position.0)
        }
        _ => records.iter().map(|record| record.position.0.to_string()).collect::<Vec<_>>().join(","),
    }
}

fn has(records: &[Record], position: u64) -> bool {
    records.iter().any(|record| record.position.0 == position)
}
