//! Reads of what is in no cache: many at once, while others write.

use std::sync::Arc;
use std::time::Duration;

use millstream_env::{Random, ServiceClock, Tasks};
use millstream_testkit::SimDisk;

use super::{environment, small};
use crate::conformance::support::{START, append};
use crate::contract::{Position, ReadFrom, ReadLimit, ShardConfig, ShardKey, SharedLog};
use crate::disk::read::COLD_READS_MAX;
use crate::disk::{DiskLog, Options};

const SHARDS: u32 = 16;
const DAY: ShardConfig = ShardConfig { retention: Duration::from_hours(24) };

fn key(shard: u32) -> ShardKey {
    ShardKey { stream: 1, shard }
}

fn open(disk: &SimDisk, options: Options) -> (Arc<DiskLog>, SharedLog) {
    let (clock, _) = ServiceClock::virtual_at(START);
    let (log, _) = DiskLog::open(options, environment(Arc::new(disk.process()), clock)).expect("it can be opened");
    let log = Arc::new(log);
    (log.clone(), log)
}

/// What record number `index` of a shard holds.
fn data(shard: u32, index: u32) -> Vec<u8> {
    let mut data = vec![0; 50 + (shard * 131 + index * 57) as usize % 900];
    Random::seeded(u64::from(shard) << 32 | u64::from(index)).fill(&mut data);
    data
}

async fn write(log: &SharedLog, from: u32, until: u32) {
    for index in from..until {
        for shard in 0..SHARDS {
            let stored = append(log, key(shard), &[&data(shard, index)]).await[0].expect("stored");
            assert_eq!(stored.position.0, u64::from(index));
        }
    }
}

/// Reads a shard in small and large pieces up to record `until`.
async fn read(log: SharedLog, shard: u32, until: u32, seed: u64) {
    let random = Random::seeded(seed);
    let mut next = 0;
    while next < until {
        let limit = ReadLimit { records: 1 + random.below(100) as usize, bytes: 1 + random.below(60_000) as usize };
        let batch = log.read(key(shard), ReadFrom::Position(Position(u64::from(next))), limit).await.expect("readable");
        for record in &batch.records {
            assert_eq!(record.position.0, u64::from(next), "seed {seed}: nothing is passed over");
            assert!(record.data == data(shard, next), "seed {seed}: other bytes at {next} of shard {shard}");
            next += 1;
        }
        assert_eq!(batch.next.0, u64::from(next), "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_readers_at_once_find_everything() {
    for (seed, block_cache_bytes_max, pinned_bytes_max) in [(1, 0, 0), (2, 128 << 10, 0), (3, 1 << 20, 64 << 20)] {
        let disk = SimDisk::new(seed);
        let options = Options { tail_cache_bytes_max: 0, block_cache_bytes_max, pinned_bytes_max, ..small("/data") };
        let (first, log) = open(&disk, options.clone());
        for shard in 0..SHARDS {
            log.create(key(shard), DAY).await.expect("created");
        }
        write(&log, 0, 150).await;
        first.close().await;
        drop((first, log));
        let (disk_log, log) = open(&disk, options);
        let writer = { write(&log, 150, 200) };
        let readers = (0..3 * u64::from(SHARDS)).map(|reader| {
            let (log, shard) = (log.clone(), u32::try_from(reader).expect("few") % SHARDS);
            async move {
                Tasks::new().spawn(read(log, shard, 200, seed * 1000 + reader)).await.expect("no reader panics");
            }
        });
        futures_util::join!(writer, futures_util::future::join_all(readers));
        assert_eq!(disk_log.stats().cold_reads_waiting, 0);
        assert!(disk_log.stats().block_cache_bytes <= block_cache_bytes_max);
        disk_log.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_who_catch_up_together_share_blocks() {
    let disk = SimDisk::new(9);
    let options = Options { tail_cache_bytes_max: 0, block_cache_bytes_max: 1 << 20, ..small("/data") };
    let (first, log) = open(&disk, options.clone());
    for shard in 0..SHARDS {
        log.create(key(shard), DAY).await.expect("created");
    }
    write(&log, 0, 150).await;
    let stored = first.stats().bytes;
    first.close().await;
    drop((first, log));
    let (disk_log, log) = open(&disk, options);
    let at_once = disk_log.classes.engines().map(|engine| engine.cold_reads_at_once()).min();
    assert_eq!(at_once, Some(COLD_READS_MAX), "nobody writes, though the clock of the service stands still");
    let before = disk.counters().bytes_read;
    let readers = (0..SHARDS).map(|shard| read(log.clone(), shard, 150, u64::from(shard)));
    futures_util::future::join_all(readers).await;
    let read = disk.counters().bytes_read - before;
    assert!(read < 4 * stored, "{read} bytes were read of {stored} stored, by {SHARDS} readers");
    disk_log.close().await;
}
