//! Failed batches on their way to the destination: tried again within bounds, and never in the way for ever.

use super::*;

fn not_delivered() -> Event {
    Event::Discarded { lane: 0, delivered: Err(DeliveryProblem::NotDelivered) }
}

fn given_up() -> Bench {
    let mut bench = Bench::new(Settings { retries_max: Some(0), ..settings(2) });
    bench.go(0, read(records(0..4), 4));
    assert_eq!(bench.go(0, failed()), "discard(0..=1 RetryAttemptsExhausted 1) FunctionFailed keep(0 2..=1x1)");
    bench
}

#[test]
fn a_failed_batch_is_durable_as_final_before_the_next_one_begins() {
    let mut bench = given_up();
    bench.keeps_at_once = false;
    assert_eq!(bench.go(1, delivered()), "discarded(2) keep!(2)");
    assert_eq!(bench.go(9, time()), "");
    assert_eq!(bench.go(10, Event::Kept(1)), "invoke(2..=3)");
}

#[test]
fn nothing_is_final_before_the_batch_is_delivered() {
    let mut bench = given_up();
    assert_eq!(progress_text(bench.progress.as_ref().unwrap()), "0 2..=1x1");
    assert_eq!(bench.go(1, delivered()), "discarded(2) keep!(2) invoke(2..=3)");
}

#[test]
fn a_destination_that_fails_is_tried_again_and_then_given_up() {
    let mut bench = given_up();
    let mut now = 0;
    for wait in [500, 1000, 2000, 4000] {
        assert_eq!(bench.go(now, not_delivered()), "");
        assert_eq!(bench.machine.status().lanes[0].state, table::LaneState::Deferred);
        assert_eq!(bench.deadline(), Some(now + wait));
        now += wait;
        assert_eq!(bench.go(now, time()), "discard(0..=1 RetryAttemptsExhausted 1)");
    }
    assert_eq!(now, 7500);
    assert_eq!(bench.go(now, not_delivered()), "undelivered(2) keep!(2) invoke(2..=3)");
    assert!(bench.failed.iter().all(|failed| failed.at == at(0)), "the same batch each time");
}

#[test]
fn a_batch_that_cannot_be_kept_is_never_given_up() {
    let mut bench = given_up();
    let mut now = 0;
    for _ in 0..50 {
        assert_eq!(bench.go(now, Event::Discarded { lane: 0, delivered: Err(DeliveryProblem::NotKept) }), "");
        now = bench.deadline().unwrap();
        assert_eq!(bench.go(now, time()), "discard(0..=1 RetryAttemptsExhausted 1)");
    }
    assert_eq!(bench.go(now, delivered()), "discarded(2) keep!(2) invoke(2..=3)");
}

#[test]
fn tries_that_did_not_come_to_the_destination_are_no_deliveries() {
    let mut bench = given_up();
    let mut now = 0;
    for _ in 0..6 {
        bench.go(now, Event::Discarded { lane: 0, delivered: Err(DeliveryProblem::NotKept) });
        now = bench.deadline().unwrap();
        bench.go(now, time());
    }
    for _ in 0..4 {
        assert_eq!(bench.go(now, not_delivered()), "");
        now = bench.deadline().unwrap();
        assert_eq!(bench.go(now, time()), "discard(0..=1 RetryAttemptsExhausted 1)");
    }
    assert_eq!(bench.go(now, not_delivered()), "undelivered(2) keep!(2) invoke(2..=3)");
}

#[test]
fn deliveries_go_on_while_nothing_new_may_begin() {
    let mut bench = given_up();
    bench.go(0, Event::Suspend);
    bench.go(0, not_delivered());
    assert_eq!(bench.deadline(), Some(500));
    assert_eq!(bench.go(500, time()), "discard(0..=1 RetryAttemptsExhausted 1)");
    assert_eq!(bench.go(500, delivered()), "discarded(2) keep!(2)");
}
