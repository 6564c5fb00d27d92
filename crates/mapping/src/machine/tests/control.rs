//! Stop, suspend, step, skip, and the end of a shard.

use super::*;

#[test]
fn a_stopped_machine_ends_its_invocation_and_begins_nothing() {
    let mut bench = Bench::new(settings(2));
    bench.go(0, read_more(records(0..2), 2));
    bench.go(0, read(records(2..4), 4));
    assert_eq!(bench.go(1, Event::Stop), "");
    assert_eq!(bench.go(2, ok()), "Ok keep(2) stopped");
    assert_eq!(bench.go(3, Event::Stop), "");
    assert!(!bench.machine.wants_tail());
    assert_eq!(bench.go(4, Event::Step), "");
    assert_eq!(bench.go(4, Event::Skip), "");
}

#[test]
fn a_machine_stopped_between_tries_keeps_its_place() {
    let mut bench = Bench::new(settings(2));
    bench.go(0, read(records(0..2), 2));
    bench.go(0, failed());
    assert_eq!(bench.go(1, Event::Stop), "stopped");
    assert_eq!(bench.deadline(), None);
}

#[test]
fn a_stop_waits_for_a_failed_batch_on_its_way() {
    let mut bench = Bench::new(Settings { retries_max: Some(0), ..settings(2) });
    bench.go(0, read(records(0..2), 2));
    bench.go(0, failed());
    assert_eq!(bench.go(1, Event::Stop), "");
    let problem = Event::Discarded { lane: 0, delivered: Err(DeliveryProblem::NotDelivered) };
    assert_eq!(bench.go(1, problem), "");
    assert_eq!(bench.deadline(), Some(501));
    assert_eq!(bench.go(501, time()), "discard(0..=1 RetryAttemptsExhausted 1)");
    assert_eq!(bench.go(502, delivered()), "discarded(2) keep!(2) stopped");
}

#[test]
fn a_suspended_machine_goes_on_where_it_was() {
    let mut bench = Bench::new(settings(2));
    bench.go(0, read(records(0..2), 2));
    bench.go(0, Event::Suspend);
    assert!(bench.machine.status().is_suspended);
    assert_eq!(bench.go(0, failed()), "FunctionFailed keep!(0 2..=1x1)");
    assert_eq!(bench.deadline(), None);
    assert_eq!(bench.go(9000, time()), "");
    bench.go(9000, Event::Resume);
    assert_eq!(bench.deadline(), Some(500));
    assert_eq!(bench.go(9000, time()), "invoke(0..=1)");
}

#[test]
fn a_suspended_machine_reads_nothing() {
    let mut bench = Bench::new(settings(2));
    bench.go(0, Event::Suspend);
    assert_eq!(bench.go(0, read(records(0..1), 1)), "");
    assert!(!bench.machine.wants_tail());
    assert_eq!(bench.go(1, Event::Resume), "invoke(0)");
}

#[test]
fn a_step_begins_one_batch_and_no_more() {
    let mut bench = Bench::new(settings(2));
    bench.go(0, Event::Suspend);
    bench.go(0, read(records(0..4), 4));
    assert_eq!(bench.go(1, Event::Step), "invoke(0..=1)");
    assert_eq!(bench.go(2, ok()), "Ok keep(2)");
    assert_eq!(bench.go(3, Event::Step), "invoke(2..=3)");
}

#[test]
fn a_step_waits_for_neither_window_nor_back_off() {
    let mut bench = Bench::new(Settings { batching_window: Duration::from_mins(5), ..settings(10) });
    bench.go(0, Event::Suspend);
    bench.go(0, read(records(0..2), 2));
    assert_eq!(bench.go(1, Event::Step), "invoke(0..=1)");
    assert_eq!(bench.go(2, failed()), "FunctionFailed keep!(0 2..=1x1)");
    assert_eq!(bench.go(3, Event::Step), "invoke(0..=1)", "without the wait of half a second");
    bench.go(4, failed());
    assert_eq!(bench.go(60_000, time()), "", "and no further one");
}

