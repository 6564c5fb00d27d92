use std::time::Duration;

use bytes::Bytes;
use millstream_functions::{FunctionErrorKind, Outcome};
use millstream_types::{ShardId, ShardIndex};

use super::*;
use crate::event::ShardIdentity;

const START: u64 = 1_700_000_000_000;

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

fn machine(batch_size: usize, window_seconds: u64) -> ShardMachine {
    let settings = Settings { batch_size, batching_window: Duration::from_secs(window_seconds) };
    ShardMachine::new(settings, format(), ReadFrom::Position(Position(0)), Some(Position(0)), at(0))
}

fn records(positions: std::ops::Range<u64>, data_bytes: usize) -> Vec<Record> {
    positions
        .map(|position| Record {
            position: Position(position),
            arrival: at(0),
            partition_key: Bytes::from_static(b"key"),
            data: vec![0; data_bytes].into(),
            tag: 0,
        })
        .collect()
}

fn read(records: Vec<Record>, next: u64) -> Event {
    Event::Read(ReadBatch { records, next: Position(next), behind: None, ended: false })
}

fn read_more(records: Vec<Record>, next: u64) -> Event {
    Event::Read(ReadBatch { records, next: Position(next), behind: Some(at(0)), ended: false })
}

fn ended(outcome: Outcome) -> Event {
    Event::Invoked(InvokeReport {
        request_id: "id".to_owned(),
        executed_version: None,
        outcome,
        log_tail: Bytes::new(),
    })
}

fn ok() -> Event {
    ended(Outcome::Ok(Bytes::new()))
}

fn failed() -> Event {
    ended(Outcome::FunctionError { kind: FunctionErrorKind::Handler, payload: Bytes::new() })
}

fn time() -> Event {
    Event::Time { horizon: Position(0) }
}

/// One step, as short text: what tests compare.
fn step(machine: &mut ShardMachine, millis: u64, event: Event) -> String {
    let commands = machine.step(at(millis), event);
    let texts: Vec<String> = commands.iter().filter_map(text).collect();
    texts.join(" ")
}

fn text(command: &Command) -> Option<String> {
    Some(match command {
        Command::Read { from: ReadFrom::Position(from), limit } => format!("read({},{})", from.0, limit.records),
        Command::Read { from, limit } => format!("read({from:?},{})", limit.records),
        Command::Invoke(batch) => format!("invoke({}..={})", batch.first().0, batch.last().0),
        Command::Checkpoint(position) => format!("checkpoint({})", position.0),
        Command::Result(result) => format!("{result:?}"),
        Command::History(_) => return None,
        Command::Drained => "drained".to_owned(),
        Command::Stopped => "stopped".to_owned(),
    })
}

#[test]
fn without_a_window_what_one_read_gave_is_sent_at_once() {
    let mut machine = machine(10, 0);
    assert_eq!(step(&mut machine, 0, Event::Start), "read(0,10)");
    assert_eq!(step(&mut machine, 1, read(vec![], 0)), "");
    assert!(machine.wants_tail());
    assert_eq!(machine.deadline(), None, "an idle shard has no timer");
    assert_eq!(step(&mut machine, 500, Event::Tail), "read(0,10)");
    assert_eq!(step(&mut machine, 501, read(records(0..1, 5), 1)), "invoke(0..=0)");
    assert!(machine.wants_tail(), "the next batch is read while the function runs");
    assert_eq!(step(&mut machine, 600, Event::Tail), "read(1,10)");
    assert_eq!(step(&mut machine, 601, read(records(1..4, 5), 4)), "");
    assert_eq!(step(&mut machine, 700, ok()), "Ok invoke(1..=3) checkpoint(1)");
    assert_eq!(step(&mut machine, 800, ok()), "Ok checkpoint(4)");
}

#[test]
fn a_batch_holds_at_most_the_batch_size_and_one_is_in_flight() {
    let mut machine = machine(3, 0);
    step(&mut machine, 0, Event::Start);
    assert_eq!(step(&mut machine, 1, read_more(records(0..3, 5), 3)), "invoke(0..=2) read(3,3)");
    assert_eq!(step(&mut machine, 2, read_more(records(3..6, 5), 6)), "", "read ahead is one batch");
    assert_eq!(step(&mut machine, 3, ok()), "Ok invoke(3..=5) read(6,3) checkpoint(3)");
}

