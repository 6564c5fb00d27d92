//! Shards that go on in another retention class: one log stops taking their records, another takes up where it stopped.
//!
//! Both halves are facts in their logs. A shard that has left and not arrived is seen as such when the logs are opened,
//! so whoever meets it finishes the move.

use millstream_env::Timestamp;
use tokio::sync::watch;

use crate::contract::{ShardConfig, ShardError, ShardKey};

use super::super::block::Effect;
use super::super::class::RetentionClass;
use super::super::format::fact::ShardFacts;
use super::super::format::record::Kind;
use super::super::shard::Shard;
use super::Engine;
use super::control::Waiting;

/// What the log that a shard goes to must know of it.
#[derive(Debug)]
pub(in crate::disk) struct Departure {
    pub(in crate::disk) to: RetentionClass,
    pub(in crate::disk) config: ShardConfig,
    pub(in crate::disk) hidden_before: Timestamp,
    /// The position its next record gets.
    pub(in crate::disk) next: u64,
    pub(in crate::disk) last_arrival: Option<Timestamp>,
    /// Those who wait for the shard wait on.
    pub(in crate::disk) wake: watch::Sender<u64>,
}

/// What a log holds of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::disk) struct Part {
    /// First position that it may hold, and one past the last.
    pub(in crate::disk) begins: u64,
    pub(in crate::disk) next: u64,
    pub(in crate::disk) horizon: u64,
    pub(in crate::disk) last_arrival: Option<Timestamp>,
    pub(in crate::disk) sealed: bool,
    /// Where its new records go, when not here.
    pub(in crate::disk) away: Option<RetentionClass>,
}

impl Engine {
    pub(in crate::disk) fn part(&self, key: ShardKey) -> Option<Part> {
        let state = self.lock();
        let (_, shard) = state.shard(key).ok()?;
        Some(Part {
            begins: shard.begins,
            next: shard.next,
            horizon: shard.horizon,
            last_arrival: shard.last_arrival,
            sealed: shard.sealing.is_some(),
            away: shard.leaving,
        })
    }

    /// Every shard, and where its new records go when not here.
    pub(in crate::disk) fn parts(&self) -> Vec<(ShardKey, Part)> {
        let keys: Vec<ShardKey> = self.lock().shards.values().map(|shard| shard.key).collect();
        keys.into_iter().filter_map(|key| Some((key, self.part(key)?))).collect()
    }

    /// Takes nothing more of a shard. Repeating it gives the same answer.
    pub(in crate::disk) fn leave(&self, key: ShardKey, to: RetentionClass) -> Result<(Departure, Waiting), ShardError> {
        let state = &mut *self.lock();
        let (ordinal, shard) = state.shard(key)?;
        assert!(shard.sealing.is_none(), "an ended shard stays where it is");
        let known = shard.leaving;
        if known.is_none() {
            state.writable()?;
        }
        let shard = state.shards.get_mut(&ordinal).expect("found above");
        let to = *shard.leaving.get_or_insert(to);
        let place = shard.peek(Timestamp::EPOCH);
        let departure = Departure {
            to,
            config: shard.config,
            hidden_before: shard.hidden_before,
            next: place.position.0,
            last_arrival: shard.reserved_arrival(),
            wake: shard.waker(),
        };
        let facts = ShardFacts { away: Some(to), ..shard.facts() };
        if known.is_some() {
            return Ok((departure, state.newest_ticket()));
        }
        let ticket = self.put_fact(state, Kind::Left, ordinal, facts, Effect::Left { ordinal, to });
        Ok((departure, Some(ticket)))
    }

    /// Takes up a shard where another log stopped. `Err(ticket)`: what is left of it here is just being removed; try again
    /// after that block.
    pub(in crate::disk) fn enter(
        &self,
        key: ShardKey,
        departure: Departure,
    ) -> Result<Result<Waiting, Waiting>, ShardError> {
        let state = &mut *self.lock();
        let known = state.ordinals.get(&key).copied();
        let Some(ordinal) = known else {
            state.writable()?;
            let shard = Shard::arriving(key, departure);
            return Ok(Ok(Some(self.create_shard(state, shard))));
        };
        let shard = state.shards.get(&ordinal).expect("an ordinal that is known has its shard");
        if shard.sealing.is_some() {
            return Ok(Err(state.newest_ticket()));
        }
        if shard.leaving.is_none() {
            return Ok(Ok(state.newest_ticket()));
        }
        state.writable()?;
        let shard = state.shards.get_mut(&ordinal).expect("found above");
        let facts = ShardFacts {
            config: departure.config,
            hidden_before: departure.hidden_before,
            last_arrival: departure.last_arrival,
            away: None,
            ..shard.facts()
        };
        let effect = Effect::Entered { ordinal, next: departure.next, facts };
        shard.enter(departure);
        Ok(Ok(Some(self.put_fact(state, Kind::Entered, ordinal, facts, effect))))
    }

    /// A shard has its home elsewhere, durably: what is here can go once it has expired.
    pub(in crate::disk) fn arrived_elsewhere(&self, key: ShardKey, home: RetentionClass) {
        let state = &mut *self.lock();
        let Ok((ordinal, _)) = state.shard(key) else { return };
        let shard = state.shards.get_mut(&ordinal).expect("found above");
        // It always says so itself, unless damage has taken that.
        shard.leaving.get_or_insert(home);
        shard.away.get_or_insert(home);
        state.departed.insert(ordinal);
    }

    /// Nothing tells that a shard which left has not come back and stored records in what is damaged: as many positions as
    /// could have been lost are damaged.
    pub(in crate::disk) fn doubt(&self, key: ShardKey) {
        let state = &mut *self.lock();
        let Ok((ordinal, _)) = state.shard(key) else { return };
        state.shards.get_mut(&ordinal).expect("found above").doubt_lost();
    }

    /// Forgets what is left here of shards that went elsewhere, when all of it has expired.
    pub(super) fn forget_departed(&self, now: Timestamp) {
        let state = &mut *self.lock();
        let departed = state.departed.iter().filter_map(|ordinal| Some((*ordinal, state.shards.get(ordinal)?)));
        let gone = departed.filter(|(_, shard)| {
            let expired = shard.last_arrival.is_none_or(|newest| newest < shard.cutoff(now));
            // One that is coming back is not away any more, though it is not durable yet.
            shard.leaving.is_some() && shard.sealing.is_none() && expired
        });
        for ordinal in gone.map(|(ordinal, _)| ordinal).collect::<Vec<_>>() {
            if state.writable().is_ok() {
                self.delete_shard(state, ordinal);
            }
        }
    }
}
