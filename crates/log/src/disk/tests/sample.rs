//! A log written by an earlier program must keep loading. `samples/format-1` was written once and is never written anew;
//! a change of the format adds another folder beside it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millstream_env::{Access, Disk, RealDisk, ServiceClock};
use millstream_testkit::SimDisk;

use super::{environment, small};
use crate::conformance::support::{START, append, read_all};
use crate::contract::{Position, ShardConfig, ShardKey, SharedLog};
use crate::disk::DiskLog;

const FILES: [(&str, &[u8]); 4] = [
    ("FORMAT", include_bytes!("../../../samples/format-1/FORMAT")),
    ("log/default/0000000000000001.log", include_bytes!("../../../samples/format-1/0000000000000001.log")),
    ("log/default/0000000000000001.idx", include_bytes!("../../../samples/format-1/0000000000000001.idx")),
    ("log/default/0000000000000002.log", include_bytes!("../../../samples/format-1/0000000000000002.log")),
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
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new("/data/log/default")).expect("made");
    for (name, bytes) in FILES {
        let file = disk.open(&Path::new("/data").join(name), Access::CreateNew, false).expect("made");
        file.write_all_at(bytes, 0).expect("written");
    }
    let (clock, _) = ServiceClock::virtual_at(START);
    let (log, report) = DiskLog::open(small("/data"), environment(Arc::new(disk), clock)).expect("it loads");
    assert!(report.damaged.is_empty() && report.torn_tail.is_none(), "{report:?}");
    let log: SharedLog = Arc::new(log);
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

/// Writes the sample. Only for a new format, into its own folder.
#[tokio::test]
#[ignore = "writes the sample of the present format to MILLSTREAM_SAMPLE"]
async fn write_sample() {
    let target = std::env::var("MILLSTREAM_SAMPLE").expect("MILLSTREAM_SAMPLE names the folder");
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
    RealDisk.create_dir_all(Path::new(&target)).expect("made");
    let folder = Path::new("/data/log/default");
    let names = ["FORMAT", "log/default/0000000000000001.log", "log/default/0000000000000001.idx"];
    let newest = folder.join("0000000000000002.log");
    let mut bytes = disk.read(&newest).expect("readable");
    // The space that was reserved and not used says nothing.
    let used = bytes.iter().rposition(|byte| *byte != 0).expect("not empty") + 1;
    bytes.truncate(used.next_multiple_of(4096) + 4096);
    RealDisk.write_atomically(&Path::new(&target).join("0000000000000002.log"), &bytes).expect("written");
    for name in names {
        let bytes = disk.read(&Path::new("/data").join(name)).expect("readable");
        let name = Path::new(name).file_name().expect("a file");
        RealDisk.write_atomically(&Path::new(&target).join(name), &bytes).expect("written");
    }
}