#[test]
fn a_window_gathers_and_begins_anew_when_the_invocation_ends() {
    let mut machine = machine(100, 10);
    step(&mut machine, 0, Event::Start);
    step(&mut machine, 1, read(vec![], 0));
    step(&mut machine, 25_000, Event::Tail);
    assert_eq!(step(&mut machine, 25_000, read(records(0..1, 5), 1)), "");
    assert_eq!(machine.deadline(), Some(at(30_000)), "windows follow each other from the beginning");
    step(&mut machine, 26_000, Event::Tail);
    assert_eq!(step(&mut machine, 26_000, read(records(1..2, 5), 2)), "");
    assert_eq!(step(&mut machine, 30_000, time()), "invoke(0..=1)");
    step(&mut machine, 31_000, Event::Tail);
    assert_eq!(step(&mut machine, 31_000, read(records(2..3, 5), 3)), "");
    assert_eq!(machine.deadline(), None);
    assert_eq!(step(&mut machine, 47_000, ok()), "Ok checkpoint(2)");
    assert_eq!(machine.deadline(), Some(at(57_000)));
    assert_eq!(step(&mut machine, 57_000, time()), "invoke(2..=2)");
}

#[test]
fn a_full_batch_does_not_wait_for_the_window() {
    let mut machine = machine(2, 10);
    step(&mut machine, 0, Event::Start);
    assert_eq!(step(&mut machine, 1, read(records(0..1, 5), 1)), "");
    step(&mut machine, 2, Event::Tail);
    assert_eq!(step(&mut machine, 2, read(records(1..2, 5), 2)), "invoke(0..=1)");
}

#[test]
fn six_megabytes_of_event_cut_a_batch() {
    let mut machine = machine(100, 300);
    step(&mut machine, 0, Event::Start);
    // 1 MB is 1.33 MB as base64: four fit, the fifth does not.
    assert_eq!(step(&mut machine, 1, read_more(records(0..4, 1_000_000), 4)), "read(4,96)");
    assert_eq!(step(&mut machine, 2, read_more(records(4..8, 1_000_000), 8)), "invoke(0..=3) read(8,96)");
    let mut machine = self::machine(100, 0);
    step(&mut machine, 0, Event::Start);
    let too_large = step(&mut machine, 1, read(records(0..1, 5_000_000), 1));
    assert_eq!(too_large, "RecordTooLarge checkpoint(1)", "no event can carry it");
}

#[test]
fn a_failing_batch_is_tried_again_unchanged_with_growing_waits() {
    let mut machine = machine(2, 0);
    step(&mut machine, 0, Event::Start);
    assert_eq!(step(&mut machine, 0, read(records(0..2, 5), 2)), "invoke(0..=1)");
    let mut now = 0;
    for wait in [500, 1000, 2000, 4000] {
        assert_eq!(step(&mut machine, now, failed()), "FunctionFailed");
        now += wait;
        assert_eq!(machine.deadline(), Some(at(now)));
        assert_eq!(step(&mut machine, now - 1, time()), "");
        assert_eq!(step(&mut machine, now, time()), "invoke(0..=1)");
        assert!(machine.wants_tail());
    }
    assert_eq!(step(&mut machine, now, ok()), "Ok checkpoint(2)");
}

#[test]
fn tries_that_do_not_reach_the_function_wait_less_and_count_apart() {
    let mut machine = machine(2, 0);
    step(&mut machine, 0, Event::Start);
    step(&mut machine, 0, read(records(0..2, 5), 2));
    assert_eq!(step(&mut machine, 0, ended(Outcome::NotReady("pending".to_owned()))), "NotReady");
    assert_eq!(machine.deadline(), Some(at(100)));
    step(&mut machine, 100, time());
    assert_eq!(step(&mut machine, 100, ended(Outcome::Throttled { reason: "x" })), "Throttled");
    assert_eq!(machine.deadline(), Some(at(300)));
    step(&mut machine, 300, time());
    assert_eq!(step(&mut machine, 300, failed()), "FunctionFailed");
    assert_eq!(machine.deadline(), Some(at(800)), "the first failure of the function");
}

#[test]
fn records_that_leave_the_stream_end_their_retries() {
    let mut machine = machine(3, 0);
    step(&mut machine, 0, Event::Start);
    step(&mut machine, 0, read(records(0..3, 5), 3));
    step(&mut machine, 0, failed());
    let horizon = |position| Event::Time { horizon: Position(position) };
    assert_eq!(step(&mut machine, 500, horizon(2)), "invoke(2..=2) checkpoint(2)");
    step(&mut machine, 500, failed());
    assert_eq!(step(&mut machine, 1500, horizon(9)), "checkpoint(3)");
}

