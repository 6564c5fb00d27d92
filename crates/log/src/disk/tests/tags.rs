//! The `FORMAT` file names tags before the first record has one, so that a program that does not know them opens nothing.

use std::path::Path;
use std::sync::Arc;

use millstream_env::{Disk, ServiceClock};
use millstream_testkit::SimDisk;
use millstream_types::Payload;

use super::{environment, small};
use crate::conformance::support::{DAY, SHARD, START, put, read_all};
use crate::contract::{AppendError, Entry, SharedLog, Stored};
use crate::disk::DiskLog;
use crate::disk::format::store::{StoreFormat, feature};

const FOLDER: &str = "/data";

fn open(disk: &SimDisk) -> Arc<DiskLog> {
    let (clock, _) = ServiceClock::virtual_at(START);
    Arc::new(DiskLog::open(small(FOLDER), environment(Arc::new(disk.process()), clock)).expect("it opens").0)
}

fn format(disk: &SimDisk) -> StoreFormat {
    StoreFormat::decode(&disk.read(&Path::new(FOLDER).join("FORMAT")).expect("the file is there")).expect("it is whole")
}

async fn put_tagged(log: &SharedLog) -> Result<Stored, AppendError> {
    let entries = [Entry { shard: SHARD, partition_key: "k", payload_bytes: 6, tag: 9 }];
    let mut reservation = log.reserve(&entries).await;
    if let Ok(slot) = &mut reservation.slots[0] {
        slot.fill(Payload::Raw(b"tagged"));
    }
    reservation.commit().await[0]
}

#[tokio::test]
async fn the_first_tag_is_named_and_others_change_nothing() {
    let disk = SimDisk::new(1);
    let log: SharedLog = open(&disk);
    log.create(SHARD, DAY).await.expect("created");
    put(&log, SHARD, b"plain").await;
    let before = format(&disk);
    assert_eq!(before.features, 0, "a folder without tags is as it always was");
    put_tagged(&log).await.expect("stored");
    assert_eq!(format(&disk), StoreFormat { features: feature::RECORD_TAGS, ..before });
    drop(log);
    disk.kill_process();
    let log: SharedLog = open(&disk);
    put_tagged(&log).await.expect("stored");
    let tags: Vec<_> = read_all(&log, SHARD).await.iter().map(|record| record.tag).collect();
    assert_eq!(tags, [0, 9, 9]);
    assert_eq!(format(&disk).features, feature::RECORD_TAGS);
}

#[tokio::test]
async fn whenever_the_power_goes_no_tag_is_there_without_being_named() {
    let mut seen = [false, false];
    for operations in 0..100 {
        let disk = SimDisk::new(operations);
        let log: SharedLog = open(&disk);
        log.create(SHARD, DAY).await.expect("created");
        disk.power_off_after(operations);
        let stored = put_tagged(&log).await;
        let off = disk.is_off();
        drop(log);
        disk.restart();
        let log: SharedLog = open(&disk);
        let tagged = read_all(&log, SHARD).await.len();
        let named = format(&disk).features == feature::RECORD_TAGS;
        assert!(named || tagged == 0, "off after {operations}, {stored:?}");
        assert!(stored.is_err() || tagged == 1, "off after {operations}, {stored:?}");
        seen[usize::from(named)] = true;
        if !off {
            assert_eq!(seen, [true, true]);
            return;
        }
    }
    panic!("storing never came to its end");
}
