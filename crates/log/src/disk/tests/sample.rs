//! A log written by an earlier program must keep loading. Each folder of `samples` was written once and is never written
//! anew; a change of the format adds another one beside them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millstream_env::{Access, Disk, RealDisk, ServiceClock};
use millstream_testkit::SimDisk;

use super::{environment, small};
use crate::conformance::support::{START, append, read_all};
use crate::contract::{Position, ShardConfig, ShardKey, SharedLog};
use crate::disk::DiskLog;
use crate::encryption;

const FILES: [(&str, &[u8]); 4] = [
    ("FORMAT", include_bytes!("../../../samples/format-1/FORMAT")),
    ("log/default/0000000000000001.log", include_bytes!("../../../samples/format-1/0000000000000001.log")),
    ("log/default/0000000000000001.idx", include_bytes!("../../../samples/format-1/0000000000000001.idx")),
    ("log/default/0000000000000002.log", include_bytes!("../../../samples/format-1/0000000000000002.log")),
];

/// With tags, as encryption gives them.
const TAGGED_FILES: [(&str, &[u8]); 2] = [
    ("FORMAT", include_bytes!("../../../samples/format-1-tags/FORMAT")),
    ("log/default/0000000000000001.log", include_bytes!("../../../samples/format-1-tags/0000000000000001.log")),
];

const DAYS: ShardConfig = ShardConfig { retention: Duration::from_hours(48) };

fn key(shard: u32) -> ShardKey {
    ShardKey { stream: 12, shard }
}

/// Two shards: one with records over both segments and a void place, one sealed; a third was deleted.
async fn fill(log: &SharedLog, part: u32) {
    if part == 0 {
        for shard in 0..3 {
            log.create(key(shard), DAYS).await.expect("created");
        }
        append(log, key(0), &[b"first", b""]).await;
        drop(
            log.reserve(&[crate::contract::Entry { shard: key(0), partition_key: "k", payload_bytes: 9, tag: 0 }])
                .await,
        );
        append(log, key(1), &[&[0xaa; 300]]).await;
        log.seal(key(1)).await.expect("sealed");
        log.delete(key(2)).await.expect("deleted");
    } else {
        append(log, key(0), &[b"second segment"]).await;
    }
}

#[tokio::test]
async fn format_1_loads() {
    let log = load(&FILES);
    let records = read_all(&log, key(0)).await;
    let found: Vec<_> = records.iter().map(|record| (record.position.0, &record.data[..], record.arrival)).collect();
    assert_eq!(found, [(0, &b"first"[..], START), (1, b"", START), (3, b"second segment", START)]);
    assert!(records.iter().all(|record| record.partition_key == "k"));
    assert_eq!(read_all(&log, key(1)).await[0].data, [0xaa; 300][..]);
    let sealed = log.bounds(key(1)).expect("the shard is there").sealed.expect("it is sealed");
    assert_eq!((sealed.closed_at, sealed.last), (START, Some(Position(0))));
    assert!(log.bounds(key(2)).is_err());
    let stored = append(&log, key(0), &[b"goes on"]).await[0].expect("stored");
    assert_eq!(stored.position, Position(4));
}

#[tokio::test]
async fn format_1_with_tags_loads() {
    let log = encrypted(load(&TAGGED_FILES));
    let records = read_all(&log, key(0)).await;
    let found: Vec<_> = records.iter().map(|record| (&record.data[..], record.is_encrypted())).collect();
    assert_eq!(found, [(&b"as it is"[..], false), (b"encrypted", true)]);
}

fn load(files: &[(&str, &[u8])]) -> SharedLog {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new("/data/log/default")).expect("made");
    for (name, bytes) in files {
        let file = disk.open(&Path::new("/data").join(name), Access::CreateNew, false).expect("made");
        file.write_all_at(bytes, 0).expect("written");
    }
    let (clock, _) = ServiceClock::virtual_at(START);
    let (log, report) = DiskLog::open(small("/data"), environment(Arc::new(disk), clock)).expect("it loads");
    assert!(report.damaged.is_empty() && report.torn_tail.is_none(), "{report:?}");
    Arc::new(log)
}

fn encrypted(log: SharedLog) -> SharedLog {
    encryption::tests::around(log, encryption::tests::Keys::new())
}

/// Writes the sample with tags. Only for a new format, into its own folder.
#[tokio::test]
#[ignore = "writes the sample of the present format to MILLSTREAM_SAMPLE"]
async fn write_tagged_sample() {
    let disk = SimDisk::new(1);
    let (clock, _) = ServiceClock::virtual_at(START);
    let (log, _) = DiskLog::open(small("/data"), environment(Arc::new(disk.process()), clock)).expect("opened");
    let log: SharedLog = Arc::new(log);
    log.create(key(0), DAYS).await.expect("created");
    append(&log, key(0), &[b"as it is"]).await;
    append(&encrypted(log), key(0), &[b"encrypted"]).await;
    disk.kill_process();
    keep(&disk, &[], "0000000000000001.log");
}

/// Writes the sample without tags. Only for a new format, into its own folder.
#[tokio::test]
#[ignore = "writes the sample of the present format to MILLSTREAM_SAMPLE"]
async fn write_sample() {
    let disk = SimDisk::new(1);
    for part in 0..2 {
        let (clock, _) = ServiceClock::virtual_at(START);
        let (log, _) = DiskLog::open(small("/data"), environment(Arc::new(disk.process()), clock)).expect("opened");
        let log = Arc::new(log);
        fill(&(log.clone() as SharedLog), part).await;
        if part == 0 {
            log.close().await;
        } else {
            // Killed, so that the second segment is one that was not sealed.
            disk.kill_process();
        }
    }
    let sealed = ["log/default/0000000000000001.log", "log/default/0000000000000001.idx"];
    keep(&disk, &sealed, "0000000000000002.log");
}

/// Keeps a log's files in the folder that `MILLSTREAM_SAMPLE` names.
fn keep(disk: &SimDisk, sealed: &[&str], newest: &str) {
    let target = std::env::var("MILLSTREAM_SAMPLE").expect("MILLSTREAM_SAMPLE names the folder");
    RealDisk.create_dir_all(Path::new(&target)).expect("made");
    let mut bytes = disk.read(&Path::new("/data/log/default").join(newest)).expect("readable");
    // The space that was reserved and not used says nothing.
    let used = bytes.iter().rposition(|byte| *byte != 0).expect("not empty") + 1;
    bytes.truncate(used.next_multiple_of(4096) + 4096);
    RealDisk.write_atomically(&Path::new(&target).join(newest), &bytes).expect("written");
    for name in ["FORMAT"].iter().chain(sealed) {
        let bytes = disk.read(&Path::new("/data").join(name)).expect("readable");
        let name = Path::new(name).file_name().expect("a file");
        RealDisk.write_atomically(&Path::new(&target).join(name), &bytes).expect("written");
    }
}
