//! Tumbling windows (event source mapping reference, section 9).

use super::*;

fn tumbling(batch_size: usize) -> Settings {
    Settings { tumbling_window: Some(Duration::from_mins(2)), ..settings(batch_size) }
}

/// The beginning of a window: two minutes are aligned to even minutes.
const BEGIN: u64 = 1_700_000_040_000 % 120_000;
const NEXT: u64 = 120_000 - BEGIN;

fn state(text: &str) -> Event {
    ended(0, answers(format!(r#"{{"state":{text}}}"#)))
}

#[test]
fn an_event_carries_its_window() {
    let mut bench = Bench::new(tumbling(10));
    assert_eq!(bench.go(0, read(vec![arrived(0, NEXT), arrived(1, NEXT + 119_999)], 2)), "invoke(0..=1) keep(0 {})");
    let event = bench.event();
    let members: Vec<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members.len(), 7, "{members:?}");
    let start = crate::dates::seconds(at(NEXT));
    assert!(start.ends_with(":00Z"), "{start}");
    assert_eq!(event["window"]["start"], start);
    assert_eq!(event["window"]["end"], crate::dates::seconds(at(NEXT + 120_000)));
    assert_eq!(event["state"], serde_json::json!({}));
    assert_eq!(event["shardId"], "shardId-000000000000");
    assert_eq!(event["eventSourceARN"], "arn:aws:kinesis:eu-central-1:000000000000:stream/s");
    assert_eq!((&event["isFinalInvokeForWindow"], &event["isWindowTerminatedEarly"]), (&false.into(), &false.into()));
    assert_eq!(event["Records"].as_array().unwrap().len(), 2);
}

#[test]
fn the_state_goes_from_invocation_to_invocation_byte_by_byte_and_a_last_one_ends_the_window() {
    let mut bench = Bench::new(tumbling(1));
    bench.go(0, read(vec![arrived(0, NEXT), arrived(1, NEXT + 1), arrived(2, NEXT + 120_000)], 3));
    assert_eq!(bench.go(1, state(r#"{"sum": 1.50, "b":[]}"#)), r#"Ok invoke(1) keep(1 {"sum": 1.50, "b":[]})"#);
    let text = std::str::from_utf8(bench.sent[1].event()).unwrap();
    assert!(text.contains(r#""state":{"sum": 1.50, "b":[]},"#), "{text}");
    assert_eq!(bench.go(2, state("2")), "Ok invoke(final) keep(2 2)");
    let event = bench.event();
    assert_eq!(event["state"], 2);
    assert_eq!(event["Records"], serde_json::json!([]));
    assert_eq!((&event["isFinalInvokeForWindow"], &event["isWindowTerminatedEarly"]), (&true.into(), &false.into()));
    assert_eq!(event["window"]["end"], crate::dates::seconds(at(NEXT + 120_000)));
    assert_eq!(bench.go(3, state("3")), "Ok invoke(2) keep(2 {})", "the next window begins empty");
    assert_eq!(bench.event()["window"]["start"], crate::dates::seconds(at(NEXT + 120_000)));
}

#[test]
fn each_record_belongs_to_one_window() {
    let mut bench = Bench::new(tumbling(10));
    let stream = vec![arrived(0, NEXT - 1), arrived(1, NEXT), arrived(2, NEXT + 119_999), arrived(3, NEXT + 120_000)];
    assert_eq!(bench.go(0, read(stream, 4)), "invoke(0) keep(0 {})");
    assert_eq!(bench.go(1, state("{}")), "Ok invoke(final) keep(1 {})");
    assert_eq!(bench.go(2, state("{}")), "Ok invoke(1..=2) keep(1 {})");
    bench.go(3, state("{}"));
    assert_eq!(bench.go(4, state("{}")), "Ok invoke(3) keep(3 {})");
}

#[test]
fn a_quiet_stream_ends_its_window_once_everything_is_read() {
    let mut bench = Bench::new(tumbling(10));
    bench.go(NEXT, read(vec![arrived(0, NEXT)], 1));
    bench.go(NEXT, state("1"));
    let closing = NEXT + 121_000;
    assert_eq!(bench.deadline(), Some(closing), "a record may be late by a second");
    assert_eq!(bench.go(closing - 1, time()), "");
    assert_eq!(bench.go(closing, time()), "read(1,64)", "it looks again first");
    assert_eq!(bench.go(closing, read(vec![], 1)), "invoke(final)");
    assert_eq!(bench.go(closing, state("1")), "Ok keep(1)");
    assert_eq!(bench.deadline(), None);
}

#[test]
fn a_record_found_by_the_last_look_still_belongs_to_the_window() {
    let mut bench = Bench::new(tumbling(10));
    bench.go(NEXT, read(vec![arrived(0, NEXT)], 1));
    bench.go(NEXT, state("1"));
    bench.go(NEXT + 121_000, time());
    let late = arrived(1, NEXT + 119_000);
    assert_eq!(bench.go(NEXT + 121_000, read(vec![late], 2)), "invoke(1)");
}

#[test]
fn a_missing_state_fails_the_invocation() {
    for response in ["", "{}", "null", r#"{"batchItemFailures":[]}"#, r#"{"State":{}}"#, "[1]", "no JSON"] {
        let mut bench = Bench::new(Settings { retries_max: Some(0), ..tumbling(10) });
        bench.go(0, read(vec![arrived(0, NEXT)], 1));
        let text = bench.go(0, ended(0, answers(response)));
        assert_eq!(text, "discard(0 RetryAttemptsExhausted 1) FunctionFailed keep(0 1..=0x1 {})", "{response}");
        assert!(bench.failed[0].invocation.as_ref().unwrap().is_function_error);
    }
}

#[test]
fn a_failed_last_invocation_holds_up_the_shard_until_it_succeeds() {
    let mut bench = Bench::new(Settings { retries_max: Some(0), ..tumbling(10) });
    bench.go(0, read(vec![arrived(0, NEXT), arrived(1, NEXT + 120_000)], 2));
    bench.go(0, state("1"));
    let mut now = 0;
    for _ in 0..5 {
        assert_eq!(bench.go(now, failed()), "FunctionFailed keep!(1 1)");
        now = bench.deadline().unwrap();
        assert_eq!(bench.go(now, time()), "invoke(final)");
    }
    assert_eq!(bench.go(now, state("1")), "Ok invoke(1) keep(1 {})");
}

#[test]
fn a_state_over_one_megabyte_ends_its_window_early() {
    let mut bench = Bench::new(tumbling(1));
    bench.go(0, read(vec![arrived(0, NEXT), arrived(1, NEXT + 1)], 2));
    let state_of = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    let text = bench.go(1, state(&state_of(1_000_001)));
    assert_eq!(text, "Ok invoke(final)", "so large a state is not kept");
    let event = bench.event();
    assert_eq!((&event["isFinalInvokeForWindow"], &event["isWindowTerminatedEarly"]), (&true.into(), &true.into()));
    assert_eq!(event["state"].as_str().unwrap().len(), 999_999);
    assert_eq!(bench.go(2, state("{}")), "Ok invoke(1) keep(1 {})");
    assert_eq!(
        bench.event()["window"]["start"],
        crate::dates::seconds(at(NEXT)),
        "the rest of its time is a new window"
    );
    assert_eq!(bench.event()["isWindowTerminatedEarly"], false);

    let mut bench = Bench::new(tumbling(1));
    bench.go(0, read(vec![arrived(0, NEXT), arrived(1, NEXT + 1)], 2));
    assert!(bench.go(1, state(&state_of(1_000_000))).starts_with("Ok invoke(1)"), "1 MB is allowed");
}

/// Reports the record at `position` as failed and gives a state of so many bytes.
fn grows(position: u64, bytes: usize) -> Event {
    let number = format().shard().sequence_number(&arrived(position, NEXT));
    let state = format!("\"{}\"", "x".repeat(bytes - 2));
    ended(0, answers(format!(r#"{{"state":{state},"batchItemFailures":[{{"itemIdentifier":"{number}"}}]}}"#)))
}

/// Five records that fill an event, in flight.
fn full_event() -> Bench {
    let mut bench = Bench::new(Settings { partial_failures: true, ..tumbling(10) });
    let stream = (0..5).map(|p| Record { data: vec![0; 900_000].into(), ..arrived(p, NEXT) }).collect();
    assert!(bench.go(0, read(stream, 5)).starts_with("invoke(0..=4)"));
    bench
}

#[test]
fn a_rest_that_does_not_fit_beside_a_grown_state_is_split() {
    let mut bench = Bench::new(Settings { partial_failures: true, ..tumbling(10) });
    let sizes = [1_000, 1_100_000, 1_100_000, 1_100_000, 1_100_000];
    let stream = sizes.iter().zip(0..).map(|(size, p)| Record { data: vec![0; *size].into(), ..arrived(p, NEXT) });
    assert!(bench.go(0, read(stream.collect(), 5)).starts_with("invoke(0..=4)"));
    let text = bench.go(1, grows(1, 1_000_000));
    assert!(text.contains("keep!(1 4..=4x0"), "{}", &text[..60]);
    bench.go(501, time());
    assert_eq!(span(bench.sent.last().unwrap().records()), "1..=3");
    bench.go(502, state("1"));
    assert_eq!(span(bench.sent.last().unwrap().records()), "4");
    assert!(bench.sent.iter().all(|batch| batch.event().len() <= crate::event::EVENT_BYTES_MAX));
}

#[test]
fn a_state_that_outgrows_its_bound_before_a_rest_ends_the_window_first() {
    let mut bench = full_event();
    bench.go(0, grows(2, 5_000_000));
    assert_eq!(span(bench.sent.last().unwrap().records()), "final");
    assert_eq!(bench.event()["isWindowTerminatedEarly"], true);
    bench.go(500, state("{}"));
    assert_eq!(span(bench.sent.last().unwrap().records()), "2..=4");
    assert_eq!(bench.event()["state"], serde_json::json!({}));
    assert_eq!(bench.event()["window"]["start"], crate::dates::seconds(at(NEXT)));
    assert_eq!(bench.go(501, state("1")), "Ok keep(5 1)");
    assert!(bench.sent.iter().all(|batch| batch.event().len() <= crate::event::EVENT_BYTES_MAX));
}

#[test]
fn a_record_that_fits_into_no_event_beside_its_windows_state_is_given_up() {
    let mut bench = Bench::new(Settings { partial_failures: true, ..tumbling(10) });
    let sizes = [1_000, 4_000_000];
    let stream = sizes.iter().zip(0..).map(|(size, p)| Record { data: vec![0; *size].into(), ..arrived(p, NEXT) });
    bench.go(0, read(stream.collect(), 2));
    bench.go(0, Event::Suspend);
    bench.go(1, grows(1, 1_000_000));
    assert_eq!(bench.go(2, Event::Resume), "discard(1 TooLarge 1) RecordTooLarge");
}

#[test]
fn the_end_of_the_shard_closes_the_window() {
    let mut bench = Bench::new(tumbling(10));
    assert_eq!(bench.go(NEXT, read_last(vec![arrived(0, NEXT)], 1)), "invoke(0) keep(0 {})");
    assert_eq!(bench.go(NEXT, state("1")), "Ok invoke(final) keep(1 1)");
    assert_eq!(bench.event()["isWindowTerminatedEarly"], false);
    assert_eq!(bench.go(NEXT, state("1")), "Ok keep(1) drained");
}

#[test]
fn state_and_reported_failures_go_together() {
    let mut bench = Bench::new(Settings { partial_failures: true, ..tumbling(10) });
    let stream: Vec<Record> = (0..3).map(|position| arrived(position, NEXT)).collect();
    bench.go(0, read(stream, 3));
    let number = format().shard().sequence_number(&arrived(2, NEXT));
    let response = format!(r#"{{"state":{{"n":2}},"batchItemFailures":[{{"itemIdentifier":"{number}"}}]}}"#);
    assert_eq!(bench.go(0, ended(0, answers(response))), r#"FunctionFailed keep!(2 1..=2x0 {"n":2})"#);
    assert_eq!(bench.go(500, time()), "invoke(2)");
    assert_eq!(bench.event()["state"]["n"], 2);
}

#[test]
fn a_failed_batch_leaves_the_state_as_it_was() {
    let mut bench = Bench::new(tumbling(1));
    bench.go(0, read(vec![arrived(0, NEXT), arrived(1, NEXT)], 2));
    bench.go(0, state("1"));
    assert_eq!(bench.go(0, failed()), "FunctionFailed keep!(1 1..=1x1 1)");
    bench.go(500, time());
    assert_eq!(bench.event()["state"], 1);
}

#[test]
fn a_restart_goes_on_with_the_kept_state() {
    let window = WindowProgress { start: at(NEXT), state: r#"{"n": 7}"#.parse().unwrap() };
    let progress = Progress { window: Some(window), ..Progress::at(Position(5)) };
    let mut bench = Bench::started(tumbling(10), Start::Kept(progress.clone()));
    assert_eq!(bench.go(NEXT, read(vec![arrived(5, NEXT + 5)], 6)), "invoke(5)");
    assert_eq!(bench.event()["state"]["n"], 7);
    // A window that ended meanwhile is closed first.
    let mut bench = Bench::started(tumbling(10), Start::Kept(progress));
    assert_eq!(bench.go(NEXT, read(vec![arrived(5, NEXT + 500_000)], 6)), "invoke(final)");
    assert_eq!(bench.event()["window"]["start"], crate::dates::seconds(at(NEXT)));
}

#[test]
fn a_skipped_last_invocation_drops_the_state() {
    let mut bench = Bench::new(tumbling(10));
    bench.go(0, read(vec![arrived(0, NEXT), arrived(1, NEXT + 120_000)], 2));
    bench.go(0, state("1"));
    bench.go(0, failed());
    assert_eq!(bench.go(1, Event::Skip), "keep!(1) invoke(1) keep(1 {})");
    assert!(bench.failed.is_empty(), "it has no records to give up");
}

#[test]
#[should_panic(expected = "a window's state is that of the shard")]
fn windows_need_a_factor_of_one() {
    Bench::new(Settings { lanes: 2, ..tumbling(10) });
}
