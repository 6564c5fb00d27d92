//! `ParallelizationFactor`: several batches of a shard at once, each key in order.

use std::collections::BTreeMap;

use super::*;

fn parallel(batch_size: usize, lanes: usize) -> Settings {
    Settings { lanes, ..settings(batch_size) }
}

fn begin(lanes: usize) -> Start {
    Start::Kept(Progress::at(Position(0)).with_lanes(lanes))
}

fn done(lane: usize) -> Event {
    ended(lane, answers(""))
}

#[test]
fn each_lane_has_a_batch_in_flight_and_its_own_position() {
    let mut bench = Bench::started(parallel(10, 3), begin(3));
    let stream = vec![in_lane(0, 0, 3), in_lane(1, 2, 3), in_lane(2, 1, 3), in_lane(3, 0, 3)];
    assert_eq!(bench.go(0, read(stream, 4)), "invoke(0,3) invoke[1](2) invoke[2](1) keep(0|2|1)");
    assert_eq!(bench.go(1, done(2)), "Ok keep(0|2|4)");
    assert_eq!(bench.go(2, done(0)), "Ok keep(4|2|4)");
    assert_eq!(bench.go(3, done(1)), "Ok keep(4|4|4)");
}

#[test]
fn a_key_is_never_in_flight_twice() {
    let mut bench = Bench::started(parallel(10, 2), begin(2));
    assert_eq!(bench.go(0, read(vec![in_lane(0, 1, 2)], 1)), "invoke[1](0) keep(1|0)");
    bench.go(1, Event::Tail);
    assert_eq!(bench.go(1, read(vec![in_lane(1, 1, 2), in_lane(2, 0, 2)], 3)), "invoke(2) keep(2|0)");
    assert_eq!(bench.go(2, done(1)), "Ok invoke[1](1) keep(2|1)");
}

#[test]
fn keys_keep_their_order_in_every_factor() {
    for lanes in 1..=10 {
        let stream: Vec<Record> = (0..200)
            .map(|position| Record { partition_key: format!("key-{}", position % 17).into(), ..record(position) })
            .collect();
        let mut tries = 0;
        let mut last: BTreeMap<Bytes, u64> = BTreeMap::new();
        let played =
            play_from(parallel(3, lanes), Progress::at(Position(0)).with_lanes(lanes), &stream, 0, |_, records| {
                tries += 1;
                if tries % 5 == 0 {
                    return fails();
                }
                for record in records {
                    let before = last.insert(record.partition_key.clone(), record.position.0);
                    assert!(before.is_none_or(|before| before < record.position.0), "{lanes} lanes");
                }
                answers("")
            });
        assert_eq!(played.failures(), [""; 0]);
        assert!(played.progress.lanes.iter().all(|lane| lane.next == Position(200)), "{lanes} lanes");
    }
}

/// Lane 1 fails on its first batch, and the shard goes on far beyond what it may hold.
fn one_lane_fails() -> (Bench, Vec<Record>) {
    let stream: Vec<Record> = (0..300).map(|position| in_lane(position, (position % 2) as usize, 2)).collect();
    let mut bench = Bench::started(parallel(10, 2), begin(2));
    bench.go(0, read_more(stream[..20].to_vec(), 20));
    bench.go(0, ended(1, fails()));
    (bench, stream)
}

#[test]
fn a_failing_lane_does_not_hold_up_the_others() {
    let (mut bench, stream) = one_lane_fails();
    bench.go(0, done(0));
    // The shard's cursor goes on; the failing lane's records are let go and read again later.
    let mut next = 20;
    while next < 300 {
        let to = (next + 50).min(300);
        bench.go(
            1,
            if to == 300 {
                read(stream[next..to].to_vec(), 300)
            } else {
                read_more(stream[next..to].to_vec(), to as u64)
            },
        );
        while bench.machine.status().lanes[0].state == table::LaneState::Invoking {
            bench.go(1, done(0));
        }
        next = to;
    }
    let status = bench.machine.status();
    assert_eq!(status.lanes[0].next, Some(Position(300)));
    assert_eq!(status.lanes[1].next, Some(Position(1)));
    assert!(status.lanes[1].waiting_records <= 64 * 2, "what a failing lane holds is bounded");
    assert_eq!(bench.deadline(), Some(500), "only its next try is due");
}

