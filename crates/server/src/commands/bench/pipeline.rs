//! `bench pipeline`: how fast records reach a compiled function through an event source mapping.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;

use super::load::Progress;
use super::report::{self, Figures};
use super::target::Target;
use super::{PipelineShape, World, put};
use crate::commands::api::{Api, FunctionCode};
use crate::commands::histogram::Histogram;
use crate::commands::{bootstrap, print};

const FUNCTION: &str = "bench";
const SHARDS_DEFAULT: u32 = 4;
/// The run fails when no record arrives for this long.
const STALL_LIMIT: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) async fn run(world: &World, pipeline: &PipelineShape) -> anyhow::Result<()> {
    let shape = &pipeline.shape;
    let target = Target::start(world, shape).await?;
    let api = target.api(world)?;
    let shards = shape.shards.unwrap_or(SHARDS_DEFAULT);
    let load = put::prepare(world, shape, &target, shards).await?;
    prepare(&api, pipeline).await?;
    let meter = target.meter()?;
    let started = world.clock.monotonic();
    let progress = Arc::new(Progress::default());
    put::drive(world, shape, &load, &progress, pipeline.rate).await?;
    let put = progress.records.load(Ordering::Relaxed);
    let latencies = arrivals(world, shape.json, &api, put).await?;
    let (server_cpu, client_cpu) = meter.spent()?;
    let figures = Figures {
        elapsed: world.clock.monotonic().saturating_sub(started),
        records: latencies.count(),
        failed: progress.failed.load(Ordering::Relaxed),
        bytes: latencies.count() * u64::from(shape.record_bytes),
        latencies,
        latency_of: "put → handler",
        server_cpu,
        client_cpu,
        bare: None,
    };
    target.stop(world).await?;
    if shape.json {
        return print(&format!("{}\n", figures.json()));
    }
    print(&format!(
        "pipeline: {} shards, batch size {}, {} × {} bytes a request, compiled function\n{}",
        shards,
        pipeline.batch_size,
        shape.records,
        shape.record_bytes,
        figures.table()
    ))
}

/// Makes the function, which is this binary, and its mapping.
async fn prepare(api: &Api, pipeline: &PipelineShape) -> anyhow::Result<()> {
    let role = api.role("bench-function", &["service-role/AWSLambdaKinesisExecutionRole"]).await?;
    let code = bootstrap::package()?;
    let code = FunctionCode {
        runtime: "provided.al2023",
        handler: bootstrap::BENCH_HANDLER,
        file: ("bootstrap", &code, 0o755),
    };
    api.function(FUNCTION, &code, &role).await?;
    let stream = format!("arn:aws:kinesis:{}:000000000000:stream/{}", crate::commands::api::REGION, put::STREAM);
    api.mapping(FUNCTION, &stream, pipeline.batch_size).await?;
    Ok(())
}

/// Follows the function's log until it has seen every record.
async fn arrivals(world: &World, quiet: bool, api: &Api, wanted: u64) -> anyhow::Result<Histogram> {
    let (mut latencies, mut seen, mut since) = (Histogram::default(), HashSet::new(), 0);
    let mut moved_at = world.clock.monotonic();
    loop {
        for line in api.log_lines(FUNCTION, since).await? {
            since = since.max(line.timestamp);
            let report = line
                .message
                .strip_prefix("demo ")
                .and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
            if let Some(report) = report.filter(|_| seen.insert(line.event_id)) {
                let batch = serde_json::from_value(report["latencies"].clone()).context("a report of the function")?;
                latencies.merge(&batch);
                moved_at = world.clock.monotonic();
            }
        }
        if latencies.count() >= wanted {
            report::progress_done();
            return Ok(latencies);
        }
        let missing = wanted - latencies.count();
        anyhow::ensure!(
            world.clock.monotonic().saturating_sub(moved_at) < STALL_LIMIT,
            "{missing} of {wanted} records did not reach the function"
        );
        if !quiet {
            report::progress(&format!("waiting for the function: {missing} of {wanted} records to go"));
        }
        world.clock.sleep(PAUSE).await;
    }
}
