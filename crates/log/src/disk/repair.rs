//! What an operator does about damage while no server runs: find all of it, and accept the loss of what cannot be read.
//!
//! Both read every record of the shards asked for. An accepted loss is written into the checkpoint that opening begins
//! with, so it holds as a whole or not at all, whenever the process ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::contract::{AppendError, Position, ReadError, ReadFrom, ReadLimit, ShardKey};

use super::class::RetentionClass;
use super::classes::{Accepted, Classes};
use super::engine::Engine;
use super::pipeline::Event;
use super::{CLOSE_WAIT, DamagedRecords, Environment, OpenError, Options};

/// One read of the search for damage.
const READ: ReadLimit = ReadLimit { records: 10_000, bytes: 4 << 20 };

/// Why a repair did not happen. Nothing was changed, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the log has no shard {0}")]
    NoShard(ShardKey),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("what was accepted could not be stored: {0}")]
    NotStored(AppendError),
}

/// All damage of a shard, or of all shards. Reads everything, so it blocks for long.
pub fn find_damage(
    options: Options,
    environment: Environment,
    shard: Option<ShardKey>,
) -> Result<Vec<DamagedRecords>, RepairError> {
    let (classes, _) = Classes::open(options, environment, false, &Accepted::new())?;
    classes.engines().for_each(|engine| work(engine));
    let found = search(&classes, shard);
    classes.engines().for_each(|engine| end(engine));
    Ok(found?.into_values().flatten().collect())
}

/// Gives up the damaged records of a shard, durably: reads pass over them from now on. Returns what was given up. Reads the
/// whole shard first, so it blocks for long.
pub fn accept_loss(
    options: Options,
    environment: Environment,
    shard: ShardKey,
) -> Result<Vec<DamagedRecords>, RepairError> {
    let (classes, _) = Classes::open(options.clone(), environment.clone(), false, &Accepted::new())?;
    classes.engines().for_each(|engine| work(engine));
    let found = search(&classes, Some(shard));
    classes.engines().for_each(|engine| end(engine));
    drop(classes);
    let found = found?;
    if found.values().all(Vec::is_empty) {
        return Ok(Vec::new());
    }
    let ranges = |damaged: &[DamagedRecords]| damaged.iter().map(|one| (one.first.0, one.last.0)).collect();
    let accept: Accepted = found.iter().map(|(class, damaged)| (*class, (shard, ranges(damaged)))).collect();
    let (classes, _) = Classes::open(options, environment, false, &accept)?;
    classes.engines().for_each(|engine| work(engine));
    let refusal = classes.engines().find_map(|engine| engine.lock().refusal_of_log());
    classes.engines().for_each(|engine| end(engine));
    refusal.map_or(Ok(found.into_values().flatten().collect()), |error| Err(RepairError::NotStored(error)))
}

/// Carries out everything that waits; there are no threads.
fn work(engine: &Engine) {
    while let Some(work) = engine.take_work() {
        engine.perform(work);
    }
    while let Some(chore) = engine.take_chore() {
        engine.perform_chore(&chore);
    }
}

/// Makes durable what was found, and ends the newest segment.
fn end(engine: &Engine) {
    engine.tell(Event::Retry);
    work(engine);
    engine.finish(CLOSE_WAIT);
    work(engine);
}

type Found = BTreeMap<RetentionClass, Vec<DamagedRecords>>;

/// Reads all that each class has of a shard, or of all shards.
fn search(classes: &Classes, shard: Option<ShardKey>) -> Result<Found, RepairError> {
    if let Some(shard) = shard
        && classes.engines().all(|engine| engine.part(shard).is_none())
    {
        return Err(RepairError::NoShard(shard));
    }
    let mut found = Found::new();
    for engine in classes.engines() {
        let mut shards: Vec<ShardKey> = engine.parts().into_iter().map(|(key, _)| key).collect();
        shards.retain(|key| shard.is_none_or(|wanted| wanted == *key));
        for shard in &shards {
            read_all(engine, *shard)?;
        }
        let mut damaged = engine.health().damaged;
        damaged.retain(|damaged| shards.contains(&damaged.shard));
        found.insert(engine.class(), damaged);
    }
    Ok(found)
}

/// Reads a shard to its end. The engine remembers the damage that it meets.
fn read_all(engine: &Arc<Engine>, shard: ShardKey) -> Result<(), RepairError> {
    let mut next = Position(0);
    loop {
        let read = engine.read(shard, ReadFrom::Position(next), READ, true);
        match read.expect("a read that may wait has an answer") {
            Ok(batch) if batch.behind.is_none() => return Ok(()),
            Ok(batch) => next = batch.next,
            Err(ReadError::Damaged { last, .. }) => next = Position(last.0 + 1),
            Err(error) => return Err(error.into()),
        }
    }
}
