//! Reserving places and handing slots over.

use std::sync::Arc;

use crate::admission::Admitted;
use crate::contract::{AppendError, Entry, Reservation, Slot, SlotMemory, Stored};

use super::super::block::{BlockTicket, Effect, PendingBlock};
use super::super::buffer::Region;
use super::super::format::block::BlockHeader;
use super::super::format::record::{KEY_BYTES_MAX, RecordHeader};
use super::super::pipeline::Event;
use super::super::slot::DiskSlot;
use super::{Engine, Life, Offer, State};

/// A place found under the lock.
struct Placed {
    region: Region,
    ticket: Arc<BlockTicket>,
    ordinal: u32,
    stored: Stored,
}

impl Engine {
    /// Reserves places for all entries, in order, under one short lock. Never waits.
    pub(in crate::disk) fn reserve(self: &Arc<Self>, entries: &[Entry<'_>], admitted: &Arc<Admitted>) -> Reservation {
        let placed = self.place(entries, admitted);
        let mut tickets: Vec<(usize, Arc<BlockTicket>)> = Vec::new();
        for (index, placed) in placed.iter().enumerate() {
            let Ok(placed) = placed else { continue };
            match tickets.last_mut() {
                Some((until, ticket)) if Arc::ptr_eq(ticket, &placed.ticket) => *until = index + 1,
                _ => tickets.push((index + 1, Arc::clone(&placed.ticket))),
            }
        }
        let slots = entries.iter().zip(placed).map(|(entry, placed)| placed.map(|p| slot(entry, p))).collect();
        Reservation { slots, finish: Box::new(move |slots| finish(slots, tickets)) }
    }

    fn place(&self, entries: &[Entry<'_>], admitted: &Arc<Admitted>) -> Vec<Result<Placed, AppendError>> {
        let (now, monotonic) = (self.clock.now(), self.host_clock.monotonic());
        let state = &mut *self.lock();
        if let Some(error) = state.refusal() {
            return entries.iter().map(|_| Err(error)).collect();
        }
        state.last_append = now;
        state.last_written = Some(monotonic);
        let mut touched = None;
        let placed = entries
            .iter()
            .map(|entry| {
                let (ordinal, shard) = state.shard(entry.shard).map_err(|_| AppendError::Sealed)?;
                if shard.sealing.is_some() || shard.leaving.is_some() {
                    return Err(AppendError::Sealed);
                }
                let stored = shard.peek(now);
                let length = record_bytes(entry);
                let block = self.block_for(state, length);
                if touched != Some(block.ticket.number) {
                    block.admit(admitted);
                    touched = Some(block.ticket.number);
                }
                let (region, offset) = block.carve(ordinal, length);
                block.payload_bytes += (entry.payload_bytes + entry.partition_key.len()) as u64;
                let ticket = Arc::clone(&block.ticket);
                note_run(&mut block.effects, ordinal, stored, offset, length);
                state.shards.get_mut(&ordinal).expect("found above").take(stored);
                Ok(Placed { region, ticket, ordinal, stored })
            })
            .collect();
        let commands = state.pipeline.step(Event::Appended);
        self.carry_out(state, commands);
        placed
    }

    /// The open block, when it has room for `bytes`, or a new one.
    pub(super) fn block_for<'s>(&self, state: &'s mut State, bytes: usize) -> &'s mut PendingBlock {
        let full = state.open.as_ref().is_some_and(|open| !open.has_room(bytes));
        if full {
            let event = state.close_open();
            let commands = state.pipeline.step(event);
            self.carry_out(state, commands);
        }
        if state.open.is_none() {
            let (number, capacity) = state.pipeline.open_block((bytes + BlockHeader::BYTES) as u64);
            let capacity = usize::try_from(capacity).expect("a block fits into memory");
            state.open = Some(PendingBlock::open(self, number, capacity));
        }
        state.open.as_mut().expect("opened just now")
    }