#[test]
fn a_stopped_machine_ends_its_invocation_and_begins_nothing() {
    let mut machine = machine(2, 0);
    step(&mut machine, 0, Event::Start);
    step(&mut machine, 0, read_more(records(0..2, 5), 2));
    step(&mut machine, 0, read(records(2..4, 5), 4));
    assert_eq!(step(&mut machine, 1, Event::Stop), "");
    assert_eq!(step(&mut machine, 2, ok()), "Ok checkpoint(2) stopped");
    assert_eq!(step(&mut machine, 3, Event::Stop), "");
    assert!(!machine.wants_tail());
}

#[test]
fn a_machine_stopped_between_tries_keeps_its_checkpoint() {
    let mut machine = machine(2, 0);
    step(&mut machine, 0, Event::Start);
    step(&mut machine, 0, read(records(0..2, 5), 2));
    step(&mut machine, 0, failed());
    assert_eq!(step(&mut machine, 1, Event::Stop), "stopped");
    assert_eq!(machine.deadline(), None);
}

#[test]
fn a_suspended_machine_goes_on_where_it_was() {
    let mut machine = machine(2, 0);
    step(&mut machine, 0, Event::Start);
    step(&mut machine, 0, read(records(0..2, 5), 2));
    step(&mut machine, 0, Event::Suspend);
    assert_eq!(step(&mut machine, 0, failed()), "FunctionFailed");
    assert_eq!(machine.deadline(), None);
    assert_eq!(step(&mut machine, 9000, time()), "");
    step(&mut machine, 9000, Event::Resume);
    assert_eq!(machine.deadline(), Some(at(500)));
    assert_eq!(step(&mut machine, 9000, time()), "invoke(0..=1)");
}

#[test]
fn an_ended_shard_is_drained_when_its_last_batch_is_final() {
    let mut machine = machine(2, 0);
    step(&mut machine, 0, Event::Start);
    let last = ReadBatch { records: records(0..2, 5), next: Position(2), behind: None, ended: true };
    assert_eq!(step(&mut machine, 0, Event::Read(last)), "invoke(0..=1)");
    assert!(!machine.wants_tail());
    assert_eq!(step(&mut machine, 1, failed()), "FunctionFailed");
    step(&mut machine, 501, time());
    assert_eq!(step(&mut machine, 502, ok()), "Ok checkpoint(2) drained");
    assert_eq!(step(&mut machine, 503, Event::Stop), "stopped");
}

#[test]
fn failed_reads_are_repeated_with_growing_waits() {
    let mut machine = machine(2, 0);
    step(&mut machine, 0, Event::Start);
    let failure = || Event::ReadFailed(ProcessingResult::ReadFailed);
    assert_eq!(step(&mut machine, 0, failure()), "ReadFailed");
    assert_eq!(machine.deadline(), Some(at(100)));
    assert_eq!(step(&mut machine, 100, time()), "read(0,2)");
    step(&mut machine, 100, failure());
    assert_eq!(machine.deadline(), Some(at(300)));
    step(&mut machine, 300, time());
    assert_eq!(step(&mut machine, 300, read(records(0..1, 5), 1)), "invoke(0..=0)");
}

#[test]
fn positions_without_records_move_the_checkpoint() {
    let mut machine = machine(2, 0);
    step(&mut machine, 0, Event::Start);
    assert_eq!(step(&mut machine, 0, read(vec![], 7)), "checkpoint(7)");
}

#[test]
fn a_start_by_time_has_no_checkpoint_before_its_first_read() {
    let settings = Settings { batch_size: 2, batching_window: Duration::ZERO };
    let mut machine = ShardMachine::new(settings, format(), ReadFrom::Time(at(5)), None, at(0));
    step(&mut machine, 0, Event::Start);
    assert_eq!(step(&mut machine, 0, read(records(4..5, 5), 5)), "invoke(4..=4) checkpoint(4)");
}

#[test]
fn a_clock_set_back_does_not_hold_a_batch_longer_than_its_window() {
    let mut machine = machine(2, 10);
    step(&mut machine, 50_000, Event::Start);
    step(&mut machine, 50_000, read(records(0..1, 5), 1));
    step(&mut machine, 20_000, time());
    assert_eq!(machine.deadline(), Some(at(30_000)));
}
