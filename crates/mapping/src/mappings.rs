//! The handle: the only way in.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_catalog::SharedStore;
use millstream_destinations::SharedDeliver;
use millstream_env::{HostClock, Random, ServiceClock};
use millstream_functions::SharedInvoke;
use millstream_log::SharedLog;
use millstream_telemetry::Metrics;
use millstream_types::ShardId;

use crate::contract::{Permissions, Source, Targets};
use crate::driver::Service;
use crate::driver::directory::Directory;
use crate::driver::history::History;
use crate::driver::positions::Positions;
use crate::failed::FailedBatches;
use crate::machine::BatchEntry;
use crate::store::Records;

/// What mappings are built from.
#[derive(Clone, Debug)]
pub struct Parts {
    pub catalog: SharedStore,
    pub log: SharedLog,
    pub invoke: SharedInvoke,
    pub deliver: SharedDeliver,
    pub source: Arc<dyn Source>,
    pub targets: Arc<dyn Targets>,
    pub permissions: Arc<dyn Permissions>,
    pub metrics: Metrics,
    pub clock: ServiceClock,
    pub host_clock: HostClock,
    pub random: Random,
}

/// Event source mappings. Clones are the same.
#[derive(Clone, Debug)]
pub struct Mappings {
    pub(crate) shared: Arc<Shared>,
}

/// What handle and driver have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) records: Records,
    pub(crate) log: SharedLog,
    pub(crate) invoke: SharedInvoke,
    pub(crate) deliver: SharedDeliver,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) targets: Arc<dyn Targets>,
    pub(crate) permissions: Arc<dyn Permissions>,
    pub(crate) metrics: Metrics,
    pub(crate) clock: ServiceClock,
    pub(crate) host_clock: HostClock,
    pub(crate) random: Random,
    pub(crate) positions: Arc<Positions>,
    pub(crate) history: History,
    pub(crate) failed: FailedBatches,
    pub(crate) directory: Directory,
}

impl Mappings {
    /// The handle, and the service that must be run for anything to happen.
    pub fn new(parts: Parts) -> (Self, Service) {
        let Parts { catalog, log, invoke, deliver, source, targets, permissions, metrics, clock, host_clock, random } =
            parts;
        let (positions, flusher) = Positions::new(random.uuid(), Arc::clone(&catalog), host_clock.clone());
        let shared = Arc::new(Shared {
            records: Records::new(Arc::clone(&catalog)),
            log,
            invoke,
            deliver,
            source,
            targets,
            permissions,
            metrics,
            clock,
            host_clock,
            random,
            positions,
            history: History::default(),
            failed: FailedBatches::new(Arc::clone(&catalog)),
            directory: Directory::default(),
        });
        (Self { shared: Arc::clone(&shared) }, Service::new(shared, catalog, flusher))
    }

    /// The last batches of each shard of a mapping, oldest first; empty for a mapping that is not known.
    pub fn batch_history(&self, uuid: &str) -> BTreeMap<ShardId, Vec<BatchEntry>> {
        self.shared.history.of(uuid)
    }
}
