//! What a machine makes of an earlier one's progress.

use super::*;

fn outline(last: u64, records: usize, failures: u32) -> FailedOutline {
    FailedOutline { last: Position(last), records, failures }
}

fn kept(next: u64, failed: Vec<FailedOutline>) -> Progress {
    Progress { lanes: vec![LaneProgress { next: Position(next), failed }], window: None }
}

fn retries(batch_size: usize, retries: u32) -> Settings {
    Settings { retries_max: Some(retries), ..settings(batch_size) }
}

#[test]
fn a_failed_batch_is_made_again_with_its_count() {
    let mut bench = Bench::started(retries(10, 3), Start::Kept(kept(2, vec![outline(4, 3, 2)])));
    assert_eq!(bench.go(0, read(vec![record(2), record(3), record(4), record(5)], 6)), "invoke(2..=4)");
    assert_eq!(bench.go(0, failed()), "FunctionFailed keep!(2 3..=4x3)");
    bench.go(4000, time());
    assert!(bench.go(4000, failed()).starts_with("discard(2..=4 RetryAttemptsExhausted 4)"));
    assert_eq!(bench.go(4000, delivered()), "discarded(3) keep!(5) invoke(5)");
}

#[test]
fn a_batch_that_failed_is_made_again_with_its_size_whatever_the_batch_size_is_now() {
    let failed = vec![outline(4, 3, 1)];
    let played = play_from(settings(1), kept(2, failed.clone()), &records(0..7), 0, |_, _| answers(""));
    assert_eq!(played.batches(), ["2..=4", "5", "6"]);
    let played = play_from(settings(100), kept(2, failed), &records(0..7), 0, |_, _| answers(""));
    assert_eq!(played.batches(), ["2..=4", "5..=6"]);
}

#[test]
fn the_parts_of_a_split_batch_are_made_again() {
    let failed = vec![outline(1, 2, 0), outline(3, 2, 0), outline(7, 4, 0)];
    let settings = Settings { bisect: true, ..retries(8, 0) };
    let played = play_from(settings, kept(0, failed), &records(0..10), 0, |_, _| answers(""));
    assert_eq!(played.batches(), ["0..=1", "2..=3", "4..=7", "8..=9"]);
}

#[test]
fn a_batch_that_had_used_up_its_retries_is_tried_once_more() {
    // Fewer are allowed now, or the crash came before the batch was given up.
    let mut bench = Bench::started(retries(10, 1), Start::Kept(kept(0, vec![outline(0, 1, 7)])));
    assert_eq!(bench.go(0, read(records(0..1), 1)), "invoke(0) keep(0 1..=0x1)");
    assert_eq!(bench.go(0, failed()), "discard(0 RetryAttemptsExhausted 2) FunctionFailed keep(0 1..=0x2)");
}

#[test]
fn a_failed_batch_of_which_a_part_left_the_stream_is_made_of_the_rest() {
    let played = play_from(settings(10), kept(0, vec![outline(4, 5, 1)]), &records(3..7), 0, |_, _| answers(""));
    assert_eq!(played.batches(), ["3..=4", "5..=6"]);
    let played = play_from(settings(10), kept(0, vec![outline(4, 5, 1)]), &records(6..7), 0, |_, _| answers(""));
    assert_eq!(played.batches(), ["6"]);
}

#[test]
fn a_failed_batch_among_more_records_than_it_had_goes_on_in_parts() {
    // A narrow filter was taken away, or let only these records through.
    let stream = records(0..25_000);
    let played = play_from(settings(100), kept(0, vec![outline(24_899, 100, 1)]), &stream, 0, |_, _| answers(""));
    assert_eq!(played.deliveries.len(), 250);
    assert_eq!((played.batches()[0], played.batches()[249]), ("0..=99", "24900..=24999"));
    assert_eq!(progress_text(&played.progress), "25000");
}

#[test]
fn what_is_read_of_a_failed_batch_later_has_its_past() {
    let start = Start::Kept(kept(0, vec![outline(5, 2, 1)]));
    let mut bench = Bench::started(Settings { retries_max: Some(1), ..settings(2) }, start);
    assert_eq!(bench.go(0, read_more(records(0..2), 2)), "invoke(0..=1) keep(0 2..=1x1 2..=5x1)");
    assert_eq!(bench.go(1, ok()), "Ok read(2,64) keep(2 2..=5x1)");
    bench.go(1, read_more(records(2..6), 6));
    assert_eq!(bench.go(2, failed()), "discard(2..=3 RetryAttemptsExhausted 2) FunctionFailed keep(2 2..=3x2 2..=5x1)");
}

#[test]
fn a_part_that_fails_after_a_restart_is_held_in_memory_alone() {
    let start = Start::Kept(kept(0, vec![outline(1, 2, 1), outline(3, 2, 1), outline(5, 2, 1)]));
    let mut bench = Bench::started(settings(10), start);
    assert_eq!(bench.go(0, read_more(large(0..3, 1_000_000), 3)), "invoke(0..=1)");
    for now in [1, 10_000, 20_000] {
        assert!(!bench.go(now, failed()).contains("read"), "nothing is read beside a batch that fails");
        assert_eq!(bench.go(now + 9_000, time()), "invoke(0..=1)");
    }
    assert_eq!(bench.go(40_000, ok()), "Ok read(3,63) keep(2 2..=3x1 2..=5x1)");
}

#[test]
fn a_stop_during_a_retry_keeps_the_count() {
    let mut bench = Bench::new(retries(2, 3));
    bench.go(0, read(records(0..2), 2));
    bench.go(0, failed());
    bench.go(500, time());
    bench.go(500, failed());
    assert_eq!(bench.go(600, Event::Stop), "stopped");
    let progress = bench.progress.unwrap();
    assert_eq!(progress_text(&progress), "0 2..=1x2");
    let played = play_from(retries(2, 3), progress, &records(0..2), 600, |_, _| fails());
    assert_eq!(played.failures(), ["0..=1 RetryAttemptsExhausted 4"]);
    assert_eq!(played.deliveries.len(), 2, "two of four tries were used before the stop");
}

#[test]
fn a_stop_while_a_split_batch_is_in_flight_keeps_its_parts() {
    let mut bench = Bench::new(Settings { bisect: true, ..retries(4, 0) });
    bench.go(0, read(records(0..4), 4));
    bench.go(0, failed());
    assert_eq!(bench.go(1, Event::Stop), "");
    assert_eq!(bench.go(2, ok()), "Ok keep(2 2..=3x0) stopped");
}

#[test]
fn progress_never_goes_back() {
    let mut last = 0;
    let played = play(Settings { bisect: true, ..retries(8, 1) }, &records(0..50), 0, |_, records| {
        assert!(records[0].position.0 >= last, "an earlier record is final");
        if records.iter().any(|record| record.position.0 % 7 == 0) {
            return fails();
        }
        last = records.last().unwrap().position.0;
        answers("")
    });
    assert_eq!(played.failures().len(), 8);
}
