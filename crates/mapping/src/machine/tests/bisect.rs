//! `BisectBatchOnFunctionError` (event source mapping reference, section 6.1).

use super::*;

fn bisecting(batch_size: usize, retries: u32) -> Settings {
    Settings { bisect: true, retries_max: Some(retries), ..settings(batch_size) }
}

#[test]
fn halves_are_sent_in_order_and_cost_no_retry() {
    let played =
        play(bisecting(8, 1), &records(0..8), 0, |_, records| if has(records, 5) { fails() } else { answers("") });
    assert_eq!(played.batches(), ["0..=7", "0..=3", "4..=7", "4..=5", "4", "5", "5", "6..=7"]);
    assert_eq!(played.failures(), ["5 RetryAttemptsExhausted 2"], "all its retries were left");
    assert_eq!(progress_text(&played.progress), "8");
}

#[test]
fn the_first_half_of_an_odd_batch_is_the_larger() {
    let mut bench = Bench::new(bisecting(5, 0));
    bench.go(0, read(records(0..5), 5));
    assert_eq!(bench.go(0, failed()), "FunctionFailed keep!(0 3..=2x0 2..=4x0) invoke(0..=2)");
    assert_eq!(bench.go(1, ok()), "Ok invoke(3..=4) keep(3 2..=4x0)");
    assert_eq!(bench.decisions(), [Decision::Bisect, Decision::Checkpoint]);
}

#[test]
fn only_batches_of_one_record_are_given_up() {
    let played = play(bisecting(4, 0), &records(0..4), 0, |_, _| fails());
    assert_eq!(played.batches(), ["0..=3", "0..=1", "0", "1", "2..=3", "2", "3"]);
    let failures: Vec<String> = (0..4).map(|position| format!("{position} RetryAttemptsExhausted 1")).collect();
    assert_eq!(played.failures(), failures);
}

#[test]
fn a_batch_of_one_record_is_retried() {
    let played = play(bisecting(1, 2), &records(0..1), 0, |_, _| fails());
    assert_eq!(played.deliveries, ["0: 0", "500: 0", "1500: 0"]);
    assert_eq!(played.failures(), ["0 RetryAttemptsExhausted 3"]);
}

#[test]
fn the_largest_batch_leaves_few_parts_behind() {
    let mut parts_max = 0;
    let mut bench = Bench::new(bisecting(10_000, 0));
    bench.go(0, read(records(0..10_000), 10_000));
    for _ in 0..14 {
        bench.go(0, failed());
        parts_max = parts_max.max(bench.progress.as_ref().unwrap().lanes[0].failed.len());
    }
    assert_eq!(bench.sent.last().unwrap().records().len(), 1);
    assert_eq!(parts_max, 15);
    assert!(parts_max <= progress::FAILED_BATCHES_MAX);
}

#[test]
fn what_did_not_reach_the_function_is_not_split() {
    let mut bench = Bench::new(bisecting(4, 0));
    bench.go(0, read(records(0..4), 4));
    assert_eq!(bench.go(0, ended(0, throttled())), "Throttled");
    assert_eq!(bench.go(100, time()), "invoke(0..=3)");
}

#[test]
fn a_reported_failure_splits_there_and_halves_nothing() {
    let settings = Settings { partial_failures: true, ..bisecting(8, 1) };
    let played =
        play(settings, &records(0..8), 0, |_, records| if has(records, 5) { reports_failed(5) } else { answers("") });
    assert_eq!(played.batches(), ["0..=7", "5..=7", "5..=7"], "a first record that fails is no place to split");
    assert_eq!(played.failures(), ["5..=7 RetryAttemptsExhausted 2"]);
}

#[test]
fn a_function_error_halves_also_when_failures_may_be_reported() {
    let settings = Settings { partial_failures: true, ..bisecting(4, 0) };
    let played = play(settings, &records(0..4), 0, |_, records| if has(records, 3) { fails() } else { answers("") });
    assert_eq!(played.batches(), ["0..=3", "0..=1", "2..=3", "2", "3"]);
    assert_eq!(played.failures(), ["3 RetryAttemptsExhausted 1"]);
}
