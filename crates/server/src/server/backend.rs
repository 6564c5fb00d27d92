//! The services behind the gateway, started in the order in which they need each other.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use millstream_destinations::external::External;
use millstream_destinations::{Destinations, Places, SharedDeliver};
use millstream_env::{ClockControl, ServiceClock, Tasks};
use millstream_functions::Functions;
use millstream_gateway::Services;
use millstream_iam::{AuthMode, Iam};
use millstream_mapping::Mappings;
use millstream_runtime::Runtime;
use millstream_streams::Streams;
use millstream_telemetry::{Logs, Metrics};

use super::Outside;
use super::adapters::{FunctionLogs, Identities};
use super::function_endpoints::Endpoints;
use super::storage::Storage;
use crate::config::{Config, Isolation, ShardLimits};

/// How long each of the stages may take to stop.
const STAGE_DEADLINE: Duration = Duration::from_secs(15);

/// Everything that works behind the gateway.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) services: Services,
    pub(super) runtime: Runtime,
    stages: Stages,
}

/// Task trees in the order in which they are stopped: each only uses what is stopped after it.
#[derive(Debug, Default)]
struct Stages {
    mappings: Tasks,
    functions: Tasks,
    runtime: Tasks,
    storage: Tasks,
}

/// What functions run with.
#[derive(Debug)]
pub(super) struct FunctionPlace {
    /// A folder that functions' users may enter.
    pub(super) run_directory: PathBuf,
    /// Where functions find AWS.
    pub(super) endpoints: Arc<Endpoints>,
}

/// How requests come in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entrance<'a> {
    /// `http://ADDR:PORT`
    pub(super) endpoint: &'a str,
    /// Told to stop first of all: what waits for the sake of a request then ends.
    pub(super) requests: &'a Tasks,
}

impl Backend {
    pub(super) async fn start(
        config: &Config,
        outside: &Outside,
        storage: &Storage,
        place: FunctionPlace,
        entrance: Entrance<'_>,
    ) -> anyhow::Result<Self> {
        let stages = Stages::default();
        let iam = Iam::open(
            Arc::clone(&storage.catalog),
            outside.service_clock.clone(),
            outside.host_clock.clone(),
            outside.random.clone(),
            AuthMode::Open,
        )
        .await?;
        let streams = open_streams(config, outside, storage, &stages).await.context("streams cannot be opened")?;
        let logs = open_logs(outside, storage, &stages).await.context("log groups cannot be opened")?;
        let places = open_destinations(config, outside, storage, &stages, entrance).await?;
        let writer = logs.writer(Arc::new(Identities(iam.clone())));
        let code_directory = place.run_directory.join("code");
        let runtime = start_runtime(config, outside, &stages, place, &iam, FunctionLogs(writer)).await?;
        let metrics = Metrics::new(outside.service_clock.clone());
        let deliver: SharedDeliver = Arc::new(Destinations::new(places.clone(), iam.clone()));
        let functions = Functions::start(millstream_functions::Options {
            catalog: Arc::clone(&storage.catalog),
            code: Arc::clone(&storage.code),
            events: Arc::clone(&storage.events),
            code_directory,
            strict_runtimes: config.strict_runtimes,
            roles: Arc::new(Identities(iam.clone())),
            deliver: Arc::clone(&deliver),
            executor: Arc::new(runtime.clone()),
            metrics: metrics.clone(),
            service_clock: outside.service_clock.clone(),
            host_clock: outside.host_clock.clone(),
            random: outside.random.clone(),
            tasks: stages.functions.clone(),
        })
        .await?;
        let around = Around { iam: &iam, streams: &streams, functions: &functions, metrics: &metrics };
        let mappings = start_mappings(outside, storage, &stages, around, deliver);
        let clock = ClockControl::new(outside.service_clock.clone(), outside.host_clock.clone());
        let Places { sqs: queues, sns: topics, s3: buckets, .. } = places;
        let services = Services { iam, streams, functions, mappings, logs, metrics, clock, queues, topics, buckets };
        Ok(Self { services, runtime, stages })
    }

    /// Stops everything in order, each stage by its deadline.
    pub(super) async fn stop(self) {
        let Stages { mappings, functions, runtime, storage } = self.stages;
        for (name, tasks) in
            [("mappings", mappings), ("functions", functions), ("environments", runtime), ("storage", storage)]
        {
            if !tasks.stop(STAGE_DEADLINE).await {
                tracing::warn!(stage = name, "some work was cut off: it took too long to finish");
            }
        }
    }
}

