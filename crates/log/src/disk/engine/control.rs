//! Shards come, change, end and go: each a record in the log, durable when its block is published.

use std::sync::Arc;

use millstream_env::Timestamp;

use crate::contract::{AppendError, Sealed, ShardConfig, ShardError, ShardKey};

use super::super::block::{BlockTicket, Effect, FactHeader};
use super::super::format::fact::ShardFacts;
use super::super::format::record::{Kind, RecordHeader};
use super::super::pipeline::Event;
use super::super::shard::Shard;
use super::{Engine, State};

/// The block to wait for, or nothing when there is nothing to do.
pub(in crate::disk) type Waiting = Option<Arc<BlockTicket>>;

impl Engine {
    pub(in crate::disk) fn create(&self, key: ShardKey, config: ShardConfig) -> Result<Waiting, ShardError> {
        let state = &mut *self.lock();
        if let Some(ordinal) = state.ordinals.get(&key) {
            // Being created by another caller: wait for the same block.
            let created = state.shards.get(ordinal).is_some_and(|shard| shard.created);
            return Ok(if created { None } else { state.newest_ticket() });
        }
        state.writable()?;
        Ok(Some(self.create_shard(state, Shard::new(key, config))))
    }

    pub(super) fn create_shard(&self, state: &mut State, shard: Shard) -> Arc<BlockTicket> {
        let ordinal = state.next_ordinal;
        let facts = shard.facts();
        state.next_ordinal += 1;
        state.ordinals.insert(shard.key, ordinal);
        state.shards.insert(ordinal, shard);
        self.put_fact(state, Kind::Created, ordinal, facts, Effect::Created { ordinal })
    }

    /// Nothing when the shard is not known; otherwise the block to wait for until it is there.
    pub(in crate::disk) fn known(&self, key: ShardKey) -> Option<Waiting> {
        let state = self.lock();
        let shard = state.shards.get(state.ordinals.get(&key)?)?;
        Some(if shard.created { None } else { state.newest_ticket() })
    }

    pub(in crate::disk) fn configure(&self, key: ShardKey, config: ShardConfig) -> Result<Waiting, ShardError> {
        let now = self.clock.now();
        let state = &mut *self.lock();
        let (ordinal, shard) = state.shard(key)?;
        state.writable()?;
        // What the old setting hides stays hidden.
        let hidden_before = shard.cutoff(now);
        let facts = ShardFacts { config, hidden_before, ..shard.facts() };
        let effect = Effect::Configured { ordinal, config, hidden_before };
        Ok(Some(self.put_fact(state, Kind::Configured, ordinal, facts, effect)))
    }

    pub(in crate::disk) fn seal(&self, key: ShardKey) -> Result<(Sealed, Waiting), ShardError> {
        let now = self.clock.now();
        let state = &mut *self.lock();
        let (ordinal, shard) = state.shard(key)?;
        if let Some(sealed) = shard.sealed {
            return Ok((sealed, None));
        }
        if let Some(sealed) = shard.sealing {
            return Ok((sealed, state.newest_ticket()));
        }
        if shard.leaving.is_some() {
            return Err(ShardError::Unavailable("it is moving to another retention class".to_owned()));
        }
        state.writable()?;
        let shard = state.shards.get_mut(&ordinal).expect("found above");
        let sealed = shard.seal(now);
        let facts = ShardFacts { sealed: Some(sealed), ..shard.facts() };
        let ticket = self.put_fact(state, Kind::Sealed, ordinal, facts, Effect::Sealed { ordinal, sealed });
        Ok((sealed, Some(ticket)))
    }

    pub(in crate::disk) fn delete(&self, key: ShardKey) -> Result<Waiting, ShardError> {
        let state = &mut *self.lock();
        let Ok((ordinal, _)) = state.shard(key) else { return Ok(None) };
        state.writable()?;
        Ok(Some(self.delete_shard(state, ordinal)))
    }

    pub(super) fn delete_shard(&self, state: &mut State, ordinal: u32) -> Arc<BlockTicket> {
        let shard = state.shards.get_mut(&ordinal).expect("the caller found it");
        // Nothing is reserved behind the deletion: recovery would not know whose it is.
        shard.seal(self.clock.now());
        let facts = shard.facts();
        self.put_fact(state, Kind::Deleted, ordinal, facts, Effect::Deleted { ordinal })
    }

    pub(super) fn put_fact(
        &self,
        state: &mut State,
        kind: Kind,
        ordinal: u32,
        facts: ShardFacts,
        effect: Effect,
    ) -> Arc<BlockTicket> {
        let position = state.shards.get(&ordinal).map_or(0, |shard| shard.peek(Timestamp::EPOCH).position.0);
        let body = facts.encode();
        let now = self.clock.now();
        let block = self.block_for(state, RecordHeader::BYTES + body.len());
        block.put_fact(FactHeader { kind, ordinal, position, time: now }, &body);
        block.effects.push(effect);
        let ticket = Arc::clone(&block.ticket);
        state.last_append = now;
        state.last_written = Some(self.host_clock.monotonic());
        let commands = state.pipeline.step(Event::Appended);
        self.carry_out(state, commands);
        ticket
    }
}

impl State {
    pub(super) fn writable(&self) -> Result<(), ShardError> {
        self.refusal().map_or(Ok(()), |error| Err(unavailable(error)))
    }

    /// The ticket of the newest undecided block: when it is decided, so is everything before it.
    pub(super) fn newest_ticket(&self) -> Waiting {
        let open = self.open.as_ref().or_else(|| self.blocks.values().next_back());
        open.map(|block| Arc::clone(&block.ticket))
    }
}

pub(in crate::disk) fn unavailable(error: AppendError) -> ShardError {
    ShardError::Unavailable(error.to_string())
}
