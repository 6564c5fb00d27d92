//! The handle, what it is made from, and the work that goes on behind the operations.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_blobs::SharedBlobs;
use millstream_catalog::SharedStore;
use millstream_destinations::SharedDeliver;
use millstream_env::{HostClock, Random, ServiceClock, Tasks};
use millstream_telemetry::Metrics;
use millstream_types::Scope;

use crate::asynchronous::Queue;
use crate::code::{CodeStore, Downloads};
use crate::execution::Specifications;
use crate::failure::Failure;
use crate::measures::Measures;
use crate::names::function_arn;
use crate::parts::{ExecutionRoles, Executor};
use crate::record::Lifecycle;
use crate::store::{Records, split_function_key};

/// Between two searches for code that nothing refers to.
const SWEEP_PAUSE: Duration = Duration::from_mins(10);

/// Everything functions are built from.
#[derive(Clone, Debug)]
pub struct Options {
    pub catalog: SharedStore,
    /// Archives. A store of its own: what no function refers to is deleted.
    pub code: SharedBlobs,
    /// Long events of asynchronous invocations. A store of its own.
    pub events: SharedBlobs,
    /// Where code is unpacked, taken over as a whole: in the run directory, which functions' users may enter.
    pub code_directory: PathBuf,
    /// Refuse runtime identifiers that AWS has retired.
    pub strict_runtimes: bool,
    pub roles: Arc<dyn ExecutionRoles>,
    /// Takes the results of asynchronous invocations to queues, topics and buckets.
    pub deliver: SharedDeliver,
    pub executor: Arc<dyn Executor>,
    /// Where invocations are counted.
    pub metrics: Metrics,
    pub service_clock: ServiceClock,
    pub host_clock: HostClock,
    pub random: Random,
    pub tasks: Tasks,
}

/// Functions cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the code directory {path:?} cannot be prepared: {source}")]
    CodeDirectory { path: PathBuf, source: std::io::Error },
    #[error("functions cannot be read from the catalog: {0}")]
    Catalog(String),
}

/// The Lambda operations on functions, and the way to run them. Clones share everything.
#[derive(Clone, Debug)]
pub struct Functions {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) records: Records,
    pub(crate) code: CodeStore,
    pub(crate) downloads: Downloads,
    pub(crate) specifications: Specifications,
    pub(crate) queue: Arc<Queue>,
    pub(crate) strict_runtimes: bool,
    pub(crate) roles: Arc<dyn ExecutionRoles>,
    pub(crate) deliver: SharedDeliver,
    pub(crate) executor: Arc<dyn Executor>,
    /// Held while a reservation of concurrency changes.
    pub(crate) reserving: tokio::sync::Mutex<()>,
    pub(crate) measures: Measures,
    pub(crate) service_clock: ServiceClock,
    pub(crate) random: Random,
    pub(crate) tasks: Tasks,
}

