//! Starts a coordinator for every mapping and tells it what may concern it, as the catalog's watch reports it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use millstream_catalog::{Change, SharedStore, Watch, Watched};
use millstream_env::Tasks;
use millstream_streams::StreamName;
use millstream_types::Scope;

use super::coordinator::{Coordinator, interests};
use super::positions::Flusher;
use super::signals::{Flags, Signals};
use crate::mappings::Shared;
use crate::names::EventSource;
use crate::record::{MAPPINGS, MappingKey, MappingRecord, decode};
use crate::result::ProcessingResult;

/// Wait before the catalog is listed again after a failure.
const LIST_RETRY: Duration = Duration::from_secs(1);
/// How long the coordinators may take to end: their own bound and a little more.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

/// Prefixes of the catalog whose changes concern mappings.
const WATCHED: [&str; 4] = [MAPPINGS, "function", "role/", "policy/"];

/// Runs all mappings. Made together with [`crate::Mappings`]; run it once.
#[derive(Debug)]
pub struct Service {
    shared: Arc<Shared>,
    catalog: SharedStore,
    flusher: Flusher,
    coordinators: HashMap<MappingKey, Arc<Signals>>,
}

impl Service {
    pub(crate) fn new(shared: Arc<Shared>, catalog: SharedStore, flusher: Flusher) -> Self {
        Self { shared, catalog, flusher, coordinators: HashMap::new() }
    }

    /// Runs until `tasks` is cancelled; then lets running invocations end for a few seconds and flushes all positions.
    pub async fn run(self, tasks: Tasks) {
        let Self { shared, catalog, flusher, coordinators } = self;
        // Trees of their own: at the end, first the coordinators stop, then the flusher.
        let (workers, flushing) = (Tasks::new(), Tasks::new());
        flushing.spawn(flusher.run(flushing.clone()));
        let mut dispatcher = Dispatcher { shared, workers: workers.clone(), coordinators };
        tokio::select! {
            () = tasks.cancelled() => {}
            () = dispatcher.run(&catalog) => {}
        }
        if !workers.stop(SHUTDOWN_MAX).await {
            tracing::warn!("some mappings did not stop in time");
        }
        if !flushing.stop(SHUTDOWN_MAX).await {
            tracing::warn!("the last checkpoints could not be stored in time");
        }
    }
}

struct Dispatcher {
    shared: Arc<Shared>,
    workers: Tasks,
    coordinators: HashMap<MappingKey, Arc<Signals>>,
}

impl Dispatcher {
    /// Returns when the catalog is closed.
    async fn run(&mut self, catalog: &SharedStore) {
        // Watch first, then list: what changes in between is seen twice, never missed.
        let [mut mappings, mut functions, mut roles, mut policies] = WATCHED.map(|prefix| catalog.watch(prefix));
        self.list_all().await;
        loop {
            let watched = next(&mut mappings, &mut functions, &mut roles, &mut policies).await;
            match watched {
                Watched::Change(change) => self.dispatch(&change),
                Watched::Lost => {
                    self.list_all().await;
                    self.wake(|_| true);
                }
                Watched::Closed => return,
            }
        }
    }

    async fn list_all(&mut self) {
        loop {
            match self.shared.records.all().await {
                Ok(mappings) => {
                    self.coordinators.retain(|key, _| mappings.iter().any(|(listed, _)| listed == key));
                    for (key, record) in &mappings {
                        self.ensure(key, record);
                    }
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, "the mappings cannot be listed; trying again");
                    self.shared.host_clock.sleep(LIST_RETRY).await;
                }
            }
        }
    }

    fn dispatch(&mut self, change: &Change) {
        let key = change.key.as_str();
        if let Some(mapping) = MappingKey::parse(key) {
            self.on_mapping(&mapping, change);
        } else if key.starts_with("role/") || key.starts_with("policy/") {
            self.wake(|_| true);
        } else if let Some((scope, name)) = function_of(key) {
            self.wake(|signals| signals.is_interested(|i| i.scope == scope && i.function_name == name));
        }
    }

    fn on_mapping(&mut self, mapping: &MappingKey, change: &Change) {
        match &change.value {
            None => {
                if let Some(signals) = self.coordinators.remove(mapping) {
                    signals.raise(Flags::EVERYTHING);
                }
            }
            Some(found) => match decode::<MappingRecord>(&change.key, &found.value) {
                Ok(record) => self.ensure(mapping, &record),
                Err(error) => tracing::error!(%error, "a mapping is left alone"),
            },
        }
    }

    /// Wakes the coordinator of a mapping, or starts it.
    fn ensure(&mut self, key: &MappingKey, record: &MappingRecord) {
        if let Some(signals) = self.coordinators.get(key) {
            if !signals.has_seen(record) {
                signals.raise(Flags::EVERYTHING);
            }
            return;
        }
        let result = ProcessingResult::from_text(&record.last_processing_result);
        let signals = Arc::new(Signals::new(interests(key, record), result));
        let Some(stream) = EventSource::parse(&record.event_source_arn).stream().map(StreamName::arn) else {
            tracing::error!(mapping = %key.uuid, "a mapping without a stream is left alone");
            return;
        };
        let (shared, key) = (Arc::clone(&self.shared), key.clone());
        let coordinator = Coordinator::new(shared, key.clone(), stream, Arc::clone(&signals));
        self.workers.spawn(coordinator.run(self.workers.clone()));
        self.coordinators.insert(key, signals);
    }

    fn wake(&self, concerned: impl Fn(&Signals) -> bool) {
        self.coordinators.values().filter(|signals| concerned(signals)).for_each(|s| s.raise(Flags::EVERYTHING));
    }
}

async fn next(a: &mut Watch, b: &mut Watch, c: &mut Watch, d: &mut Watch) -> Watched {
    tokio::select! {
        watched = a.next() => watched,
        watched = b.next() => watched,
        watched = c.next() => watched,
        watched = d.next() => watched,
    }
}

/// The function that `function<…>/<account>/<region>/<name>[/…]` belongs to.
fn function_of(key: &str) -> Option<(Scope, &str)> {
    let mut parts = key.split('/');
    parts.next().filter(|kind| kind.starts_with("function"))?;
    let (account, region, name) = (parts.next()?, parts.next()?, parts.next()?);
    Some((Scope { account: account.parse().ok()?, region: region.parse().ok()? }, name))
}
