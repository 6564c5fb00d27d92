//! Tests of the machine by itself: no clock, no log, no function. One file for each theme.
//!
//! [`Bench`] takes one event at a time and gives the commands as short text; [`play`] lets a machine run by itself, with
//! a stream that is all there and a function that answers at once, and tells what was delivered when.

mod age;
mod aggregated;
mod batching;
mod bisect;
mod control;
mod discarding;
mod document;
mod filters;
mod lanes;
mod leaving;
mod reading;
mod responses;
mod restart;
mod retries;
mod tumbling;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_functions::{FunctionErrorKind, InvokeReport, Outcome};
use millstream_types::{ShardId, ShardIndex};

use super::*;
use crate::event::ShardIdentity;
use crate::result::ProcessingResult;

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

/// One machine, event by event.
struct Bench {
    machine: ShardMachine,
    /// What is to be durable at once is so at once.
    keeps_at_once: bool,
    failed: Vec<Arc<FailedBatch>>,
    sent: Vec<Arc<Batch>>,
    history: Vec<BatchEntry>,
    progress: Option<Progress>,
}

impl Bench {
    /// At the beginning of the shard, and started.
    fn new(settings: Settings) -> Self {
        Self::started(settings, Start::Kept(Progress::at(Position(0))))
    }

    fn started(settings: Settings, start: Start) -> Self {
        let mut bench = Self::unstarted(settings, start);
        bench.go(0, Event::Start);
        bench
    }

    fn unstarted(settings: Settings, start: Start) -> Self {
        Self {
            machine: ShardMachine::new(settings, format(), start, at(0)),
            keeps_at_once: true,
            failed: Vec::new(),
            sent: Vec::new(),
            history: Vec::new(),
            progress: None,
        }
    }

    /// One step, as short text: what tests compare.
    fn go(&mut self, millis: u64, event: Event) -> String {
        let mut texts = Vec::new();
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for command in self.machine.step(at(millis), event) {
                texts.extend(text(&command));
                match command {
                    Command::Keep { progress, ticket } => {
                        events.extend(ticket.filter(|_| self.keeps_at_once).map(Event::Kept));
                        self.progress = Some(progress);
                    }
                    Command::Discard { failed, .. } => self.failed.push(failed),
                    Command::Invoke { batch, .. } => self.sent.push(batch),
                    Command::History(entry) => self.history.push(entry),
                    _ => {}
                }
            }
        }
        texts.join(" ")
    }

    /// Milliseconds from the beginning.
    fn deadline(&self) -> Option<u64> {
        self.machine.deadline().map(|moment| moment.millis() - START)
    }

    /// The last event that was sent.
    fn event(&self) -> serde_json::Value {
        serde_json::from_slice(self.sent.last().expect("something was sent").event()).unwrap()
    }

    fn decisions(&self) -> Vec<Decision> {
        self.history.iter().map(|entry| entry.decision).collect()
    }
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

/// What happened while a machine ran by itself.
struct Played {
    /// `<milliseconds>: <records>` for each invocation.
    deliveries: Vec<String>,
    failed: Vec<Arc<FailedBatch>>,
    history: Vec<BatchEntry>,
    progress: Progress,
}

impl Played {
    /// Records of each invocation.
    fn batches(&self) -> Vec<&str> {
        self.deliveries.iter().map(|delivery| delivery.split_once(": ").unwrap().1).collect()
    }

    /// Records, condition and count of each batch that was given up.
    fn failures(&self) -> Vec<String> {
        let text = |f: &Arc<FailedBatch>| format!("{} {} {}", span(&f.records), f.reason.condition(), f.invoke_count);
        self.failed.iter().map(text).collect()
    }

    /// How many invocations had the record at `position`.
    fn deliveries_of(&self, position: u64) -> usize {
        self.history
            .iter()
            .filter(|entry| entry.request_id.is_some() && (entry.first.0..=entry.last.0).contains(&position))
            .count()
    }
}

/// Steps after which a machine that still has something to do is taken for one without end.
const STEPS_MAX: usize = 10_000;

/// Lets a machine with `settings` run over `stream`, from `from_millis` on, until nothing is left to do. `function` is
/// told the time and the records, and answers at once; destinations take everything.
fn play(
    settings: Settings,
    stream: &[Record],
    from_millis: u64,
    function: impl FnMut(u64, &[Record]) -> Outcome,
) -> Played {
    play_from(settings, Progress::at(Position(0)), stream, from_millis, function)
}

fn play_from(
    settings: Settings,
    progress: Progress,
    stream: &[Record],
    from_millis: u64,
    mut function: impl FnMut(u64, &[Record]) -> Outcome,
) -> Played {
    let mut now = from_millis;
    let mut machine = ShardMachine::new(settings, format(), Start::Kept(progress.clone()), at(now));
    let mut played = Played { deliveries: Vec::new(), failed: Vec::new(), history: Vec::new(), progress };
    let mut events = VecDeque::from([Event::Start]);
    for _ in 0..STEPS_MAX {
        let Some(event) = events.pop_front() else {
            let Some(deadline) = machine.deadline() else { return played };
            now = now.max(deadline.millis() - START);
            events.push_back(time());
            continue;
        };
        for command in machine.step(at(now), event) {
            match command {
                Command::Read { from: ReadFrom::Position(from), limit } => events.push_back(serve(stream, from, limit)),
                Command::Read { from, .. } => panic!("a machine with a position reads from {from:?}"),
                Command::Invoke { lane, batch } => {
                    played.deliveries.push(format!("{now}: {}", span(batch.records())));
                    events.push_back(ended(lane, function(now, batch.records())));
                }
                Command::Discard { lane, failed } => {
                    played.failed.push(failed);
                    events.push_back(Event::Discarded { lane, delivered: Ok(()) });
                }
                Command::Keep { progress, ticket } => {
                    played.progress = progress;
                    events.extend(ticket.map(Event::Kept));
                }
                Command::History(entry) => played.history.push(entry),
                Command::Discarded { .. } | Command::Polled { .. } | Command::Result(_) => {}
                Command::Drained | Command::Stopped => panic!("nobody asked for an end"),
            }
        }
    }
    panic!("no end after {STEPS_MAX} steps: {:?}", played.deliveries);
}

fn serve(stream: &[Record], from: Position, limit: millstream_log::ReadLimit) -> Event {
    let records: Vec<Record> = stream.iter().filter(|r| r.position >= from).take(limit.records).cloned().collect();
    let next = records.last().map_or(from, |last| Position(last.position.0 + 1));
    let behind = stream.last().filter(|last| last.position >= next).map(|last| last.arrival);
    Event::Read(ReadBatch { records, next, behind, ended: false })
}

fn has(records: &[Record], position: u64) -> bool {
    records.iter().any(|record| record.position.0 == position)
}
