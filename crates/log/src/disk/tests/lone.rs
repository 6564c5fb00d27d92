//! One caller after the other, each alone: who writes, and what becomes of the space ahead.

use std::sync::Arc;

use millstream_env::ServiceClock;
use millstream_testkit::SimDisk;

use super::{environment, small};
use crate::conformance::support::{DAY, SHARD, START, put, read_all};
use crate::contract::SharedLog;
use crate::disk::classes::{Accepted, Classes};
use crate::disk::{DiskLog, Options};

/// Without committers: only what callers do themselves happens.
#[test]
fn after_some_blocks_alone_callers_need_nobody_else() {
    let (clock, _) = ServiceClock::virtual_at(START);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let disk = SimDisk::new(1);
    let options = Options { lone_writer_after: 3, ..small("/data") };
    let environment = environment(Arc::new(disk), clock);
    let (log, _) = Classes::open(options, environment, false, &Accepted::new()).expect("a new folder can be opened");
    let engine = Arc::clone(log.engines().next().expect("the first class"));
    let work = |engine: &crate::disk::engine::Engine| {
        let mut count = 0;
        while let Some(work) = engine.take_work() {
            engine.perform(work);
            count += 1;
        }
        count
    };
    work(&engine);
    let created = engine.create(SHARD, DAY).expect("there is room");
    work(&engine);
    runtime.block_on(crate::disk::settled(Ok(created))).expect("created");
    let entries = [crate::contract::Entry { shard: SHARD, partition_key: "k", payload_bytes: 0, tag: 0 }];
    let mut done_by_others = Vec::new();
    for _ in 0..6 {
        let mut reservation = runtime.block_on(log.reserve(&entries));
        reservation.slots[0].as_mut().expect("there is room").fill(millstream_types::Payload::Raw(b""));
        let commit = reservation.commit();
        done_by_others.push(work(&engine));
        runtime.block_on(commit)[0].expect("stored");
    }
    assert_eq!(done_by_others, [1, 1, 1, 0, 0, 0]);
    // Two at once have company: a committer writes for both.
    let reservations: Vec<_> = (0..2).map(|_| runtime.block_on(log.reserve(&entries))).collect();
    let commits: Vec<_> = reservations.into_iter().map(crate::contract::Reservation::commit).collect();
    assert!(work(&engine) > 0);
    drop(commits);
}

#[tokio::test]
async fn a_lone_writer_goes_over_many_segments_and_is_read_back_after_a_crash() {
    let disk = SimDisk::new(1);
    let open = || {
        let (clock, _) = ServiceClock::virtual_at(START);
        let options = Options { write_ahead_bytes: 50_000, tail_cache_bytes_max: 0, ..small("/data") };
        let (log, report) = DiskLog::open(options, environment(Arc::new(disk.process()), clock)).expect("it opens");
        assert!(report.damaged.is_empty(), "{report:?}");
        let log: SharedLog = Arc::new(log);
        log
    };
    let log = open();
    log.create(SHARD, DAY).await.expect("created");
    for number in 0..300_u32 {
        put(&log, SHARD, &number.to_le_bytes()).await;
    }
    let check = async |log: &SharedLog| {
        let found: Vec<_> = read_all(log, SHARD).await.iter().map(|record| record.data.to_vec()).collect();
        assert!(found.into_iter().eq((0..300_u32).map(|number| number.to_le_bytes().to_vec())));
    };
    check(&log).await;
    disk.kill_process();
    check(&open()).await;
}
