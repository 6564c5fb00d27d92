//! Opening the classes that a folder has, and one more when it is wanted.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use millstream_env::{Access, Disk};

use crate::admission::Admission;
use crate::contract::ShardKey;

use super::super::class::RetentionClass;
use super::super::engine::{Engine, Part, Shared};
use super::super::files::ClassFolder;
use super::super::format::store::feature;
use super::super::format_file::FormatFile;
use super::super::index_file::PageCache;
use super::super::shard::DamagedRange;
use super::super::space::Space;
use super::super::threads::Threads;
use super::super::{DamagedRecords, Environment, OpenError, Options, RecoveryReport, recovery};
use super::{ClassLog, Classes};

/// The caches of a class beside the first are smaller by this factor: few streams are kept long.
const LESS_CACHE: usize = 4;

/// Damage of a shard that the operator gives up.
pub(in crate::disk) type Accepted = BTreeMap<RetentionClass, (ShardKey, Vec<DamagedRange>)>;

impl Classes {
    pub(in crate::disk) fn open(
        options: Options,
        environment: Environment,
        threaded: bool,
        accepted: &Accepted,
    ) -> Result<(Arc<Self>, RecoveryReport), OpenError> {
        let disk = Arc::clone(&environment.disk);
        let folder = options.folder.clone();
        let failed = |source: io::Error| OpenError::Disk { path: folder.clone(), source };
        make_folders(&*disk, ClassFolder::new(&folder, RetentionClass::Day).path()).map_err(failed)?;
        let lock = disk.open(&folder.join("LOCK"), Access::OpenOrCreate, false).map_err(failed)?;
        if !lock.try_lock().map_err(failed)? {
            return Err(OpenError::Locked { folder });
        }
        let format = FormatFile::open(&disk, folder.join("FORMAT"), &environment.random)?;
        let host_clock = environment.host_clock.clone();
        let classes = Self {
            admission: Admission::new(
                options.admitted_bytes_max,
                options.admission_wait_max,
                environment.host_clock.clone(),
            ),
            options,
            environment,
            shared: Shared { space: Arc::new(Space::default()), format: Arc::new(format), host_clock, lock },
            threaded,
            logs: [const { OnceLock::new() }; RetentionClass::ALL.len()],
            opening: Mutex::default(),
            homes: RwLock::default(),
            home_changes: AtomicU64::new(0),
            moving: tokio::sync::Mutex::default(),
        };
        let mut report = RecoveryReport::default();
        for class in RetentionClass::ALL {
            let there = disk.exists(ClassFolder::new(&folder, class).path()).map_err(failed)?;
            if there {
                report.add(classes.open_log(class, accepted.get(&class))?);
            }
        }
        report.shards = classes.find_homes();
        for DamagedRecords { shard, first, last } in &report.damaged {
            tracing::error!(
                ?shard,
                first = first.0,
                last = last.0,
                "acknowledged records are damaged and cannot be served"
            );
        }
        Ok((Arc::new(classes), report))
    }

    pub(in crate::disk) fn is_open(&self, class: RetentionClass) -> bool {
        self.engine(class).is_some()
    }

    /// Opens a class that is wanted for the first time. Blocks.
    pub(in crate::disk) fn open_class(&self, class: RetentionClass) -> Result<(), OpenError> {
        let _one = self.opening.lock().expect("no code panics while holding this lock");
        if self.is_open(class) {
            return Ok(());
        }
        let folder = ClassFolder::new(&self.options.folder, class);
        let failed = |source: io::Error| OpenError::Disk { path: folder.path().to_owned(), source };
        self.shared.format.require(feature::RETENTION_CLASSES).map_err(failed)?;
        make_folders(&*self.environment.disk, folder.path()).map_err(failed)?;
        tracing::info!(class = class.name(), "records of streams with a longer retention get segments of their own");
        self.open_log(class, None).map(drop)
    }

    fn open_log(
        &self,
        class: RetentionClass,
        accepted: Option<&(ShardKey, Vec<DamagedRange>)>,
    ) -> Result<RecoveryReport, OpenError> {
        let mut options = self.options.clone();
        if class != RetentionClass::Day {
            options.tail_cache_bytes_max /= LESS_CACHE;
            options.block_cache_bytes_max /= LESS_CACHE;
            options.pinned_bytes_max /= LESS_CACHE;
            options.index_cache_bytes_max /= LESS_CACHE;
        }
        let folder = ClassFolder::new(&options.folder, class);
        let cache = Arc::new(PageCache::new(options.index_cache_bytes_max));
        let Environment { disk, service_clock, .. } = self.environment.clone();
        let mut recovered = recovery::recover(&disk, &folder, self.shared.format.store(), cache)?;
        if let Some((key, ranges)) = accepted
            && let Some(found) = recovered.shards.values_mut().find(|found| found.key == *key)
        {
            for range in ranges {
                found.note_damage(*range);
            }
            found.accept_damage();
            recovered.report.damaged.retain(|damaged| damaged.shard != *key);
        }
        let report = recovered.report.clone();
        let path = folder.path().to_owned();
        let engine = Engine::new(options, folder, disk, service_clock, recovered, self.shared.clone());
        let threads = if self.threaded { Threads::start(&engine) } else { Ok(Threads::none(&engine)) };
        let threads = threads.map_err(|source| OpenError::Disk { path, source })?;
        let opened = self.logs[class.index()].set(ClassLog { engine, threads });
        assert!(opened.is_ok(), "a class is opened once");
        Ok(report)
    }

    /// Finds out where each shard goes on. Returns their number.
    fn find_homes(&self) -> usize {
        let mut shards: BTreeMap<ShardKey, Vec<(&Arc<Engine>, Part)>> = BTreeMap::new();
        for engine in self.engines() {
            for (key, part) in engine.parts() {
                shards.entry(key).or_default().push((engine, part));
            }
        }
        for (key, parts) in &shards {
            // Where it did not leave; of several, which only damage can make, where it came furthest.
            let furthest = |(_, part): &&(&Arc<Engine>, Part)| (part.away.is_none(), part.next);
            let (home, part) = parts.iter().max_by_key(furthest).expect("a shard has a part");
            self.set_home(*key, home.class());
            for (engine, _) in parts {
                if part.away.is_some() {
                    engine.doubt(*key);
                } else if engine.class() != home.class() {
                    engine.arrived_elsewhere(*key, home.class());
                }
            }
        }
        shards.len()
    }
}

impl RecoveryReport {
    fn add(&mut self, other: Self) {
        self.segments += other.segments;
        self.segments_scanned += other.segments_scanned;
        self.torn_tail = self.torn_tail.or(other.torn_tail);
        self.damaged.extend(other.damaged);
        self.damaged_blocks.extend(other.damaged_blocks);
        self.orphaned_records += other.orphaned_records;
    }
}

/// Makes the folders and their names durable.
fn make_folders(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    if !disk.exists(path)? {
        disk.create_dir_all(path)?;
    }
    // Also when they were there: an earlier process may have ended before this.
    for folder in path.ancestors().take(4).filter(|folder| !folder.as_os_str().is_empty()) {
        disk.sync_dir(folder)?;
    }
    Ok(())
}
