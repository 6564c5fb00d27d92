//! Catalog, log, keys and blobs: in memory, or in the data folder.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use millstream_blobs::{DiskBlobs, MemoryBlobs, SharedBlobs};
use millstream_catalog::{MemoryStore, RedbOptions, RedbStore, SharedStore};
use millstream_env::{Disk, HostClock, Random, ServiceClock, Tasks};
use millstream_gateway::{Figure, Health};
use millstream_log::{DiskLog, MemoryLog, SharedLog, disk};
use millstream_streams::MasterKeys;

use super::data_folder::DataFolder;
use crate::config;

/// Where everything is kept, opened.
#[derive(Debug)]
pub(crate) struct Storage {
    pub(crate) catalog: SharedStore,
    /// As it is stored: some records are encrypted.
    pub(crate) log: SharedLog,
    pub(crate) keys: MasterKeys,
    /// Archives of functions.
    pub(crate) code: SharedBlobs,
    /// Long events of asynchronous invocations.
    pub(crate) events: SharedBlobs,
    /// Contents of S3 objects.
    pub(crate) objects: SharedBlobs,
    /// Long contents of queues' messages.
    pub(crate) messages: SharedBlobs,
    /// Events of log groups.
    pub(crate) logs: millstream_telemetry::Storage,
    durable: Option<Durable>,
}

/// The state of what is on disk; nothing can be wrong in memory.
#[derive(Clone, Debug)]
pub(crate) struct StorageHealth {
    log: Option<DiskLog>,
    keys: MasterKeys,
}

impl Health for StorageHealth {
    fn troubles(&self) -> Vec<String> {
        let lost = self.keys.lost().into_iter().map(|file| {
            format!(
                "the master key file keys/{file} is missing or damaged: records encrypted with it cannot be read, nor others \
                 put; bring the file back and start again"
            )
        });
        lost.chain(self.log.iter().flat_map(|log| log_troubles(&log.health()))).collect()
    }

    fn figures(&self) -> Vec<Figure> {
        self.log.as_ref().map(log_figures).unwrap_or_default()
    }
}

/// What the log tells in `/metrics`.
fn log_figures(log: &DiskLog) -> Vec<Figure> {
    type Of = fn(&disk::Stats) -> u64;
    let by_class: [(&str, &str, Of); 4] = [
        ("millstream_log_segments", "Segments, by retention class.", |stats| stats.segments as u64),
        ("millstream_log_bytes", "Space that segments take, by retention class.", |stats| stats.bytes),
        (
            "millstream_log_dead_bytes",
            "Expired or deleted records that are kept because others in their segments are.",
            |stats| stats.dead_bytes,
        ),
        (
            "millstream_log_segments_removed_early_total",
            "Segments removed before their records expired, to keep to --log-bytes-max.",
            |stats| stats.segments_removed_early,
        ),
    ];
    let whole: [(&str, &str, Of); 8] = [
        ("millstream_log_payload_bytes_total", "Data and partition keys stored.", |stats| stats.payload_bytes),
        ("millstream_log_written_bytes_total", "Bytes written to segments and indexes.", |stats| stats.written_bytes),
        ("millstream_log_blocks_total", "Commit blocks stored.", |stats| stats.blocks),
        ("millstream_log_syncs_total", "Times that the disk was told to make writes durable.", |stats| stats.syncs),
        ("millstream_log_admitted_bytes", "Bytes taken and not yet stored.", |stats| stats.admitted_bytes as u64),
        ("millstream_log_buffer_bytes", "Memory of blocks.", |stats| stats.buffer_bytes as u64),
        ("millstream_log_block_cache_bytes", "Memory of older blocks.", |stats| stats.block_cache_bytes as u64),
        ("millstream_log_cold_reads", "Reads that wait for the disk.", |stats| stats.cold_reads_waiting as u64),
    ];
    let (classes, all) = (log.classes(), log.stats());
    let mut figures = Vec::new();
    for (name, help, of) in by_class {
        figures.extend(classes.iter().map(|(class, stats)| Figure {
            name,
            help,
            label: Some(("class", class.name())),
            value: of(stats),
        }));
    }
    figures.extend(whole.map(|(name, help, of)| Figure { name, help, label: None, value: of(&all) }));
    figures
}

fn log_troubles(health: &disk::Health) -> Vec<String> {
    let refusing = health.refusing.map(|reason| format!("new records are refused: {reason}"));
    let damaged = health.damaged.iter().map(|damaged| {
        format!(
            "records {} to {} of shard {} are damaged and cannot be read; see `millstream repair`",
            damaged.first.0, damaged.last.0, damaged.shard
        )
    });
    refusing.into_iter().chain(damaged).collect()
}

