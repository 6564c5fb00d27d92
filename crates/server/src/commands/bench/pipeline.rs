//! `bench pipeline`: how fast records reach a function through event source mappings.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::load::Progress;
use super::report::{self, Figures};
use super::target::Target;
use super::{PipelineShape, World, put};
use crate::commands::api::{self, Api};
use crate::commands::histogram::Histogram;
use crate::commands::language::{Language, Sources};
use crate::commands::{bootstrap, print};

pub(super) const FUNCTION: &str = "bench";
const SOURCES: Sources = Sources {
    python: include_bytes!("handler.py"),
    node: include_bytes!("handler.js"),
    compiled: bootstrap::BENCH_HANDLER,
};
const SHARDS_DEFAULT: u32 = 4;
/// The run fails when no record arrives for this long.
const STALL_LIMIT: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(50);
/// Mappings that are made at the same time.
const MADE_AT_ONCE: usize = 16;

pub(crate) async fn run(world: &World, pipeline: &PipelineShape) -> anyhow::Result<()> {
    let shape = &pipeline.shape;
    let target = Target::start(world, shape).await?;
    let api = target.api(world)?;
    let shards = shape.shards.unwrap_or(if pipeline.mappings == 1 { SHARDS_DEFAULT } else { 1 });
    let streams: Vec<_> = (0..pipeline.mappings).map(|number| format!("{}-{number}", put::STREAM)).collect();
    let load = put::prepare(world, shape, &target, streams.clone(), shards).await?;
    let runtime = make_function(&api, pipeline.language).await?;
    if !pipeline.backlog {
        make_mappings(&api, &streams, pipeline.batch_size).await?;
    }
    let progress = Arc::new(Progress::default());
    let mut meter = target.meter()?;
    let mut started = world.clock.monotonic();
    put::drive(world, shape, &load, &progress, pipeline.rate).await?;
    if pipeline.backlog {
        (meter, started) = (target.meter()?, world.clock.monotonic());
        make_mappings(&api, &streams, pipeline.batch_size).await?;
    }
    let put = progress.records.load(Ordering::Relaxed);
    let arrivals = arrivals(world, shape.json, &api, put).await?;
    let (server_cpu, client_cpu) = meter.spent()?;
    let figures = Figures {
        elapsed: world.clock.monotonic().saturating_sub(started),
        records: arrivals.latencies.count(),
        failed: progress.failed.load(Ordering::Relaxed),
        bytes: arrivals.latencies.count() * u64::from(shape.record_bytes),
        latencies: arrivals.latencies,
        latency_of: "put → handler",
        server_cpu,
        client_cpu,
        batches: Some(arrivals.batches),
        bare: None,
    };
    target.stop(world).await?;
    if shape.json {
        return print(&format!("{}\n", figures.json()));
    }
    print(&format!(
        "pipeline: {} mappings, {shards} shards each, batch size {}, {} × {} bytes a request, function in {runtime}{}\n{}",
        pipeline.mappings,
        pipeline.batch_size,
        shape.records,
        shape.record_bytes,
        if pipeline.backlog { ", records put before" } else { "" },
        figures.table()
    ))
}

/// The function that counts; its runtime.
pub(super) async fn make_function(api: &Api, language: Language) -> anyhow::Result<&'static str> {
    let role = api.role("bench-function", &["service-role/AWSLambdaKinesisExecutionRole"]).await?;
    SOURCES.make_function(api, Some(language), FUNCTION, &role).await
}

/// A mapping of the function for each stream.
pub(super) async fn make_mappings(api: &Api, streams: &[String], batch_size: u32) -> anyhow::Result<()> {
    futures_util::stream::iter(streams)
        .map(async |stream| {
            let arn = format!("arn:aws:kinesis:{}:000000000000:stream/{stream}", api::REGION);
            api.mapping(FUNCTION, &arn, batch_size).await.map(drop)
        })
        .buffer_unordered(MADE_AT_ONCE)
        .try_collect()
        .await
}

/// What the function has reported.
#[derive(Debug, Default)]
struct Arrivals {
    latencies: Histogram,
    batches: u64,
}

/// Follows the function's log until it has seen every record.
async fn arrivals(world: &World, quiet: bool, api: &Api, wanted: u64) -> anyhow::Result<Arrivals> {
    let (mut arrivals, mut seen, mut since) = (Arrivals::default(), HashSet::new(), 0);
    let mut moved_at = world.clock.monotonic();
    loop {
        for line in api.log_lines(FUNCTION, since).await? {
            since = since.max(line.timestamp);
            let report = line
                .message
                .strip_prefix("bench ")
                .and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
            if let Some(report) = report.filter(|_| seen.insert(line.event_id)) {
                let batch = serde_json::from_value(report["latencies"].clone()).context("a report of the function")?;
                arrivals.latencies.merge(&batch);
                arrivals.batches += 1;
                moved_at = world.clock.monotonic();
            }
        }
        let here = arrivals.latencies.count();
        if here >= wanted {
            report::progress_done();
            return Ok(arrivals);
        }
        let missing = wanted - here;
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
