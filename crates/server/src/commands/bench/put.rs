//! `bench put`: how fast records become durable.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::bare;
use super::load::{self, Load, Progress};
use super::report::{self, Figures};
use super::target::Target;
use super::{Shape, World};
use crate::commands::histogram::Histogram;
use crate::commands::{api, print};

pub(crate) const STREAM: &str = "bench";
const SHARDS_DEFAULT: u32 = 256;

pub(crate) async fn run(world: &World, shape: &Shape) -> anyhow::Result<()> {
    let target = Target::start(world, shape).await?;
    let shards = shape.shards.unwrap_or(SHARDS_DEFAULT);
    let load = prepare(world, shape, &target, vec![STREAM.to_owned()], shards).await?;
    // One record at a time is compared with what the disk takes, before it and behind.
    let alone = shape.connections == 1 && shape.records == 1;
    let mut bare = if alone { bare_writes(world, &target).await? } else { None };
    let meter = target.meter()?;
    let progress = Arc::new(Progress::default());
    let elapsed = drive(world, shape, &load, &progress, 0).await?;
    let records = progress.records.load(Ordering::Relaxed);
    let (server_cpu, client_cpu) = meter.spent()?;
    if let Some(before) = &mut bare
        && let Some(behind) = bare_writes(world, &target).await?
    {
        before.merge(&behind);
    }
    let figures = Figures {
        elapsed,
        records,
        failed: progress.failed.load(Ordering::Relaxed),
        bytes: records * u64::from(shape.record_bytes),
        latencies: progress.latencies.lock().await.clone(),
        latency_of: "request acknowledged",
        server_cpu,
        client_cpu,
        batches: None,
        bare,
    };
    target.stop(world).await?;
    if shape.json {
        return print(&format!("{}\n", figures.json()));
    }
    print(&format!(
        "put: {} connections, {} × {} bytes a request, {} shards, {}, signed with an issued key\n{}",
        shape.connections,
        shape.records,
        shape.record_bytes,
        shards,
        if shape.ephemeral { "in memory" } else { "synced" },
        figures.table()
    ))
}

/// What the disk of the data folder takes for one write and sync; `None` in memory.
async fn bare_writes(world: &World, target: &Target) -> anyhow::Result<Option<Histogram>> {
    let Some(folder) = target.folder().map(Path::to_owned) else { return Ok(None) };
    let clock = world.clock.clone();
    Ok(Some(world.tasks.blocking(move || bare::measure(&folder, &clock)).await??))
}

/// Makes streams of so many shards each, and a key that the server verifies.
pub(crate) async fn prepare(
    world: &World,
    shape: &Shape,
    target: &Target,
    streams: Vec<String>,
    shards: u32,
) -> anyhow::Result<Arc<Load>> {
    let root = target.api(world)?;
    let role = root.role("bench-producer", &["AmazonKinesisFullAccess"]).await?;
    let credentials = root.assume(&role).await?;
    for stream in &streams {
        root.stream(stream, shards).await?;
    }
    Ok(Arc::new(Load {
        address: target.address,
        credentials,
        region: api::REGION.to_owned(),
        streams,
        records_per_request: usize::try_from(shape.records)?,
        record_bytes: usize::try_from(shape.record_bytes)?,
    }))
}

/// Puts from all connections for the wanted time and shows progress; how long it really took. `rate` is in records per
/// second over all connections, 0 for no limit.
pub(crate) async fn drive(
    world: &World,
    shape: &Shape,
    load: &Arc<Load>,
    progress: &Arc<Progress>,
    rate: u64,
) -> anyhow::Result<Duration> {
    let started = world.clock.monotonic();
    let end = started + Duration::from_secs(shape.seconds);
    let mut connections = Vec::new();
    for _ in 0..shape.connections {
        let pace = load::Pace::new(world.clock.clone(), end, rate, shape.records, shape.connections);
        let work = load::connection(Arc::clone(load), Arc::clone(progress), world.random.clone(), pace);
        connections.push(world.tasks.spawn(work));
    }
    let mut seen = 0;
    while world.clock.monotonic() < end {
        world.clock.sleep(Duration::from_secs(1)).await;
        let records = progress.records.load(Ordering::Relaxed);
        if !shape.json {
            let passed = world.clock.monotonic().saturating_sub(started).as_secs();
            let p50 = progress.latencies.lock().await.percentile_ms(50);
            let rate = (records - seen) * u64::from(shape.record_bytes) / 1_000_000;
            let rate_line = format!("{passed:>4} s  {records} records  {} records/s  {rate} MB/s", records - seen);
            report::progress(&format!("{rate_line}  p50 {p50:.1} ms"));
        }
        seen = records;
    }
    for connection in connections {
        connection.await??;
    }
    report::progress_done();
    Ok(world.clock.monotonic().saturating_sub(started))
}