#[derive(Debug)]
struct Durable {
    catalog: Arc<RedbStore>,
    log: DiskLog,
    _folder: DataFolder,
}

/// How much of the disk the log may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogLimits {
    /// The oldest records go beyond this size, whatever their retention.
    pub(crate) bytes_max: Option<u64>,
    /// Writes are refused while less is free; `None` leaves the log's default.
    pub(crate) disk_free_min: Option<u64>,
}

/// What storage is opened with.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) service_clock: ServiceClock,
    pub(crate) host_clock: HostClock,
    pub(crate) random: Random,
    pub(crate) tasks: Tasks,
}

impl Storage {
    /// Opens what is there, or makes it. Blocks while files are recovered.
    pub(crate) fn open(place: &config::Storage, limits: LogLimits, environment: &Environment) -> anyhow::Result<Self> {
        match place {
            config::Storage::Memory => Ok(Self::in_memory(environment)),
            config::Storage::Folder(path) => Self::in_folder(path, limits, environment),
        }
    }

    fn in_memory(environment: &Environment) -> Self {
        let Environment { service_clock, host_clock, random, .. } = environment.clone();
        Self {
            catalog: Arc::new(MemoryStore::new()),
            log: Arc::new(MemoryLog::new(millstream_log::memory::Options::default(), service_clock, host_clock)),
            keys: MasterKeys::in_memory(random),
            code: Arc::new(MemoryBlobs::new()),
            events: Arc::new(MemoryBlobs::new()),
            objects: Arc::new(MemoryBlobs::new()),
            messages: Arc::new(MemoryBlobs::new()),
            logs: millstream_telemetry::Storage::Memory,
            durable: None,
        }
    }

    fn in_folder(path: &Path, limits: LogLimits, environment: &Environment) -> anyhow::Result<Self> {
        let Environment { disk, tasks, random, .. } = environment.clone();
        let folder = DataFolder::open(&*disk, path)?;
        let catalog = RedbStore::open(&path.join("catalog.redb"), &disk, RedbOptions::default())?;
        let catalog = Arc::new(catalog);
        let log = open_log(path, limits, environment)?;
        let keys = MasterKeys::in_folder(Arc::clone(&disk), &path.join("keys"), random)
            .with_context(|| format!("{} cannot be read", path.join("keys").display()))?;
        let blobs = |name: &str| -> anyhow::Result<SharedBlobs> {
            let place = path.join(name);
            let blobs = DiskBlobs::open(&place, &disk, tasks.clone());
            Ok(Arc::new(blobs.with_context(|| format!("{} cannot be opened", place.display()))?))
        };
        Ok(Self {
            log: Arc::new(log.clone()),
            keys,
            code: blobs("code")?,
            events: blobs("events")?,
            objects: blobs("objects")?,
            messages: blobs("messages")?,
            logs: millstream_telemetry::Storage::Disk { disk: Arc::clone(&disk), folder: path.join("logs") },
            catalog: Arc::<RedbStore>::clone(&catalog) as SharedStore,
            durable: Some(Durable { catalog, log, _folder: folder }),
        })
    }

    pub(crate) fn health(&self) -> StorageHealth {
        let log = self.durable.as_ref().map(|durable| durable.log.clone());
        StorageHealth { log, keys: self.keys.clone() }
    }

    /// Writes what is not yet written, and closes the files.
    pub(crate) async fn close(self) {
        if let Some(durable) = &self.durable {
            durable.log.close().await;
            durable.catalog.close().await;
        }
    }
}

/// How the log in a data folder is opened.
pub(crate) fn log_options(path: &Path) -> disk::Options {
    disk::Options::new(path.join("log"))
}

fn open_log(path: &Path, limits: LogLimits, environment: &Environment) -> anyhow::Result<DiskLog> {
    let mut options = log_options(path);
    options.log_bytes_max = limits.bytes_max;
    if let Some(bytes) = limits.disk_free_min {
        options.disk_free_min = bytes;
    }
    let Environment { disk, service_clock, host_clock, random, tasks } = environment.clone();
    let (log, report) = DiskLog::open(options, disk::Environment { disk, service_clock, host_clock, random, tasks })?;
    if let Some(torn) = &report.torn_tail {
        tracing::info!(?torn, "the last write before a crash was not complete and is cut off; it was not acknowledged");
    }
    Ok(log)
}