#[test]
fn a_step_without_records_reads_and_takes_the_next_ones() {
    let mut bench = Bench::new(settings(10));
    bench.go(0, read(vec![], 0));
    bench.go(0, Event::Suspend);
    bench.go(1, Event::Step);
    assert!(bench.machine.wants_tail());
    assert_eq!(bench.go(2, Event::Tail), "read(0,64)");
    assert_eq!(bench.go(2, read(records(0..1), 1)), "invoke(0)");
}

#[test]
fn a_permit_of_a_step_does_not_outlive_its_pause() {
    let mut bench = Bench::new(Settings { batching_window: Duration::from_secs(10), ..settings(10) });
    bench.go(0, read(vec![], 0));
    bench.go(0, Event::Suspend);
    bench.go(1, Event::Step);
    bench.go(2, Event::Resume);
    assert_eq!(bench.go(3, Event::Tail), "read(0,64)");
    assert_eq!(bench.go(3, read(records(0..1), 1)), "", "the window is not cut short");
    bench.go(4, Event::Suspend);
    assert!(!bench.machine.wants_tail());
    assert_eq!(bench.go(20_000, time()), "");
}

#[test]
fn nothing_is_skippable_once_a_stop_was_asked_for() {
    let mut bench = Bench::new(Settings { lanes: 2, ..settings(10) });
    assert_eq!(bench.go(0, read(vec![in_lane(0, 0, 2), in_lane(1, 1, 2)], 2)), "invoke(0) invoke[1](1) keep(0|1)");
    bench.go(1, ended(1, fails()));
    let skippable = |bench: &Bench| bench.machine.skippable().iter().map(|lane| lane.batch_records).collect::<Vec<_>>();
    assert_eq!(skippable(&bench), [1]);
    bench.go(2, Event::Stop);
    assert!(skippable(&bench).is_empty());
    assert_eq!(bench.go(3, Event::Skip), "");
}

#[test]
fn a_skip_gives_up_the_batch_that_waits() {
    let mut bench = Bench::new(settings(2));
    bench.go(0, read(records(0..4), 4));
    bench.go(0, failed());
    assert_eq!(bench.go(1, Event::Skip), "discard(0..=1 Skipped 1)");
    assert_eq!(bench.go(2, delivered()), "discarded(2) keep!(2) invoke(2..=3)");
    assert_eq!(bench.decisions(), [Decision::Retry, Decision::DiscardSkipped]);
}

#[test]
fn a_skip_leaves_what_runs_or_has_not_failed() {
    let mut bench = Bench::new(settings(2));
    bench.go(0, read(records(0..2), 2));
    assert_eq!(bench.go(1, Event::Skip), "");
    assert_eq!(bench.go(2, ok()), "Ok keep(2)");
    assert_eq!(bench.go(3, Event::Skip), "");
}

#[test]
fn a_suspended_machine_skips_too() {
    let mut bench = Bench::new(settings(2));
    bench.go(0, read(records(0..4), 4));
    bench.go(0, Event::Suspend);
    bench.go(0, failed());
    assert_eq!(bench.go(1, Event::Skip), "discard(0..=1 Skipped 1)");
    assert_eq!(bench.go(2, delivered()), "discarded(2) keep!(2)");
}

#[test]
fn an_ended_shard_is_drained_when_its_last_batch_is_final() {
    let mut bench = Bench::new(settings(2));
    assert_eq!(bench.go(0, read_last(records(0..2), 2)), "invoke(0..=1)");
    assert!(!bench.machine.wants_tail());
    bench.go(1, failed());
    bench.go(501, time());
    assert_eq!(bench.go(502, ok()), "Ok keep(2) drained");
    assert_eq!(bench.go(503, Event::Stop), "stopped");
}

#[test]
fn an_ended_shard_is_drained_after_its_last_failed_batch_is_delivered() {
    let mut bench = Bench::new(Settings { retries_max: Some(0), ..settings(2) });
    bench.go(0, read_last(records(0..2), 2));
    assert_eq!(bench.go(1, failed()), "discard(0..=1 RetryAttemptsExhausted 1) FunctionFailed keep(0 2..=1x1)");
    assert_eq!(bench.go(2, delivered()), "discarded(2) keep!(2) drained");
}

#[test]
fn an_empty_shard_that_has_ended_is_drained_at_once() {
    let mut bench = Bench::new(settings(2));
    assert_eq!(bench.go(0, read_last(vec![], 0)), "drained");
}