async fn open_streams(
    config: &Config,
    outside: &Outside,
    storage: &Storage,
    stages: &Stages,
) -> anyhow::Result<Streams> {
    let parts = millstream_streams::Parts {
        log: Arc::clone(&storage.log),
        keys: storage.keys.clone(),
        store: Arc::clone(&storage.catalog),
        clock: outside.service_clock.clone(),
        host_clock: outside.host_clock.clone(),
        random: outside.random.clone(),
        tasks: stages.storage.clone(),
    };
    let shard_limits = config.shard_limits == ShardLimits::Aws;
    let options = millstream_streams::Options { shard_limits, ..millstream_streams::Options::default() };
    Ok(Streams::open(parts, options).await?)
}

async fn open_logs(outside: &Outside, storage: &Storage, stages: &Stages) -> anyhow::Result<Logs> {
    let parts = millstream_telemetry::Parts {
        store: Arc::clone(&storage.catalog),
        storage: storage.logs.clone(),
        // Functions write by the host's time, whatever the records' time is; so do clients that put events of their own.
        clock: ServiceClock::real(),
        host_clock: outside.host_clock.clone(),
        random: outside.random.clone(),
        tasks: stages.storage.clone(),
    };
    Ok(Logs::open(parts, millstream_telemetry::Options::default()).await?)
}

async fn open_destinations(
    config: &Config,
    outside: &Outside,
    storage: &Storage,
    stages: &Stages,
    entrance: Entrance<'_>,
) -> anyhow::Result<Places> {
    let parts = millstream_destinations::Parts {
        catalog: Arc::clone(&storage.catalog),
        messages: Arc::clone(&storage.messages),
        objects: Arc::clone(&storage.objects),
        clock: outside.service_clock.clone(),
        host_clock: outside.host_clock.clone(),
        random: outside.random.clone(),
        tasks: stages.storage.clone(),
        requests: entrance.requests.clone(),
        endpoint: entrance.endpoint.to_owned(),
        outside: open_external(config, outside).await?,
    };
    Ok(Places::open(parts).await?)
}

/// Finds out at the start whether services outside can be called at all.
async fn open_external(config: &Config, outside: &Outside) -> anyhow::Result<External> {
    let (options, clock) = (config.external.clone(), outside.host_clock.clone());
    let opened = outside.tasks.blocking(move || External::new(&options, &clock)).await?;
    opened.context("the services of --destination cannot be used")
}

async fn start_runtime(
    config: &Config,
    outside: &Outside,
    stages: &Stages,
    place: FunctionPlace,
    iam: &Iam,
    logs: FunctionLogs,
) -> anyhow::Result<Runtime> {
    let credentials = Arc::new(Identities(iam.clone()));
    let tasks = stages.runtime.clone();
    let mut options = millstream_runtime::Options::new(place.run_directory, credentials, Arc::new(logs), tasks);
    options.endpoints = Some(place.endpoints);
    options.isolation = match config.isolation {
        Isolation::Auto => millstream_runtime::Isolation::Auto,
        Isolation::None => millstream_runtime::Isolation::None,
    };
    if let Some(uids) = &config.function_uids {
        options.function_uids = uids.clone();
    }
    options.strict_runtimes = config.strict_runtimes;
    options.host_clock = outside.host_clock.clone();
    options.random = outside.random.clone();
    Ok(Runtime::start(options).await?)
}

/// What mappings work with.
#[derive(Clone, Copy)]
struct Around<'a> {
    iam: &'a Iam,
    streams: &'a Streams,
    functions: &'a Functions,
    metrics: &'a Metrics,
}

fn start_mappings(
    outside: &Outside,
    storage: &Storage,
    stages: &Stages,
    around: Around<'_>,
    deliver: SharedDeliver,
) -> Mappings {
    let Around { iam, streams, functions, metrics } = around;
    let (mappings, service) = Mappings::new(millstream_mapping::Parts {
        catalog: Arc::clone(&storage.catalog),
        log: Arc::clone(streams.log()),
        invoke: Arc::new(functions.clone()),
        deliver,
        source: Arc::new(streams.clone()),
        targets: Arc::new(functions.clone()),
        permissions: Arc::new(iam.clone()),
        metrics: metrics.clone(),
        clock: outside.service_clock.clone(),
        host_clock: outside.host_clock.clone(),
        random: outside.random.clone(),
    });
    stages.mappings.spawn(service.run(stages.mappings.clone()));
    mappings
}
