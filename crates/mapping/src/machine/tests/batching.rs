//! When a batch is sent, and what is in it.

use super::*;

fn windowed(batch_size: usize, seconds: u64) -> Settings {
    Settings { batching_window: Duration::from_secs(seconds), ..settings(batch_size) }
}

#[test]
fn without_a_window_what_one_read_gave_is_sent_at_once() {
    let mut bench = Bench::unstarted(settings(10), Start::Kept(Progress::at(Position(0))));
    assert_eq!(bench.go(0, Event::Start), "read(0,64)");
    assert_eq!(bench.go(1, read(vec![], 0)), "");
    assert!(bench.machine.wants_tail());
    assert_eq!(bench.deadline(), None, "an idle shard has no timer");
    assert_eq!(bench.go(500, Event::Tail), "read(0,64)");
    assert_eq!(bench.go(501, read(records(0..1), 1)), "invoke(0)");
    assert!(bench.machine.wants_tail(), "the next batch is read while the function runs");
    assert_eq!(bench.go(600, Event::Tail), "read(1,64)");
    assert_eq!(bench.go(601, read(records(1..4), 4)), "");
    assert_eq!(bench.go(700, ok()), "Ok invoke(1..=3) keep(1)");
    assert_eq!(bench.go(800, ok()), "Ok keep(4)");
}

#[test]
fn a_batch_holds_at_most_the_batch_size_and_one_is_in_flight() {
    let mut bench = Bench::new(settings(3));
    assert_eq!(bench.go(1, read_more(records(0..64), 64)), "invoke(0..=2) read(64,3)");
    assert_eq!(bench.go(2, read_more(records(64..67), 67)), "", "read ahead is bounded");
    assert_eq!(bench.go(3, ok()), "Ok invoke(3..=5) read(67,3) keep(3)");
}

#[test]
fn a_window_gathers_and_begins_anew_when_the_invocation_ends() {
    let mut bench = Bench::new(windowed(100, 10));
    bench.go(1, read(vec![], 0));
    bench.go(25_000, Event::Tail);
    assert_eq!(bench.go(25_000, read(records(0..1), 1)), "");
    assert_eq!(bench.deadline(), Some(30_000), "windows follow each other from the beginning");
    bench.go(26_000, Event::Tail);
    assert_eq!(bench.go(26_000, read(records(1..2), 2)), "");
    assert_eq!(bench.go(30_000, time()), "invoke(0..=1)");
    bench.go(31_000, Event::Tail);
    assert_eq!(bench.go(31_000, read(records(2..3), 3)), "");
    assert_eq!(bench.deadline(), None);
    assert_eq!(bench.go(47_000, ok()), "Ok keep(2)");
    assert_eq!(bench.deadline(), Some(57_000));
    assert_eq!(bench.go(57_000, time()), "invoke(2)");
}

#[test]
fn a_full_batch_does_not_wait_for_the_window() {
    let mut bench = Bench::new(windowed(2, 10));
    assert_eq!(bench.go(1, read(records(0..1), 1)), "");
    bench.go(2, Event::Tail);
    assert_eq!(bench.go(2, read(records(1..2), 2)), "invoke(0..=1)");
}

#[test]
fn a_window_without_records_invokes_nothing() {
    let played = play(windowed(100, 10), &[], 0, |_, _| answers(""));
    assert_eq!(played.deliveries, [""; 0]);
}

#[test]
fn six_megabytes_of_event_cut_a_batch() {
    let mut bench = Bench::new(windowed(100, 300));
    // 1 MB is 1.33 MB as base64: four fit, the fifth does not.
    assert_eq!(bench.go(1, read_more(large(0..4, 1_000_000), 4)), "read(4,96)");
    assert_eq!(bench.go(2, read_more(large(4..8, 1_000_000), 8)), "invoke(0..=3) read(8,96)");
}

#[test]
fn an_event_may_have_exactly_as_many_bytes_as_an_invocation_takes() {
    let one = format().build(&large(0..1, 0), None).len();
    let data_bytes = (crate::event::EVENT_BYTES_MAX - one) / 4 * 3;
    let mut bench = Bench::new(settings(100));
    assert_eq!(bench.go(1, read(large(0..1, data_bytes), 1)), "invoke(0)");
    assert!(bench.sent[0].event().len() > crate::event::EVENT_BYTES_MAX - 4);
    let mut bench = Bench::new(settings(100));
    assert!(bench.go(1, read(large(0..1, data_bytes + 1), 1)).contains("discard(0 TooLarge 1)"));
}

#[test]
fn a_clock_set_back_does_not_hold_a_batch_longer_than_its_window() {
    let mut bench = Bench::unstarted(windowed(2, 10), Start::Kept(Progress::at(Position(0))));
    bench.go(50_000, Event::Start);
    bench.go(50_000, read(records(0..1), 1));
    bench.go(20_000, time());
    assert_eq!(bench.deadline(), Some(30_000));
}
