//! A server from its parts: put together in order, stopped in reverse.
//!
//! - [`data_folder`], [`run_directory`]: the two places on disk.
//! - [`storage`]: catalog, log and blobs, in memory or on disk.
//! - [`backend`]: the services, on top of it. [`adapters`] joins those that know each other only by a trait.
//! - [`function_endpoints`]: where functions find AWS.
//! - [`facts`]: the lines a person reads at the start.

mod adapters;
mod backend;
pub(crate) mod data_folder;
mod facts;
mod function_endpoints;
mod run_directory;
pub(crate) mod storage;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use millstream_env::{Disk, HostClock, OpenFiles, Random, RealDisk, ServiceClock, Tasks};
use millstream_gateway::listener::{self, Listener};
use millstream_gateway::{Gateway, Metrics, body, origin};
use millstream_runtime::HostReport;

use crate::config::{Clock, Config};
use backend::{Backend, Entrance, FunctionPlace};
use function_endpoints::Endpoints;
use run_directory::RunDirectory;
use storage::Storage;

/// How long requests may take to finish once the server stops.
const REQUESTS_DEADLINE: Duration = Duration::from_secs(10);
/// Descriptors that are not connections: files, pipes and sockets of functions.
const DESCRIPTORS_KEPT: u64 = 1024;

/// A server that answers requests.
#[derive(Debug)]
pub(crate) struct Server {
    endpoint: String,
    gateway: Gateway,
    requests: Tasks,
    /// Functions call until they are stopped themselves.
    functions_requests: Tasks,
    backend: Backend,
    storage: Storage,
    run_directory: RunDirectory,
    tasks: Tasks,
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
    fn new(config: &Config) -> Self {
        let host_clock = HostClock::real();
        let service_clock = match config.clock {
            Clock::Real => ServiceClock::real(),
            Clock::Virtual => ServiceClock::virtual_at(config.clock_start.unwrap_or_else(|| host_clock.now())).0,
        };
        Self { disk: Arc::new(RealDisk), service_clock, host_clock, random: Random::system(), tasks: Tasks::new() }
    }
}

impl Server {
    /// Puts the parts together, recovers what is stored, and answers requests once everything is ready.
    pub(crate) async fn start(config: Config) -> anyhow::Result<Self> {
        let outside = Outside::new(&config);
        let open_files = OpenFiles::raise().context("the limit on open files cannot be read")?;
        let options = listener_options(open_files);
        let listening = listen(config.listen, options, &outside.host_clock).await?;
        let (requests, functions_requests) = (Tasks::new(), Tasks::new());
        let endpoints = Endpoints::new(options, outside.host_clock.clone(), functions_requests.clone());
        let storage = open_storage(&config, &outside).await?;
        let run_directory = RunDirectory::make(&outside.disk, config.run_dir.as_deref(), &outside.random)?;
        let place = FunctionPlace { run_directory: run_directory.path().to_owned(), endpoints: Arc::clone(&endpoints) };
        let endpoint = format!("http://{}", listening.local_address()?);
        let entrance = Entrance { endpoint: &endpoint, requests: &requests };
        let backend = Backend::start(&config, &outside, &storage, place, entrance).await?;
        let gateway = new_gateway(&config, &outside, &storage, &backend);
        endpoints.serve(gateway.clone());
        requests.spawn(listening.serve(Arc::new(gateway.clone()), requests.clone()));
        facts::tell(&config, &endpoint, &backend.runtime);
        gateway.set_ready(true);
        let tasks = outside.tasks;
        Ok(Self { endpoint, gateway, requests, functions_requests, backend, storage, run_directory, tasks })
    }

    /// `http://ADDR:PORT`
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What this machine offers to functions. Tries every interpreter.
    pub(crate) async fn host_report(&self) -> HostReport {
        self.backend.runtime.host_report().await
    }

    /// Takes no more requests, finishes those that have arrived, stops everything behind them and closes the files.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.gateway.set_ready(false);
        if !self.requests.stop(REQUESTS_DEADLINE).await {
            tracing::warn!("some requests were cut off: they took too long to finish");
        }
        self.backend.stop().await;
        self.functions_requests.stop(REQUESTS_DEADLINE).await;
        self.tasks.stop(REQUESTS_DEADLINE).await;
        self.storage.close().await;
        self.run_directory.remove();
        tracing::info!("stopped");
        Ok(())
    }
}

fn listener_options(open_files: OpenFiles) -> listener::Options {
    let mut options = listener::Options::default();
    if let Some(soft) = open_files.soft {
        // One connection may need a second descriptor behind it.
        let connections = usize::try_from(soft.saturating_sub(DESCRIPTORS_KEPT) / 2).unwrap_or(usize::MAX);
        options.connections_max = options.connections_max.min(connections.max(64));
    }
    options
}

async fn listen(address: SocketAddr, options: listener::Options, clock: &HostClock) -> anyhow::Result<Listener> {
    let listener = Listener::bind(address, options, clock.clone()).await;
    listener.with_context(|| format!("cannot listen on {address}; is another server running?"))
}

fn new_gateway(config: &Config, outside: &Outside, storage: &Storage, backend: &Backend) -> Gateway {
    Gateway::new(millstream_gateway::Parts {
        services: backend.services.clone(),
        origin: origin::Options { host_names: config.host_names.clone(), allow_origins: config.allow_origins.clone() },
        clock: outside.host_clock.clone(),
        random: outside.random.clone(),
        metrics: Arc::new(Metrics::default()),
        budget: body::Budget::default(),
        health: Arc::new(storage.health()),
    })
}

async fn open_storage(config: &Config, outside: &Outside) -> anyhow::Result<Storage> {
    let environment = storage::Environment {
        disk: Arc::clone(&outside.disk),
        service_clock: outside.service_clock.clone(),
        host_clock: outside.host_clock.clone(),
        random: outside.random.clone(),
        tasks: outside.tasks.clone(),
    };
    let (place, limits) = (config.storage.clone(), config.log_limits);
    outside.tasks.blocking(move || Storage::open(&place, limits, &environment)).await?
}
