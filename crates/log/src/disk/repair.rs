//! What an operator does about damage while no server runs: find all of it, and accept the loss of what cannot be read.
//!
//! Both read every record of the shards asked for. An accepted loss is written into the checkpoint that opening begins
//! with, so it holds as a whole or not at all, whenever the process ends.

use crate::contract::{AppendError, Position, ReadError, ReadFrom, ReadLimit, ShardKey};

use super::engine::Engine;
use super::pipeline::Event;
use super::{CLOSE_WAIT, DamagedRecords, Environment, OpenError, Options, open_engine};

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
    let (engine, _) = open_engine(options, environment, None)?;
    work(&engine);
    let found = search(&engine, shard);
    end(&engine);
    found
}

/// Gives up the damaged records of a shard, durably: reads pass over them from now on. Returns what was given up. Reads the
/// whole shard first, so it blocks for long.
pub fn accept_loss(
    options: Options,
    environment: Environment,
    shard: ShardKey,
) -> Result<Vec<DamagedRecords>, RepairError> {
    let damaged = find_damage(options.clone(), environment.clone(), Some(shard))?;
    if damaged.is_empty() {
        return Ok(damaged);
    }
    let accept = (shard, damaged.iter().map(|damaged| (damaged.first.0, damaged.last.0)).collect());
    let (engine, _) = open_engine(options, environment, Some(accept))?;
    work(&engine);
    let stored = engine.lock().refusal_of_log();
    end(&engine);
    stored.map_or(Ok(damaged), |error| Err(RepairError::NotStored(error)))
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

fn search(engine: &Engine, shard: Option<ShardKey>) -> Result<Vec<DamagedRecords>, RepairError> {
    let shards = match shard {
        Some(shard) => vec![engine.lock().shard(shard).map(|_| shard).map_err(|_| RepairError::NoShard(shard))?],
        None => engine.lock().shards.values().map(|found| found.key).collect(),
    };
    for shard in &shards {
        let mut next = Position(0);
        loop {
            let read = engine.read(*shard, ReadFrom::Position(next), READ, true);
            match read.expect("a read that may wait has an answer") {
                Ok(batch) if batch.behind.is_none() => break,
                Ok(batch) => next = batch.next,
                Err(ReadError::Damaged { last, .. }) => next = Position(last.0 + 1),
                Err(error) => return Err(error.into()),
            }
        }
    }
    let mut damaged = engine.health().damaged;
    damaged.retain(|damaged| shards.contains(&damaged.shard));
    Ok(damaged)
}
