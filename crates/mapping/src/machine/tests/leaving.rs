//! Records that never reach the function: out of the stream, or too large.

use super::*;

#[test]
fn records_that_leave_the_stream_end_their_retries() {
    let mut bench = Bench::new(settings(3));
    bench.go(0, read(records(0..3), 3));
    bench.go(0, failed());
    assert_eq!(bench.go(500, horizon(2)), "invoke(2) keep(2 1..=2x1)");
    bench.go(500, failed());
    assert_eq!(bench.go(1500, horizon(9)), "keep(3)");
    assert_eq!(bench.decisions(), [Decision::Retry, Decision::Retry, Decision::Forget]);
    assert!(bench.failed.is_empty(), "AWS reports no records that left the stream");
}

#[test]
fn records_that_leave_the_stream_before_they_are_sent_are_passed_over() {
    let mut bench = Bench::new(Settings { batching_window: Duration::from_secs(10), ..settings(3) });
    bench.go(0, read(records(0..2), 2));
    assert_eq!(bench.go(10_000, horizon(1)), "invoke(1) keep(1)");
}

#[test]
fn a_record_that_fits_into_no_event_is_given_up() {
    let mut bench = Bench::new(settings(10));
    let mut stream = records(0..1);
    stream.extend(large(1..2, 5_000_000));
    stream.extend(records(2..3));
    assert_eq!(bench.go(0, read(stream, 3)), "invoke(0)");
    assert_eq!(bench.go(1, ok()), "Ok discard(1 TooLarge 1) RecordTooLarge keep(1)");
    assert_eq!(bench.go(2, delivered()), "discarded(1) keep!(2) invoke(2)");
    assert_eq!(bench.go(3, ok()), "Ok keep(3)");
    assert_eq!(bench.failed[0].reason.condition(), "RetryAttemptsExhausted");
    assert_eq!((&bench.failed[0].invocation, &bench.failed[0].event), (&None, &None));
}
