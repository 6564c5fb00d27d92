//! Retention classes: what is kept long does not keep what is not, and a shard that changes its class goes on unbroken.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millstream_env::{Disk, ServiceClock, Tasks, VirtualTime};
use millstream_testkit::SimDisk;
use millstream_types::Payload;

use super::{environment, small};
use crate::conformance::support::{ALL, DAY, OTHER, SHARD, START, append, positions, put, read, read_all};
use crate::contract::{Entry, Position, ReadFrom, ReadLimit, ShardConfig, ShardKey, SharedLog};
use crate::disk::{DiskLog, Options, RetentionClass};

const HOUR: Duration = Duration::from_hours(1);
const WEEK: ShardConfig = ShardConfig { retention: Duration::from_hours(7 * 24) };
const YEAR: ShardConfig = ShardConfig { retention: Duration::from_hours(365 * 24) };

fn open(disk: &SimDisk, options: Options, hours: u32) -> (DiskLog, SharedLog, VirtualTime) {
    let (clock, time) = ServiceClock::virtual_at(START.plus(HOUR * hours));
    let (log, report) = DiskLog::open(options, environment(Arc::new(disk.process()), clock)).expect("it can be opened");
    assert!(report.damaged.is_empty(), "{report:?}");
    (log.clone(), Arc::new(log), time)
}

fn segments(disk: &SimDisk, class: &str) -> usize {
    let names = disk.list(&Path::new("/data/log").join(class)).unwrap_or_default();
    names.iter().filter(|name| crate::disk::files::segment_of(name, ".log").is_some()).count()
}

fn features(disk: &SimDisk) -> String {
    let text = disk.read(Path::new("/data/FORMAT")).expect("readable");
    String::from_utf8(text).expect("text").split(' ').nth(3).expect("a field").to_owned()
}

/// Until the housekeeper has done it. Bounded.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if done() {
            return;
        }
        tokio::task::yield_now().await;
        std::thread::yield_now();
    }
    panic!("{what} did not happen");
}

#[tokio::test]
async fn a_long_lived_stream_does_not_keep_the_segments_of_others() {
    let disk = SimDisk::new(1);
    let (disk_log, log, time) = open(&disk, small("/data"), 0);
    log.create(SHARD, DAY).await.expect("created");
    assert_eq!(features(&disk), "0000000000000000", "the first class alone is what older programs know");
    log.create(OTHER, YEAR).await.expect("created");
    assert_eq!(features(&disk), "0000000000000002");
    for _ in 0..100 {
        put(&log, SHARD, &[1; 10_000]).await;
        put(&log, OTHER, &[2; 1_000]).await;
    }
    let before = disk_log.stats().bytes;
    assert!(segments(&disk, "default") > 3, "several segments");
    let dead = |class| disk_log.classes().into_iter().find(|(of, _)| *of == class).expect("in use").1.dead_bytes;
    time.advance(25 * HOUR);
    until("expiry", || segments(&disk, "default") <= 1).await;
    assert!(disk_log.stats().bytes < before / 2);
    assert_eq!(read_all(&log, OTHER).await.len(), 100);
    assert!(read_all(&log, SHARD).await.is_empty());
    assert_eq!(dead(RetentionClass::Day), 0);
}

#[tokio::test]
async fn space_that_nobody_needs_is_counted() {
    let disk = SimDisk::new(1);
    let (disk_log, log, time) = open(&disk, small("/data"), 0);
    log.create(SHARD, DAY).await.expect("created");
    log.create(OTHER, DAY).await.expect("created");
    for _ in 0..100 {
        put(&log, SHARD, &[1; 10_000]).await;
        put(&log, OTHER, &[2; 1_000]).await;
    }
    assert_eq!(disk_log.stats().dead_bytes, 0);
    log.delete(SHARD).await.expect("deleted");
    until("counting", || disk_log.stats().dead_bytes > 700_000).await;
    assert!(disk_log.stats().dead_bytes < 1_100_000, "only what was deleted");
    time.advance(25 * HOUR);
    until("expiry", || disk_log.stats().dead_bytes == 0 && segments(&disk, "default") <= 1).await;
}