    /// The last slot of a closed block was settled.
    pub(in crate::disk) fn settled(&self, ticket: &BlockTicket, offer: Offer) {
        let state = &mut *self.lock();
        state.lone.offer(offer);
        // A block that failed meanwhile is not there any more, and its number may be another's.
        let ours =
            state.blocks.get(&ticket.number).is_some_and(|block| std::ptr::eq(Arc::as_ptr(&block.ticket), ticket));
        if ours {
            let commands = state.pipeline.step(Event::Settled { number: ticket.number });
            self.carry_out(state, commands);
        }
        state.lone.offer(Offer::No);
    }
}

impl State {
    pub(in crate::disk) fn refusal(&self) -> Option<AppendError> {
        if self.life != Life::Open {
            return Some(AppendError::Unavailable);
        }
        if self.low_space {
            return Some(AppendError::Full);
        }
        self.pipeline.refusal()
    }

    /// Why the log itself stores nothing, however much space is left.
    pub(in crate::disk) fn refusal_of_log(&self) -> Option<AppendError> {
        let unfinished = if self.pipeline.is_idle() { None } else { Some(AppendError::Unavailable) };
        self.pipeline.refusal().or(unfinished)
    }

    /// Ends the open block.
    pub(super) fn close_open(&mut self) -> Event {
        let mut block = self.open.take().expect("the pipeline knows what is open");
        let number = block.ticket.number;
        let length = block.length();
        let settled = block.ticket.settle_one();
        self.blocks.insert(number, block);
        Event::Closed { number, length, settled }
    }
}

fn record_bytes(entry: &Entry<'_>) -> usize {
    RecordHeader::BYTES + entry.partition_key.len() + entry.payload_bytes
}

/// Extends the last run when the record lies behind it.
fn note_run(effects: &mut Vec<Effect>, ordinal: u32, stored: Stored, offset: u32, length: usize) {
    let run = Effect::Run {
        ordinal,
        first: stored.position.0,
        next: stored.position.0 + 1,
        arrival: stored.arrival,
        last_arrival: stored.arrival,
        offset,
        length: u32::try_from(length).expect("blocks are below 4 GiB"),
    };
    if !effects.last_mut().is_some_and(|last| last.extend(&run)) {
        effects.push(run);
    }
}

/// The part of making a slot that needs no lock: copies the key into place.
fn slot(entry: &Entry<'_>, mut placed: Placed) -> Slot {
    let key = entry.partition_key.as_bytes();
    assert!(key.len() <= KEY_BYTES_MAX, "partition keys have at most 256 characters");
    placed.region.bytes_mut()[RecordHeader::BYTES..RecordHeader::BYTES + key.len()].copy_from_slice(key);
    let slot = DiskSlot {
        ticket: placed.ticket,
        region: Some(placed.region),
        ordinal: placed.ordinal,
        key_bytes: u16::try_from(key.len()).expect("checked above"),
        tag: entry.tag,
        stored: placed.stored,
        filled: false,
    };
    Slot::new(SlotMemory::Disk(slot))
}

/// `tickets`: the blocks that hold the records, each with the index behind its last one.
fn finish(
    slots: Vec<Result<Slot, AppendError>>,
    tickets: Vec<(usize, Arc<BlockTicket>)>,
) -> millstream_env::BoxFuture<'static, Vec<Result<Stored, AppendError>>> {
    let mut results: Vec<_> = slots.into_iter().map(|slot| slot.and_then(Slot::settle)).collect();
    if let Some(engine) = tickets.last().and_then(|(_, ticket)| ticket.engine.upgrade()) {
        engine.write_alone();
    }
    Box::pin(async move {
        let mut start = 0;
        for (until, ticket) in tickets {
            // A commit that stored nothing in a block need not wait for it.
            let stored = results[start..until].iter().any(Result::is_ok);
            if stored && let Err(error) = ticket.outcome().await {
                results[start..until]
                    .iter_mut()
                    .filter(|result| result.is_ok())
                    .for_each(|result| *result = Err(error));
            }
            start = until;
        }
        results
    })
}
