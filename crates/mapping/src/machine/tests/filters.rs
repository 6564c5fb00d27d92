//! `FilterCriteria`: before batching, and without an outcome of their own (event source mapping reference, section 8).

use super::*;
use crate::filter::Filters;

fn filtered(batch_size: usize) -> Settings {
    let pattern = r#"{"data":{"keep":[true]}}"#.to_owned();
    Settings { filters: Arc::new(Filters::parse(&[pattern]).unwrap()), ..settings(batch_size) }
}

fn kept(position: u64) -> Record {
    Record { data: Bytes::from_static(br#"{"keep": true}"#), ..record(position) }
}

#[test]
fn a_batch_fills_with_matching_records() {
    let stream: Vec<Record> = (0..12).map(|p| if p % 3 == 0 { kept(p) } else { record(p) }).collect();
    let played = play(filtered(2), &stream, 0, |_, _| answers(""));
    assert_eq!(played.batches(), ["0,3", "6,9"]);
    assert_eq!(progress_text(&played.progress), "12");
}

#[test]
fn a_read_without_a_match_invokes_nothing_and_moves_on() {
    let mut bench = Bench::new(filtered(10));
    assert_eq!(bench.go(0, read(records(0..5), 5)), "keep(5)");
    assert!(bench.history.is_empty() && bench.failed.is_empty());
}

#[test]
fn dropped_records_before_an_open_batch_are_done_with_and_those_behind_are_not_yet() {
    let mut bench = Bench::new(filtered(10));
    let stream = vec![record(0), kept(1), record(2)];
    assert_eq!(bench.go(0, read(stream, 3)), "invoke(1) keep(1)");
    assert_eq!(bench.go(1, ok()), "Ok keep(3)");
}

#[test]
fn reads_say_how_many_records_matched_nothing() {
    let mut bench = Bench::new(filtered(10));
    let commands = bench.machine.step(at(0), read(vec![record(0), kept(1), record(2)], 3));
    let polled = commands.iter().find_map(|command| match command {
        Command::Polled { records, filtered_out } => Some((*records, *filtered_out)),
        _ => None,
    });
    assert_eq!(polled, Some((3, 2)));
}

#[test]
fn a_failed_batch_holds_only_what_matched() {
    let stream = [kept(0), record(1), kept(2)];
    let settings = Settings { retries_max: Some(0), ..filtered(10) };
    let played = play(settings, &stream, 0, |_, _| fails());
    assert_eq!(played.failures(), ["0,2 RetryAttemptsExhausted 1"]);
}
