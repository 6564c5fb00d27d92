//! A server from its parts: put together in order, stopped in reverse.
//!
//! - [`data_folder`], [`run_directory`]: the two places on disk.
//! - [`storage`]: catalog, log and blobs, in memory or on disk.
//! - [`facts`]: the lines a person reads at the start.

mod data_folder;
mod facts;
mod run_directory;
mod storage;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use millstream_env::{Disk, HostClock, OpenFiles, Random, RealDisk, ServiceClock, Tasks};
use millstream_gateway::listener::{self, Listener};
use millstream_gateway::{Gateway, Metrics, Services, body, origin};
use millstream_iam::{AuthMode, Iam};
use millstream_streams::Streams;

use crate::config::Config;
use storage::Storage;

/// How long requests may take to finish once the server stops.
const REQUESTS_DEADLINE: Duration = Duration::from_secs(10);
/// How long everything behind them may take.
const SERVICES_DEADLINE: Duration = Duration::from_secs(10);
/// Descriptors that are not connections: files, pipes and sockets of functions.
const DESCRIPTORS_KEPT: u64 = 1024;

/// A server that answers requests.
#[derive(Debug)]
pub(crate) struct RunningServer {
    /// `http://ADDR:PORT`
    pub(crate) endpoint: String,
    gateway: Gateway,
    requests: Tasks,
    tasks: Tasks,
    storage: Storage,
}

/// What is injected everywhere.
#[derive(Clone, Debug)]
struct Outside {
    disk: Arc<dyn Disk>,
    service_clock: ServiceClock,
    host_clock: HostClock,
    random: Random,
    tasks: Tasks,
}

impl Outside {
    fn real() -> Self {
        Self {
            disk: Arc::new(RealDisk),
            service_clock: ServiceClock::real(),
            host_clock: HostClock::real(),
            random: Random::system(),
            tasks: Tasks::new(),
        }
    }
}

/// Starts servers.
#[derive(Debug)]
pub(crate) struct Server;

impl Server {
    /// Puts the parts together, recovers what is stored, and answers requests once everything is ready.
    pub(crate) async fn start(config: Config) -> anyhow::Result<RunningServer> {
        let outside = Outside::real();
        let open_files = OpenFiles::raise().context("the limit on open files cannot be read")?;
        let listening = listening(&config, open_files, &outside.host_clock).await?;
        let address = listening.local_address()?;
        let storage = open_storage(&config, &outside).await?;
        let iam = Iam::open(
            Arc::clone(&storage.catalog),
            outside.service_clock.clone(),
            outside.host_clock.clone(),
            outside.random.clone(),
            AuthMode::Open,
        )
        .await?;
        let streams = open_streams(&storage, &outside).await?;
        let gateway = Gateway::new(millstream_gateway::Parts {
            services: Services { iam, streams },
            origin: origin::Options {
                host_names: config.host_names.clone(),
                allow_origins: config.allow_origins.clone(),
            },
            clock: outside.host_clock.clone(),
            random: outside.random.clone(),
            metrics: Arc::new(Metrics::default()),
            budget: body::Budget::default(),
        });
        let requests = Tasks::new();
        requests.spawn(listening.serve(Arc::new(gateway.clone()), requests.clone()));
        gateway.set_ready(true);
        let endpoint = format!("http://{address}");
        facts::tell(&config, &endpoint);
        Ok(RunningServer { endpoint, gateway, requests, tasks: outside.tasks, storage })
    }
}

impl RunningServer {
    /// Takes no more requests, finishes those that have arrived, stops everything behind them and closes the files.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.gateway.set_ready(false);
        if !self.requests.stop(REQUESTS_DEADLINE).await {
            tracing::warn!("some requests were cut off: they took too long to finish");
        }
        if !self.tasks.stop(SERVICES_DEADLINE).await {
            tracing::warn!("some work was cut off: it took too long to finish");
        }
        self.storage.close().await;
        tracing::info!("stopped");
        Ok(())
    }
}

async fn listening(config: &Config, open_files: OpenFiles, clock: &HostClock) -> anyhow::Result<Listener> {
    let mut options = listener::Options::default();
    if let Some(soft) = open_files.soft {
        // One connection may need a second descriptor behind it.
        let connections = usize::try_from(soft.saturating_sub(DESCRIPTORS_KEPT) / 2).unwrap_or(usize::MAX);
        options.connections_max = options.connections_max.min(connections.max(64));
    }
    let listener = Listener::bind(config.listen, options, clock.clone()).await;
    listener.with_context(|| format!("cannot listen on {}; is another server running?", config.listen))
}

async fn open_storage(config: &Config, outside: &Outside) -> anyhow::Result<Storage> {
    let environment = storage::Environment {
        disk: Arc::clone(&outside.disk),
        service_clock: outside.service_clock.clone(),
        host_clock: outside.host_clock.clone(),
        tasks: outside.tasks.clone(),
    };
    let place = config.storage.clone();
    outside.tasks.blocking(move || Storage::open(&place, &environment)).await?
}

async fn open_streams(storage: &Storage, outside: &Outside) -> anyhow::Result<Streams> {
    let parts = millstream_streams::Parts {
        log: Arc::clone(&storage.log),
        store: Arc::clone(&storage.catalog),
        clock: outside.service_clock.clone(),
        random: outside.random.clone(),
        tasks: outside.tasks.clone(),
    };
    Ok(Streams::open(parts, millstream_streams::Options::default()).await?)
}
