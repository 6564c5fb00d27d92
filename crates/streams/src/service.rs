//! The handle.

use std::sync::Arc;
use std::time::Duration;

use millstream_catalog::{Expect, SharedStore, StoreError};
use millstream_env::{HostClock, Random, ServiceClock, Tasks};
use millstream_log::{EncryptedLog, SharedLog};
use millstream_types::Arn;

use crate::errors::Internal;
use crate::keys::{KeyRing, MasterKeys};
use crate::lifecycle::Running;
use crate::model::{self, SECRET_KEY, Secret, Unreadable};
use crate::names::StreamName;
use crate::registry::{Registry, StreamWatch};
use crate::signer::Signer;
use crate::stream::Stream;
use crate::subscriptions::Places;
use crate::traffic::calls::Calls;

/// Quotas of one account in one region.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Open shards; AWS's default in its largest regions (Kinesis developer guide).
    pub shards_max: u32,
    /// On-demand streams (Kinesis model).
    pub on_demand_streams_max: u32,
    /// Streams that can be created at the same time (Kinesis model).
    pub streams_creating_max: usize,
    /// How long a creation beyond that waits for its turn before it is refused.
    pub creating_wait: Duration,
    /// Whether AWS's limits are enforced: of what a shard takes and gives, of what a consumer receives, and of calls.
    pub shard_limits: bool,
    /// Subscriptions to shards that this process serves at once, of all accounts. Each may hold one event on its way.
    pub subscriptions_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shards_max: 20_000,
            on_demand_streams_max: 50,
            streams_creating_max: 5,
            creating_wait: Duration::from_secs(2),
            shard_limits: false,
            subscriptions_max: 4096,
        }
    }
}

/// What the service stands on.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The service encrypts what goes in: everybody else uses [`Streams::log`].
    pub log: SharedLog,
    pub keys: MasterKeys,
    pub store: SharedStore,
    /// What records, retention, iterators and subscriptions go by.
    pub clock: ServiceClock,
    /// What waits for this process's own work are bounded by.
    pub host_clock: HostClock,
    pub random: Random,
    pub tasks: Tasks,
}

/// The service could not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the catalog did not answer while streams were opened: {0}")]
    Store(#[from] StoreError),
    #[error("{0}; a newer version of millstream may have written it")]
    Unreadable(String),
}

impl From<Unreadable> for OpenError {
    fn from(error: Unreadable) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// The streams of all accounts and regions. Clones are the same service.
#[derive(Clone, Debug)]
pub struct Streams {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) parts: Parts,
    pub(crate) options: Options,
    pub(crate) registry: Registry,
    pub(crate) signer: Signer,
    /// The streams whose intents are being finished.
    pub(crate) running: Running,
    pub(crate) subscriptions: Places,
    pub(crate) calls: Calls,
}

impl Streams {
    /// Opens the service, and begins to finish in the background what was interrupted when it last stopped.
    pub async fn open(parts: Parts, options: Options) -> Result<Self, OpenError> {
        let secret = load_secret(&parts).await?;
        let keys = Arc::new(KeyRing::new(parts.keys.clone()));
        let log = EncryptedLog::new(parts.log, Arc::<KeyRing>::clone(&keys), parts.random.clone());
        let parts = Parts { log: Arc::new(log), ..parts };
        let registry = Registry::new(Arc::clone(&parts.store), keys);
        let signer = Signer::new(&secret.key);
        let inner = Inner {
            parts,
            options,
            registry,
            signer,
            running: Running::default(),
            subscriptions: Places::new(options.subscriptions_max, options.shard_limits),
            calls: Calls::default(),
        };
        let streams = Self { inner: Arc::new(inner) };
        let following = streams.clone();
        streams.inner.parts.tasks.spawn_dropped_on_cancel(async move {
            following.inner.registry.follow_catalog().await;
        });
        let scaling = streams.clone();
        streams.inner.parts.tasks.spawn_dropped_on_cancel(async move { scaling.scale_on_demand().await });
        streams.finish_interrupted().await?;
        Ok(streams)
    }

    /// The stream that `arn` names, in any state; `None` when there is none. The error is a catalog that does not
    /// answer; trying again may help.
    pub async fn lookup(&self, arn: &Arn) -> Result<Option<Arc<Stream>>, StoreError> {
        let Some(name) = StreamName::from_arn(arn) else { return Ok(None) };
        self.inner.registry.get(&name).await.map_err(|Internal(reason)| StoreError::Unavailable(reason))
    }

    /// Subscribes to the stream that `arn` names, whether it exists or not; `None` when it is no stream's ARN. Subscribe
    /// before looking up: then no change is missed.
    pub fn watch(&self, arn: &Arn) -> Option<StreamWatch> {
        Some(self.inner.registry.subscribe(&StreamName::from_arn(arn)?))
    }

    /// The log that holds the records, with data as it was put.
    pub fn log(&self) -> &SharedLog {
        &self.inner.parts.log
    }

    pub(crate) fn now(&self) -> millstream_env::Timestamp {
        self.inner.parts.clock.now()
    }
}

async fn load_secret(parts: &Parts) -> Result<Secret, OpenError> {
    let fresh = Secret::new(parts.random.bytes());
    match parts.store.put(SECRET_KEY, Expect::Absent, model::encode(&fresh)).await {
        Ok(_) => return Ok(fresh),
        Err(StoreError::Conflict) => {}
        Err(error) => return Err(error.into()),
    }
    let kept = parts.store.get(SECRET_KEY).await?.ok_or(StoreError::Conflict)?;
    Ok(model::decode(SECRET_KEY, &kept.value)?)
}
