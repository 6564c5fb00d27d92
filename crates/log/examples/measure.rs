//! Prints what the log costs on this machine: `cargo run --release -p millstream-log --example measure -- [FOLDER]`.
//!
//! Writers put batches of 500 records of 1 KiB, given as base64, over 256 shards for some seconds; then one reader reads
//! everything back. The figures include making the load. Not a test: nothing depends on them.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millstream_env::{HostClock, Random, RealDisk, ServiceClock, Tasks};
use millstream_log::disk::{Environment, Options};
use millstream_log::{DiskLog, Entry, Position, ReadFrom, ReadLimit, ShardConfig, ShardKey, SharedLog};
use millstream_types::Payload;

const SHARDS: u32 = 256;
const BATCH: usize = 500;
const RECORD_BYTES: usize = 1024;
const SECONDS: u64 = 5;

fn key(shard: u32) -> ShardKey {
    ShardKey { stream: 1, shard }
}

/// User and system time of this process, seconds.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let nanoseconds = i32::try_from(time.tv_nsec).expect("below a second");
    i32::try_from(time.tv_sec).map_or(0.0, f64::from) + f64::from(nanoseconds) / 1e9
}

fn mega(bytes: u64) -> f64 {
    u32::try_from(bytes / 1000).map_or(0.0, f64::from) / 1000.0
}

/// Writes until the time is over; returns bytes of payload and the time of each batch.
async fn write(log: SharedLog, writer: u32, clock: HostClock, until: Duration) -> (u64, Vec<Duration>) {
    let mut text = vec![0; RECORD_BYTES];
    Random::seeded(u64::from(writer)).fill(&mut text);
    let text = base64_simd::STANDARD.encode_to_string(&text);
    let payload = Payload::Base64(text.as_bytes());
    let random = Random::seeded(u64::from(writer) + 99);
    let (mut bytes, mut times) = (0, Vec::new());
    while clock.monotonic() < until {
        let start = clock.monotonic();
        let entries: Vec<_> = (0..BATCH)
            .map(|_| Entry { shard: key(random.below(SHARDS)), partition_key: "some-key", payload_bytes: RECORD_BYTES })
            .collect();
        let mut reservation = log.reserve(&entries).await;
        for slot in reservation.slots.iter_mut().flatten() {
            slot.fill(payload);
        }
        let stored = reservation.commit().await.iter().filter(|result| result.is_ok()).count();
        bytes += (stored * RECORD_BYTES) as u64;
        times.push(clock.monotonic().saturating_sub(start));
    }
    (bytes, times)
}

async fn read(log: &SharedLog) -> u64 {
    let mut bytes = 0;
    for shard in 0..SHARDS {
        let mut next = Position(0);
        loop {
            let limit = ReadLimit { records: 10_000, bytes: 1 << 20 };
            let batch = log.read(key(shard), ReadFrom::Position(next), limit).await.expect("readable");
            bytes += batch.records.iter().map(|record| record.data.len() as u64).sum::<u64>();
            next = batch.next;
            if batch.behind.is_none() {
                break;
            }
        }
    }
    bytes
}

async fn measure(folder: &Path, writers: u32) {
    let clock = HostClock::real();
    let environment = Environment {
        disk: Arc::new(RealDisk),
        service_clock: ServiceClock::real(),
        host_clock: clock.clone(),
        random: Random::system(),
        tasks: Tasks::new(),
    };
    let (disk_log, _) = DiskLog::open(Options::new(folder), environment).expect("the folder can be opened");
    let disk_log = Arc::new(disk_log);
    let log: SharedLog = disk_log.clone();
    for shard in 0..SHARDS {
        log.create(key(shard), ShardConfig { retention: Duration::from_hours(24) }).await.expect("created");
    }
    let (start, cpu) = (clock.monotonic(), cpu_seconds());
    let until = start + Duration::from_secs(SECONDS);
    let tasks = Tasks::new();
    let running: Vec<_> =
        (0..writers).map(|writer| tasks.spawn(write(log.clone(), writer, clock.clone(), until))).collect();
    let (mut bytes, mut times) = (0, Vec::new());
    for task in running {
        let (written, taken) = task.await.expect("writers do not panic");
        bytes += written;
        times.extend(taken);
    }
    let seconds = (clock.monotonic().saturating_sub(start)).as_secs_f64();
    let gib = mega(bytes) / 1_073.741_824;
    times.sort_unstable();
    let stats = disk_log.stats();
    println!(
        "{writers:3} writers: {:6.0} MB/s, {:5.2} CPU-s/GiB, write amplification {:.3}, p50 {:?}, p99 {:?}",
        mega(bytes) / seconds,
        (cpu_seconds() - cpu) / gib,
        mega(stats.written_bytes) / mega(bytes),
        times[times.len() / 2],
        times[times.len() * 99 / 100],
    );
    let (start, cpu) = (clock.monotonic(), cpu_seconds());
    let read = read(&log).await;
    let seconds = (clock.monotonic().saturating_sub(start)).as_secs_f64();
    println!(
        "    one reader: {:6.0} MB/s, {:5.2} CPU-s/GiB",
        mega(read) / seconds,
        (cpu_seconds() - cpu) / (mega(read) / 1_073.741_824)
    );
    disk_log.close().await;
}

#[tokio::main]
async fn main() {
    let given = std::env::args().nth(1);
    for writers in [1, 8, 64] {
        let folder = given.as_ref().map_or_else(tempfile::tempdir, tempfile::tempdir_in).expect("a folder");
        measure(folder.path(), writers).await;
    }
}
