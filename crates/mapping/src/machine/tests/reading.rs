//! Where the shard is read, and what is remembered of it.

use super::*;

#[test]
fn failed_reads_are_repeated_with_growing_waits() {
    let mut bench = Bench::new(settings(2));
    let failure = || Event::ReadFailed(ProcessingResult::ReadFailed);
    assert_eq!(bench.go(0, failure()), "ReadFailed");
    let mut now = 0;
    for wait in [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
        assert_eq!(bench.deadline(), Some(now + wait));
        assert_eq!(bench.go(now + wait - 1, time()), "");
        now += wait;
        assert_eq!(bench.go(now, time()), "read(0,64)");
        assert_eq!(bench.go(now, failure()), "ReadFailed");
    }
    bench.go(now + 10_000, time());
    assert_eq!(bench.go(now + 10_000, read(records(0..1), 1)), "invoke(0)");
    bench.go(now + 10_000, Event::Tail);
    bench.go(now + 10_000, failure());
    assert_eq!(bench.deadline(), Some(now + 10_100), "a read that succeeds ends the series");
}

#[test]
fn positions_without_records_move_what_is_kept() {
    let mut bench = Bench::new(settings(2));
    assert_eq!(bench.go(0, read(vec![], 7)), "keep(7)");
}

#[test]
fn a_start_by_time_keeps_nothing_before_its_first_read() {
    let mut bench = Bench::unstarted(settings(2), Start::At(ReadFrom::Time(at(5))));
    assert!(bench.go(0, Event::Start).starts_with("read(Time("));
    assert_eq!(bench.machine.status().read_to, None);
    assert_eq!(bench.go(0, read(vec![record(4)], 5)), "invoke(4) keep(4)");
}

#[test]
fn what_is_kept_is_the_lowest_open_position() {
    let mut bench = Bench::new(settings(2));
    assert_eq!(bench.go(0, read_more(records(0..5), 5)), "invoke(0..=1) read(5,61)");
    assert_eq!(bench.go(1, read(records(5..6), 6)), "", "an open batch holds it");
    assert_eq!(bench.go(2, ok()), "Ok invoke(2..=3) keep(2)");
    assert_eq!(bench.go(3, ok()), "Ok invoke(4..=5) keep(4)");
    assert_eq!(bench.go(4, ok()), "Ok keep(6)");
}

#[test]
fn a_read_that_stands_still_is_not_repeated_at_once() {
    let mut bench = Bench::new(settings(2));
    assert_eq!(bench.go(0, read_more(vec![], 0)), "");
    assert_eq!(bench.deadline(), Some(100));
    assert_eq!(bench.go(100, time()), "read(0,64)");
}

#[test]
fn a_status_says_what_the_shard_is_doing() {
    let mut bench = Bench::new(settings(2));
    bench.go(0, read(records(0..3), 3));
    bench.go(5, failed());
    let status = bench.machine.status();
    assert_eq!((status.read_to, status.is_caught_up, status.is_suspended), (Some(Position(3)), true, false));
    let [lane] = status.lanes.as_slice() else { panic!("one lane") };
    assert_eq!((lane.state, lane.next, lane.failures), (table::LaneState::Waiting, Some(Position(0)), 1));
    assert_eq!((lane.batch_records, lane.waiting_records, lane.until), (2, 1, Some(at(505))));
    assert_eq!(lane.batch, Some((record(0), record(1))));
}
