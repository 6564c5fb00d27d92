//! Full disks and failing flushes, through the threads.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millstream_env::{Disk, HostClock, ServiceClock, VirtualTime};
use millstream_testkit::SimDisk;

use super::{environment, small};
use crate::conformance::support::{DAY, SHARD, START, append, put, read_all};
use crate::contract::{AppendError, SharedLog};
use crate::disk::{DiskLog, Options};

fn open(disk: &SimDisk, options: Options) -> (Arc<DiskLog>, SharedLog, VirtualTime) {
    let (clock, time) = ServiceClock::virtual_at(START);
    let (log, _) = DiskLog::open(options, environment(Arc::new(disk.process()), clock)).expect("it can be opened");
    let log = Arc::new(log);
    (log.clone(), log, time)
}

/// Appends until the result is as wanted. Bounded.
async fn append_until(log: &SharedLog, wanted: impl Fn(Result<(), AppendError>) -> bool) {
    for attempt in 0..20_000 {
        let result = append(log, SHARD, &[&[7; 2_000]]).await[0].map(drop);
        if wanted(result) {
            return;
        }
        if attempt < 1_000 {
            tokio::task::yield_now().await;
        } else {
            // On a busy machine the log's own threads need their turn too.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    panic!("it never came to that");
}

#[tokio::test]
async fn a_full_disk_refuses_reads_on_and_recovers_alone() {
    let disk = SimDisk::new(1);
    let (disk_log, log, _) = open(&disk, small("/data"));
    log.create(SHARD, DAY).await.expect("created");
    put(&log, SHARD, b"first").await;
    disk.set_capacity(400 << 10);
    append_until(&log, |result| result == Err(AppendError::Full)).await;
    let before = read_all(&log, SHARD).await;
    assert_eq!(before[0].data, "first");
    assert_eq!(disk_log.health().refusing, Some(AppendError::Full));
    disk.set_capacity(u64::MAX);
    append_until(&log, |result| result.is_ok()).await;
    assert!(disk_log.health().is_good());
    assert_eq!(read_all(&log, SHARD).await.len(), before.len() + 1);
}

#[tokio::test]
async fn little_space_stops_writes_before_the_disk_is_full() {
    let disk = SimDisk::new(1);
    disk.set_capacity(10 << 20);
    let (_, log, _) = open(&disk, Options { disk_free_min: 1 << 20, ..small("/data") });
    log.create(SHARD, DAY).await.expect("created");
    put(&log, SHARD, b"first").await;
    disk.set_capacity(1 << 20);
    append_until(&log, |result| result == Err(AppendError::Full)).await;
    disk.set_capacity(10 << 20);
    append_until(&log, |result| result.is_ok()).await;
}

#[tokio::test]
async fn a_failed_sync_is_not_retried_and_nothing_acknowledged_is_lost() {
    let disk = SimDisk::new(3);
    let (disk_log, log, _) = open(&disk, small("/data"));
    log.create(SHARD, DAY).await.expect("created");
    put(&log, SHARD, b"kept").await;
    disk.fail_sync_after(0);
    // The next sync may be of the closing block; then one more append meets the new segment only.
    let result = append(&log, SHARD, &[b"perhaps"]).await[0];
    assert!(matches!(result, Ok(_) | Err(AppendError::Unknown | AppendError::Unavailable)), "{result:?}");
    append_until(&log, |result| result.is_ok()).await;
    let kept = read_all(&log, SHARD).await;
    disk_log.close().await;
    drop((disk_log, log));
    disk.restart();
    let (_, log, _) = open(&disk, small("/data"));
    assert_eq!(read_all(&log, SHARD).await, kept);
}

#[tokio::test]
async fn a_disk_that_keeps_failing_makes_the_log_unavailable_but_readable() {
    let disk = SimDisk::new(4);
    let (disk_log, log, _) = open(&disk, small("/data"));
    log.create(SHARD, DAY).await.expect("created");
    put(&log, SHARD, b"kept").await;
    disk.fail_all_writes(true);
    append_until(&log, |result| result == Err(AppendError::Unavailable)).await;
    assert_eq!(read_all(&log, SHARD).await[0].data, "kept");
    assert!(!disk_log.health().is_good());
}

#[tokio::test]
async fn expired_segments_are_removed_without_writing() {
    let disk = SimDisk::new(5);
    let (disk_log, log, time) = open(&disk, small("/data"));
    log.create(SHARD, DAY).await.expect("created");
    for _ in 0..300 {
        put(&log, SHARD, &[1; 2_000]).await;
    }
    let full = disk_log.stats();
    assert!(full.segments > 2, "{full:?}");
    time.advance(Duration::from_hours(25));
    let host = HostClock::real();
    let removed = host.timeout(Duration::from_secs(20), async {
        // The active segment stays, whatever is in it.
        while disk_log.stats().segments > 1 {
            tokio::task::yield_now().await;
        }
    });
    removed.await.expect("the housekeeper removes what has expired");
    put(&log, SHARD, b"new").await;
    assert!(disk.list(Path::new("/data/log/default")).expect("readable").len() <= 4);
    assert!(read_all(&log, SHARD).await.iter().all(|record| record.data == "new"));
}

#[tokio::test]
async fn the_size_can_be_capped() {
    let disk = SimDisk::new(6);
    let (disk_log, log, _) = open(&disk, Options { log_bytes_max: Some(1 << 20), ..small("/data") });
    log.create(SHARD, DAY).await.expect("created");
    let host = HostClock::real();
    for _ in 0..2_000 {
        put(&log, SHARD, &[1; 2_000]).await;
    }
    let capped = host.timeout(Duration::from_secs(20), async {
        while disk_log.stats().bytes > 1 << 20 {
            put(&log, SHARD, &[1; 100]).await;
        }
    });
    capped.await.expect("the oldest segments are removed");
    let left = read_all(&log, SHARD).await;
    assert!(left.len() > 50 && left[0].position.0 > 0);
}