#[test]
fn a_lane_that_fell_behind_catches_up_and_joins() {
    let stream: Vec<Record> = (0..300).map(|position| in_lane(position, (position % 2) as usize, 2)).collect();
    let mut failures = 0;
    let played = play_from(parallel(10, 2), Progress::at(Position(0)).with_lanes(2), &stream, 0, |_, records| {
        if has(records, 1) && failures < 3 {
            failures += 1;
            return fails();
        }
        answers("")
    });
    assert_eq!(progress_text(&played.progress), "300|300");
    for position in 0..300 {
        let times = played.history.iter().filter(|entry| entry.outcome == BatchOutcome::Succeeded);
        let lane = (position % 2) as usize;
        let times = times.filter(|e| e.lane == lane && (e.first.0..=e.last.0).contains(&position)).count();
        assert_eq!(times, 1, "position {position}");
    }
    let fine = played.deliveries.iter().filter(|delivery| delivery.starts_with("0: ")).count();
    assert!(fine > 15, "the good lane is through before the first retry: {:?}", played.deliveries);
}

#[test]
fn a_full_lane_that_works_well_is_waited_for_but_not_for_long() {
    let mut bench = Bench::started(parallel(1, 2), begin(2));
    let stream: Vec<Record> = (0..64).map(|position| in_lane(position, 1, 2)).collect();
    let text = bench.go(0, read_more(stream, 64));
    assert_eq!(text, "invoke[1](0) read(64,1) keep(64|0)");
    let stream = vec![in_lane(64, 1, 2)];
    assert_eq!(bench.go(1, read_more(stream, 65)), "keep(65|0)", "lane 1 is full");
    assert_eq!(bench.deadline(), Some(500), "of the slow lane");
    assert_eq!(bench.go(500, time()), "read(65,64)", "the others go on without it");
}

#[test]
fn lanes_restart_where_each_of_them_was() {
    let lane = |next, failed| LaneProgress { next: Position(next), failed };
    let failed = vec![FailedOutline { last: Position(5), records: 2, failures: 3 }];
    let progress = Progress { lanes: vec![lane(4, vec![]), lane(2, failed)], window: None };
    let stream: Vec<Record> =
        (0..8).map(|position| in_lane(position, usize::from(position % 2 == 1 || position == 2), 2)).collect();
    // Lane 0 has 0, 4, 6; lane 1 has 1, 2, 3, 5, 7.
    let played = play_from(parallel(10, 2), progress, &stream, 0, |_, _| answers(""));
    let mut batches = played.batches();
    batches.sort_unstable();
    assert_eq!(batches, ["2..=3", "4,6", "5", "7"]);
    assert_eq!(progress_text(&played.progress), "8|8");
}

#[test]
fn another_factor_begins_at_the_lowest_position() {
    let lane = |next| LaneProgress { next: Position(next), failed: Vec::new() };
    let mut progress = Progress { lanes: vec![lane(7), lane(3), lane(9)], window: None };
    progress.lanes[1].failed.push(FailedOutline { last: Position(6), records: 2, failures: 1 });
    assert_eq!(progress_text(&progress.clone().with_lanes(2)), "3|3");
    assert_eq!(progress_text(&progress.clone().with_lanes(3)), "7|3 2..=6x1|9");
    let mut bench = Bench::unstarted(parallel(10, 2), Start::Kept(progress));
    assert_eq!(bench.go(0, Event::Start), "read(3,64)");
}