/// One stream is deleted, one has expired, one is kept: its records are read before and after.
#[tokio::test]
async fn when_space_is_short_dead_records_are_removed_and_the_rest_is_as_it_was() {
    const MEBIBYTE: u64 = 1 << 20;
    let disk = SimDisk::new(1);
    let kept = ShardKey { stream: 9, shard: 0 };
    let options = Options { disk_free_min: 2 * MEBIBYTE, ..small("/data") };
    disk.set_capacity(100 * MEBIBYTE);
    let (disk_log, log, time) = open(&disk, options.clone(), 0);
    log.create(kept, YEAR).await.expect("created");
    log.create(OTHER, YEAR).await.expect("created");
    log.create(SHARD, YEAR).await.expect("created");
    for number in 0..200_u32 {
        append(&log, OTHER, &[&[1; 3_500], &[2; 3_500]]).await;
        put(&log, SHARD, &[3; 3_900]).await;
        put(&log, kept, &number.to_le_bytes()).await;
    }
    log.delete(SHARD).await.expect("deleted");
    log.configure(OTHER, ShardConfig { retention: 190 * 24 * HOUR }).await.expect("configured");
    time.advance(200 * 24 * HOUR);
    until("counting", || disk_log.stats().dead_bytes > 700_000).await;
    let before = disk_log.stats().bytes;
    // Little is left now, and housekeeping looks.
    disk.set_capacity(before + MEBIBYTE);
    until("rewriting", || disk_log.stats().bytes < before / 4 * 3).await;
    disk.set_capacity(100 * MEBIBYTE);
    assert_eq!(features(&disk), "0000000000000006");
    let check = async |log: &SharedLog| {
        let records = read_all(log, kept).await;
        assert!(records.iter().map(|record| record.data.to_vec()).eq((0..200_u32).map(|n| n.to_le_bytes().to_vec())));
        let one = read(log, kept, ReadFrom::Position(Position(77)), ReadLimit { records: 1, bytes: 1 }).await;
        assert_eq!(positions(&one.records), [77]);
        assert!(read_all(log, OTHER).await.is_empty());
        assert_eq!(log.bounds(OTHER).expect("it is there").next, Position(400));
        assert!(log.bounds(SHARD).is_err());
    };
    check(&log).await;
    disk.kill_process();
    drop((disk_log, log));
    // Also with the indexes made again from what was left of the segments.
    for name in disk.list(Path::new("/data/log/year")).expect("a folder") {
        if crate::disk::files::segment_of(&name, ".idx").is_some() {
            disk.remove_file(&Path::new("/data/log/year").join(name)).expect("removed");
        }
    }
    let (disk_log, log, _) = open(&disk, options, 200 * 24);
    check(&log).await;
    assert!(disk_log.health().is_good());
    assert_eq!(put(&log, OTHER, b"next").await.position, Position(400));
}

#[tokio::test]
async fn a_shard_goes_on_in_another_class_and_back() {
    let disk = SimDisk::new(1);
    let (_, log, time) = open(&disk, small("/data"), 0);
    log.create(SHARD, DAY).await.expect("created");
    let mut tail = log.tail(SHARD).expect("it is there");
    append(&log, SHARD, &[b"0", b"1"]).await;
    tail.changed().await;
    for (config, data) in [(WEEK, b"2"), (YEAR, b"3"), (DAY, b"4"), (WEEK, b"5")] {
        log.configure(SHARD, config).await.expect("configured");
        time.advance(HOUR);
        put(&log, SHARD, data).await;
        // A tail that was there before tells of records in the new class.
        tail.changed().await;
    }
    let check = async |log: &SharedLog, first: u64| {
        let records = read_all(log, SHARD).await;
        assert_eq!(positions(&records), (first..6).collect::<Vec<_>>());
        assert!(records.iter().all(|record| record.data == record.position.0.to_string().as_bytes()));
        // One by one, by position and by time.
        let one = ReadLimit { records: 1, bytes: usize::MAX };
        for position in first..6 {
            let batch = read(log, SHARD, ReadFrom::Position(Position(position)), one).await;
            assert_eq!((positions(&batch.records), batch.next), (vec![position], Position(position + 1)));
            assert_eq!(batch.behind.is_some(), position < 5);
        }
        for hours in 1..5 {
            let batch = read(log, SHARD, ReadFrom::Time(START.plus(HOUR * hours)), ALL).await;
            assert_eq!(positions(&batch.records), (first.max(u64::from(hours) + 1)..6).collect::<Vec<_>>());
        }
        let tip = read(log, SHARD, ReadFrom::Tip, ALL).await;
        assert_eq!((tip.records.len(), tip.next), (0, Position(6)));
        let bounds = log.bounds(SHARD).expect("it is there");
        assert_eq!((bounds.next, bounds.last_arrival), (Position(6), Some(START.plus(4 * HOUR))));
    };
    check(&log, 0).await;
    disk.kill_process();
    let (disk_log, log, time) = open(&disk, small("/data"), 4);
    check(&log, 0).await;
    // What is left in other classes is forgotten there when it has expired.
    time.advance(166 * HOUR + HOUR / 2);
    let others = || disk_log.classes.engines().filter(|engine| engine.part(SHARD).is_some()).count();
    until("forgetting", || others() == 2).await;
    check(&log, 4).await;
    log.delete(SHARD).await.expect("deleted");
    assert!(others() == 0 && log.bounds(SHARD).is_err());
}

