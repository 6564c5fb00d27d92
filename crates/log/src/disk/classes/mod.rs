//! The logs of all retention classes as one.
//!
//! Each class is a whole log with segments, facts and recovery of its own; most folders have the first alone, and then this
//! is a thin shell around it. A shard's new records go to one class, its **home**; when its retention asks for another
//! class it *moves*: the old home takes nothing more, the new one goes on at the next position. Older records stay where
//! they are until they expire, so a read may have to merge several classes (`read`).
//!
//! A move is two facts, one in each log (`moves`). When only the first was stored, the shard has no home: whoever wants
//! to write to it finishes the move.

mod append;
mod merge;
mod moves;
mod open;
mod read;

pub(super) use open::Accepted;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use crate::admission::Admission;
use crate::contract::{Bounds, Position, Sealed, ShardConfig, ShardError, ShardKey, Tail};

use super::class::RetentionClass;
use super::engine::{self, Engine, Part, Shared};
use super::format_file::FormatFile;
use super::threads::Threads;
use super::{Environment, Options, settled};

pub(super) struct Classes {
    options: Options,
    environment: Environment,
    shared: Shared,
    /// Whether logs have threads; a simulation does their work itself.
    threaded: bool,
    pub(super) admission: Admission,
    logs: [OnceLock<ClassLog>; RetentionClass::ALL.len()],
    /// Held while a class is opened.
    opening: Mutex<()>,
    /// Homes that are not the first class.
    homes: RwLock<HashMap<ShardKey, RetentionClass>>,
    /// Changes of homes so far: what was put together of several classes meanwhile may have gaps.
    home_changes: AtomicU64,
    /// Held while a shard moves, and by whatever must not happen meanwhile.
    moving: tokio::sync::Mutex<()>,
}

struct ClassLog {
    engine: Arc<Engine>,
    threads: Threads,
}

impl Classes {
    /// The logs there are, the first class first.
    pub(super) fn engines(&self) -> impl Iterator<Item = &Arc<Engine>> {
        self.logs.iter().filter_map(OnceLock::get).map(|log| &log.engine)
    }

    pub(super) fn format(&self) -> &FormatFile {
        &self.shared.format
    }

    /// The threads of all logs.
    pub(super) fn threads(&self) -> impl Iterator<Item = &Threads> {
        self.logs.iter().filter_map(OnceLock::get).map(|log| &log.threads)
    }

    fn engine(&self, class: RetentionClass) -> Option<&Arc<Engine>> {
        self.logs[class.index()].get().map(|log| &log.engine)
    }

    fn first(&self) -> &Arc<Engine> {
        self.engine(RetentionClass::Day).expect("the first class is always open")
    }

    /// The only log, when there is one.
    fn alone(&self) -> Option<&Arc<Engine>> {
        let mut engines = self.engines();
        let first = engines.next();
        if engines.next().is_some() { None } else { first }
    }

    /// Where the records of a shard go, or where it was last.
    fn home(&self, key: ShardKey) -> &Arc<Engine> {
        self.engine(self.home_class(key)).unwrap_or_else(|| self.first())
    }

    fn home_class(&self, key: ShardKey) -> RetentionClass {
        let homes = self.homes.read().expect("no code panics while holding this lock");
        homes.get(&key).copied().unwrap_or(RetentionClass::Day)
    }

    fn set_home(&self, key: ShardKey, class: RetentionClass) {
        note_home(&mut self.homes.write().expect("no code panics while holding this lock"), key, class);
        self.home_changes.fetch_add(1, Ordering::AcqRel);
    }

    /// What other logs than `home` hold of a shard.
    fn elsewhere(&self, key: ShardKey, home: RetentionClass) -> Vec<(&Arc<Engine>, Part)> {
        let others = self.engines().filter(|engine| engine.class() != home);
        others.filter_map(|engine| engine.part(key).map(|part| (engine, part))).collect()
    }

    /// Registers a shard. Its class must be open. Returns the block to wait for.
    pub(super) fn create(&self, key: ShardKey, config: ShardConfig) -> Result<engine::Waiting, ShardError> {
        // One at a time, so that two callers do not make it in two classes.
        let mut homes = self.homes.write().expect("no code panics while holding this lock");
        if let Some(waiting) = self.engines().find_map(|engine| engine.known(key)) {
            return Ok(waiting);
        }
        let class = RetentionClass::of(config.retention);
        let engine = self.engine(class).ok_or_else(|| not_open(class))?;
        let waiting = engine.create(key, config)?;
        note_home(&mut homes, key, class);
        Ok(waiting)
    }

    pub(super) async fn seal(&self, key: ShardKey) -> Result<Sealed, ShardError> {
        if let Some(engine) = self.alone() {
            let sealed = seal(engine, key).await;
            if sealed.is_ok() || self.alone().is_some() {
                return sealed;
            }
        }
        let _still = self.moving.lock().await;
        self.settle(key).await?;
        seal(self.home(key), key).await
    }

    pub(super) async fn delete(&self, key: ShardKey) -> Result<(), ShardError> {
        let _still = if self.alone().is_some() { None } else { Some(self.moving.lock().await) };
        // The home last: until it forgets the shard, the shard is there.
        let home = self.home(key);
        for (engine, _) in self.elsewhere(key, home.class()) {
            settled(engine.delete(key)).await?;
        }
        settled(home.delete(key)).await?;
        self.set_home(key, RetentionClass::Day);
        Ok(())
    }

    pub(super) fn bounds(&self, key: ShardKey) -> Result<Bounds, ShardError> {
        let engine = self.home(key);
        let home = engine.lock().shard(key).map(|(_, found)| found.bounds())?;
        if self.alone().is_some() {
            return Ok(home);
        }
        let older = self.elsewhere(key, engine.class()).into_iter().filter(|(_, part)| part.horizon < part.next);
        let horizon = older.map(|(_, part)| Position(part.horizon)).fold(home.horizon, Position::min);
        Ok(Bounds { horizon, ..home })
    }

    pub(super) fn tail(&self, key: ShardKey) -> Option<Tail> {
        self.home(key).lock().shard(key).ok().map(|(_, found)| Tail(found.subscribe()))
    }
}

/// Only homes that are not the first class are kept.
fn note_home(homes: &mut HashMap<ShardKey, RetentionClass>, key: ShardKey, class: RetentionClass) {
    match class {
        RetentionClass::Day => homes.remove(&key),
        other => homes.insert(key, other),
    };
}

async fn seal(engine: &Engine, key: ShardKey) -> Result<Sealed, ShardError> {
    let (sealed, waiting) = engine.seal(key)?;
    settled(Ok(waiting)).await?;
    Ok(sealed)
}

fn not_open(class: RetentionClass) -> ShardError {
    ShardError::Unavailable(format!("retention class {} is not open", class.name()))
}

impl std::fmt::Debug for Classes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.engines()).finish()
    }
}