impl Functions {
    /// Prepares the code directory, finishes what a crash interrupted, and starts working on the asynchronous queue.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let Options { code_directory, tasks, host_clock, service_clock, random, .. } = options;
        let opening = tasks.blocking({
            let (blobs, path, tasks, clock) = (options.code, code_directory.clone(), tasks.clone(), host_clock.clone());
            move || CodeStore::open(blobs, path, tasks, clock)
        });
        let code = opening
            .await
            .map_err(std::io::Error::other)
            .and_then(|result| result)
            .map_err(|source| StartError::CodeDirectory { path: code_directory, source })?;
        let catalog_error = |failure: Failure| StartError::Catalog(format!("{failure:?}"));
        let queue = Queue::load(Arc::clone(&options.catalog), options.events, service_clock.clone())
            .await
            .map_err(catalog_error)?;
        let functions = Self {
            shared: Arc::new(Shared {
                records: Records::new(options.catalog),
                code,
                downloads: Downloads::new(&random, host_clock.clone()),
                specifications: Specifications::default(),
                queue: Arc::new(queue),
                strict_runtimes: options.strict_runtimes,
                roles: options.roles,
                deliver: options.deliver,
                executor: options.executor,
                reserving: tokio::sync::Mutex::default(),
                measures: Measures::new(options.metrics),
                service_clock,
                random,
                tasks: tasks.clone(),
            }),
        };
        functions.finish_interrupted().await.map_err(catalog_error)?;
        tasks.spawn(functions.clone().work_on_queue());
        tasks.spawn_dropped_on_cancel(functions.clone().sweep_for_ever(host_clock));
        Ok(functions)
    }

    /// The archive behind a `Code.Location` that [`Functions::get_function`] gave out; `None` when the token is not
    /// valid (any more).
    pub async fn code_download(&self, token: &str) -> Option<Bytes> {
        let digest = self.shared.downloads.verify(token)?;
        match self.shared.code.archive(digest).await {
            Ok(archive) => archive,
            Err(error) => {
                tracing::error!(%digest, %error, "the code of a function cannot be read");
                None
            }
        }
    }

    /// Lets a version become active after the request that changed it was answered.
    pub(crate) fn complete_later(&self, scope: &Scope, name: &str, number: Option<u64>) {
        let (functions, scope, name) = (self.clone(), scope.clone(), name.to_owned());
        self.shared.tasks.spawn(async move {
            let completed = match number {
                None => functions.complete(&scope, &name).await,
                Some(number) => functions.complete_version(&scope, &name, number).await,
            };
            if let Err(failure) = completed {
                tracing::error!(function = %name, ?failure, "a function did not become active; the next start repeats it");
            }
        });
    }

    async fn complete(&self, scope: &Scope, name: &str) -> Result<(), Failure> {
        let revision_id = self.shared.random.uuid();
        let completed = self.shared.records.change(scope, name, |function| {
            if function.latest.lifecycle != Lifecycle::Ready {
                function.latest.lifecycle = Lifecycle::Ready;
                function.latest.revision_id.clone_from(&revision_id);
            }
            Ok(())
        });
        completed.await.map(|_| ())
    }

    async fn complete_version(&self, scope: &Scope, name: &str, number: u64) -> Result<(), Failure> {
        let Some(mut stored) = self.shared.records.version(scope, name, number).await? else { return Ok(()) };
        if stored.record.lifecycle != Lifecycle::Ready {
            stored.record.lifecycle = Lifecycle::Ready;
            stored.record.revision_id = self.shared.random.uuid();
            // Somebody else who changed it can only have completed or deleted it.
            self.shared.records.replace(&stored).await?;
        }
        Ok(())
    }

    /// Deletions and transitions that a crash cut short; reservations, which the executor does not keep.
    async fn finish_interrupted(&self) -> Result<(), Failure> {
        let records = &self.shared.records;
        let mut after = None;
        loop {
            let page = records.all_functions(after.as_deref()).await?;
            for stored in &page.items {
                let Some((scope, name)) = split_function_key(&stored.key) else { continue };
                if stored.record.deleting {
                    self.finish_deletion(&scope, name).await?;
                    continue;
                }
                if stored.record.reserved_concurrency.is_some() {
                    let arn = function_arn(&scope, name, None);
                    self.shared.executor.reserve(&arn, stored.record.reserved_concurrency);
                }
                if stored.record.latest.lifecycle != Lifecycle::Ready {
                    self.complete(&scope, name).await?;
                }
            }
            after = page.items.last().map(|stored| stored.key.clone());
            if !page.more {
                break;
            }
        }
        Ok(())
    }

    async fn sweep_for_ever(self, clock: HostClock) {
        loop {
            clock.sleep(SWEEP_PAUSE).await;
            if let Err(failure) = self.sweep().await {
                tracing::warn!(?failure, "the search for unused code failed; it is repeated later");
            }
        }
    }

    async fn sweep(&self) -> Result<(), Failure> {
        let records = &self.shared.records;
        let mut referenced = HashSet::new();
        let mut after = None;
        loop {
            let page = records.all_functions(after.as_deref()).await?;
            for stored in &page.items {
                stored.record.latest.refer(&mut referenced);
            }
            after = page.items.last().map(|stored| stored.key.clone());
            if !page.more {
                break;
            }
        }
        let mut after = None;
        loop {
            let page = records.all_versions(after.as_deref()).await?;
            for stored in &page.items {
                stored.record.refer(&mut referenced);
            }
            after = page.items.last().map(|stored| stored.key.clone());
            if !page.more {
                break;
            }
        }
        let mut after = None;
        loop {
            let page = records.all_layer_versions(after.as_deref()).await?;
            referenced.extend(page.items.iter().map(|stored| stored.record.code.digest));
            after = page.items.last().map(|stored| stored.key.clone());
            if !page.more {
                break;
            }
        }
        Ok(self.shared.code.sweep(&referenced).await?)
    }
}
