//! What all measurements share.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millstream_env::{HostClock, Random, RealDisk, ServiceClock, Tasks};
use millstream_log::disk::{Environment, Options};
use millstream_log::{DiskLog, Entry, Position, ReadFrom, ReadLimit, ShardConfig, ShardKey, ShardLog, SharedLog};
use millstream_testkit::cost::cpu_of_process;
use millstream_types::Payload;

pub(crate) const BATCH: usize = 500;
pub(crate) const RECORD_BYTES: usize = 1024;

/// Where the logs go; a temporary folder when not given.
pub(crate) struct Folder(pub(crate) Option<String>);

impl Folder {
    pub(crate) fn fresh(&self) -> tempfile::TempDir {
        self.0.as_ref().map_or_else(tempfile::tempdir, tempfile::tempdir_in).expect("a folder")
    }
}

pub(crate) fn key(shard: u32) -> ShardKey {
    ShardKey { stream: 1, shard }
}

pub(crate) fn mega(bytes: u64) -> f64 {
    u32::try_from(bytes / 1000).map_or(0.0, f64::from) / 1000.0
}

/// Wall and CPU time from its making on.
pub(crate) struct Meter {
    clock: HostClock,
    start: Duration,
    cpu: Duration,
}

impl Meter {
    pub(crate) fn new() -> Self {
        let clock = HostClock::real();
        Self { start: clock.monotonic(), clock, cpu: cpu_of_process() }
    }

    /// Rate and CPU seconds for each GiB.
    pub(crate) fn text(&self, bytes: u64) -> String {
        let seconds = self.clock.monotonic().saturating_sub(self.start).as_secs_f64();
        let gib = mega(bytes) / 1_073.741_824;
        let cpu = cpu_of_process().saturating_sub(self.cpu).as_secs_f64();
        format!(
            "{:6.0} MB/s, {:6.2} CPU-s/GiB ({:.0} MB in {seconds:.2} s)",
            mega(bytes) / seconds,
            cpu / gib,
            mega(bytes)
        )
    }
}

pub(crate) async fn open(folder: &Path, shards: u32) -> Arc<DiskLog> {
    open_at(folder, shards, ServiceClock::real()).await
}

pub(crate) async fn open_at(folder: &Path, shards: u32, service_clock: ServiceClock) -> Arc<DiskLog> {
    let environment = Environment {
        disk: Arc::new(RealDisk),
        service_clock,
        host_clock: HostClock::real(),
        random: Random::system(),
        tasks: Tasks::new(),
    };
    let (log, _) = DiskLog::open(Options::new(folder), environment).expect("the folder can be opened");
    let config = ShardConfig { retention: Duration::from_hours(24) };
    let created = (0..shards).map(|shard| log.create(key(shard), config));
    for result in futures_util::future::join_all(created).await {
        result.expect("created");
    }
    Arc::new(log)
}

/// Puts batches until told to stop; returns bytes of payload and the time of each batch.
pub(crate) async fn put(log: SharedLog, writer: u32, shards: u32, go_on: impl Fn(u64) -> bool) -> (u64, Vec<Duration>) {
    let clock = HostClock::real();
    let mut text = vec![0; RECORD_BYTES];
    Random::seeded(u64::from(writer)).fill(&mut text);
    let text = base64_simd::STANDARD.encode_to_string(&text);
    let payload = Payload::Base64(text.as_bytes());
    let random = Random::seeded(u64::from(writer) + 99);
    let (mut bytes, mut times) = (0, Vec::new());
    while go_on(bytes) {
        let start = clock.monotonic();
        let entries: Vec<_> = (0..BATCH)
            .map(|_| Entry {
                shard: key(random.below(shards)),
                partition_key: "some-key",
                payload_bytes: RECORD_BYTES,
                tag: 0,
            })
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

/// Reads all of one shard.
pub(crate) async fn read(log: SharedLog, shard: u32) -> u64 {
    let (mut bytes, mut next) = (0, Position(0));
    loop {
        let limit = ReadLimit { records: 10_000, bytes: 1 << 20 };
        let batch = log.read(key(shard), ReadFrom::Position(next), limit).await.expect("readable");
        bytes += batch.records.iter().map(|record| record.data.len() as u64).sum::<u64>();
        next = batch.next;
        if batch.behind.is_none() {
            return bytes;
        }
    }
}