#[tokio::test]
async fn one_batch_may_go_to_several_classes() {
    let disk = SimDisk::new(1);
    let (_, log, _) = open(&disk, small("/data"), 0);
    log.create(SHARD, DAY).await.expect("created");
    log.create(OTHER, WEEK).await.expect("created");
    let order = [SHARD, OTHER, OTHER, SHARD, OTHER];
    let entries = order.map(|shard| Entry { shard, partition_key: "k", payload_bytes: 1, tag: 0 });
    let mut reservation = log.reserve(&entries).await;
    for (slot, data) in reservation.slots.iter_mut().zip(b"abcde") {
        slot.as_mut().expect("there is room").fill(Payload::Raw(&[*data]));
    }
    let results = reservation.commit().await;
    let found: Vec<u64> = results.into_iter().map(|result| result.expect("stored").position.0).collect();
    assert_eq!(found, [0, 0, 1, 1, 2], "in the order of the entries");
    let text =
        async |shard| read_all(&log, shard).await.iter().flat_map(|record| record.data.to_vec()).collect::<Vec<_>>();
    assert_eq!(text(SHARD).await, b"ad");
    assert_eq!(text(OTHER).await, b"bce");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_and_readers_notice_nothing_of_moves() {
    let disk = SimDisk::new(1);
    let (_, log, _) = open(&disk, small("/data"), 0);
    log.create(SHARD, DAY).await.expect("created");
    let tasks = Tasks::new();
    let mover = tasks.spawn({
        let log = Arc::clone(&log);
        async move {
            for config in [WEEK, YEAR, DAY].into_iter().cycle().take(60) {
                log.configure(SHARD, config).await.expect("configured");
            }
        }
    });
    let reader = tasks.spawn({
        let log = Arc::clone(&log);
        async move {
            let mut tail = log.tail(SHARD).expect("it is there");
            let (mut next, mut data) = (Position(0), Vec::new());
            while data.len() < 2_000 {
                let batch = read(&log, SHARD, ReadFrom::Position(next), ALL).await;
                assert!(batch.records.iter().all(|record| record.position >= next));
                data.extend(batch.records.iter().map(|record| record.data.to_vec()));
                next = batch.next;
                if batch.behind.is_none() && data.len() < 2_000 {
                    tail.changed().await;
                }
            }
            data
        }
    });
    for number in 0..2_000_u32 {
        // None is refused while the shard moves.
        put(&log, SHARD, &number.to_le_bytes()).await;
    }
    mover.await.expect("it does not panic");
    let data = reader.await.expect("it does not panic");
    let found = data.iter().map(|data| u32::from_le_bytes(data[..].try_into().expect("four bytes")));
    assert!(found.eq(0..2_000), "each once, in order");
}

#[tokio::test]
async fn a_sealed_shard_stays_and_is_kept_longer() {
    let disk = SimDisk::new(1);
    let (_, log, time) = open(&disk, small("/data"), 0);
    log.create(SHARD, DAY).await.expect("created");
    log.create(OTHER, WEEK).await.expect("created");
    put(&log, SHARD, b"a").await;
    let sealed = log.seal(SHARD).await.expect("sealed");
    log.configure(SHARD, WEEK).await.expect("configured");
    time.advance(100 * HOUR);
    let batch = read(&log, SHARD, ReadFrom::Position(Position(0)), ALL).await;
    assert!(batch.records.len() == 1 && batch.ended);
    assert_eq!(log.seal(SHARD).await, Ok(sealed));
    // Sealing reaches a shard that has moved.
    log.configure(OTHER, YEAR).await.expect("configured");
    put(&log, OTHER, b"b").await;
    log.seal(OTHER).await.expect("sealed");
    assert!(append(&log, OTHER, &[b"c"]).await[0].is_err());
    assert!(read(&log, OTHER, ReadFrom::Position(Position(0)), ALL).await.ended);
}

#[tokio::test]
async fn a_segment_of_another_class_is_refused() {
    let disk = SimDisk::new(1);
    let (disk_log, log, _) = open(&disk, small("/data"), 0);
    log.create(SHARD, WEEK).await.expect("created");
    put(&log, SHARD, b"a").await;
    disk_log.close().await;
    drop((disk_log, log));
    let strange = Path::new("/data/log/default/00000000000000ff.log");
    let bytes = disk.read(Path::new("/data/log/week/0000000000000001.log")).expect("readable");
    disk.write_atomically(strange, &bytes).expect("written");
    let (clock, _) = ServiceClock::virtual_at(START);
    let opened = DiskLog::open(small("/data"), environment(Arc::new(disk.process()), clock));
    assert!(opened.expect_err("refused").to_string().contains("belongs to another log"));
}
