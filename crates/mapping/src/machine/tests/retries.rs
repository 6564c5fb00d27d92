//! `MaximumRetryAttempts`, and what does not count (event source mapping reference, section 6).

use super::*;

fn retries(batch_size: usize, retries: u32) -> Settings {
    Settings { retries_max: Some(retries), ..settings(batch_size) }
}

#[test]
fn a_failing_batch_is_tried_again_unchanged_with_growing_waits() {
    let mut bench = Bench::new(settings(2));
    assert_eq!(bench.go(0, read(records(0..2), 2)), "invoke(0..=1)");
    let mut now = 0;
    for (failures, wait) in (1..).zip([500, 1000, 2000, 4000]) {
        assert_eq!(bench.go(now, failed()), format!("FunctionFailed keep!(0 2..=1x{failures})"));
        now += wait;
        assert_eq!(bench.deadline(), Some(now));
        assert_eq!(bench.go(now - 1, time()), "");
        assert_eq!(bench.go(now, time()), "invoke(0..=1)");
    }
    assert_eq!(bench.go(now, ok()), "Ok keep(2)");
    let attempts: Vec<u32> = bench.history.iter().map(|entry| entry.attempt).collect();
    assert_eq!(attempts, [1, 2, 3, 4, 5]);
    let first = bench.sent[0].event();
    assert!(bench.sent.iter().all(|batch| batch.event().as_ptr() == first.as_ptr()), "the event is built once");
}

#[test]
fn records_that_arrive_meanwhile_do_not_join_a_failing_batch() {
    let mut bench = Bench::new(settings(10));
    bench.go(0, read(records(0..1), 1));
    bench.go(0, Event::Tail);
    bench.go(0, read(records(1..2), 2));
    bench.go(0, failed());
    assert_eq!(bench.go(500, time()), "invoke(0)");
    assert_eq!(bench.go(500, ok()), "Ok invoke(1) keep(1)");
}

#[test]
fn n_retries_are_n_plus_one_invocations() {
    for (retries_max, invocations) in [(0, 1), (1, 2), (2, 3), (3, 4), (7, 8)] {
        let played = play(retries(3, retries_max), &records(0..3), 0, |_, _| fails());
        assert_eq!(played.deliveries.len(), invocations);
        assert_eq!(played.failures(), [format!("0..=2 RetryAttemptsExhausted {invocations}")]);
        assert_eq!(progress_text(&played.progress), "3");
        let failed = &played.failed[0];
        let invocation = failed.invocation.as_ref().unwrap();
        assert!(invocation.is_function_error);
        assert_eq!(invocation.executed_version.as_deref(), Some("$LATEST"));
        assert_eq!(played.history.last().unwrap().decision, Decision::DiscardRetriesExhausted);
        assert!(failed.event.is_some());
    }
}

#[test]
fn records_behind_a_batch_that_is_given_up_go_on() {
    let played =
        play(retries(2, 1), &records(0..4), 0, |_, records| if has(records, 0) { fails() } else { answers("") });
    assert_eq!(played.deliveries, ["0: 0..=1", "500: 0..=1", "500: 2..=3"]);
}

#[test]
fn without_a_limit_a_batch_blocks_its_shard() {
    let mut tries = 0;
    let played = play(settings(1), &records(0..2), 0, |_, _| {
        tries += 1;
        if tries < 200 { fails() } else { answers("") }
    });
    assert_eq!((played.deliveries_of(0), played.deliveries_of(1)), (200, 1));
    assert_eq!(played.failures(), [""; 0]);
}

#[test]
fn tries_that_do_not_reach_the_function_wait_less_and_count_apart() {
    let mut bench = Bench::new(settings(2));
    bench.go(0, read(records(0..2), 2));
    assert_eq!(bench.go(0, ended(0, Outcome::NotReady("pending".to_owned()))), "NotReady");
    assert_eq!(bench.deadline(), Some(100));
    bench.go(100, time());
    assert_eq!(bench.go(100, ended(0, throttled())), "Throttled");
    assert_eq!(bench.deadline(), Some(300));
    bench.go(300, time());
    assert_eq!(bench.go(300, failed()), "FunctionFailed keep!(0 2..=1x1)");
    assert_eq!(bench.deadline(), Some(800), "the first failure of the function");
    bench.go(800, time());
    bench.go(800, ended(0, throttled()));
    assert_eq!(bench.deadline(), Some(900), "a new series");
}

#[test]
fn what_does_not_reach_the_function_uses_up_no_retry() {
    let text = || "x".to_owned();
    let kinds: [(&str, Outcome); 5] = [
        ("Throttled", throttled()),
        ("NotPermitted", Outcome::NotPermitted(text())),
        ("FunctionMissing", Outcome::NotFound(text())),
        ("NotReady", Outcome::NotReady(text())),
        ("ServiceError", Outcome::ServiceError(text())),
    ];
    for (result, outcome) in kinds {
        let mut bench = Bench::new(retries(2, 0));
        bench.go(0, read(records(0..2), 2));
        let mut now = 0;
        for _ in 0..20 {
            assert_eq!(bench.go(now, ended(0, outcome.clone())), result);
            now = bench.deadline().unwrap();
            assert_eq!(bench.go(now, time()), "invoke(0..=1)");
        }
        assert!(bench.decisions().iter().all(|decision| *decision == Decision::RetryNotCounted));
        let given_up = bench.go(now, failed());
        assert!(given_up.starts_with("discard(0..=1 RetryAttemptsExhausted 1)"), "{result} counts for nothing");
    }
}

#[test]
fn throttles_between_failures_leave_the_count_as_it_is() {
    let mut tries = 0;
    let played = play(retries(1, 2), &records(0..1), 0, |_, _| {
        tries += 1;
        if tries % 3 == 0 { fails() } else { throttled() }
    });
    assert_eq!(played.deliveries.len(), 9);
    assert_eq!(played.failures(), ["0 RetryAttemptsExhausted 3"]);
}

#[test]
fn partial_progress_begins_the_retries_anew() {
    // Recorded on AWS: the failing record is delivered 5 times, and its failure record says 4.
    let settings = Settings { partial_failures: true, ..retries(3, 3) };
    let played =
        play(settings, &records(0..6), 0, |_, records| if has(records, 5) { reports_failed(5) } else { answers("") });
    assert_eq!(played.batches(), ["0..=2", "3..=5", "5", "5", "5", "5"]);
    assert_eq!(played.deliveries_of(5), 5);
    assert_eq!(played.failures(), ["5 RetryAttemptsExhausted 4"]);
    assert!(!played.failed[0].invocation.as_ref().unwrap().is_function_error, "the function reported it");
}

#[test]
fn a_failure_is_durable_before_the_next_try() {
    let mut bench = Bench::new(settings(2));
    bench.keeps_at_once = false;
    bench.go(0, read(records(0..2), 2));
    assert_eq!(bench.go(0, failed()), "FunctionFailed keep!(0 2..=1x1)");
    assert_eq!(bench.go(9000, time()), "", "it is not yet durable");
    assert_eq!(bench.go(9000, Event::Kept(1)), "invoke(0..=1)");
}
