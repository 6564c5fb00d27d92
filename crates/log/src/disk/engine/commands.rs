//! Carrying out what the pipeline decides, under the lock.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use millstream_env::Timestamp;

use crate::contract::AppendError;

use super::super::block::{Effect, FactHeader, Outcome, PendingBlock, encode_fact};
use super::super::buffer::Frozen;
use super::super::format::PAGE_BYTES;
use super::super::format::block::{BlockHeader, Kind};
use super::super::format::fact::{CheckpointDamage, CheckpointHead};
use super::super::format::record::{self, RecordHeader};
use super::super::format::segment::SegmentHeader;
use super::super::order::Layout;
use super::super::pipeline::{Command, Event};
use super::super::segment_index::{Run, SegmentIndex};
use super::{Chore, Counters, Engine, Index, State, Work};

/// Carries out commands and those that follow from them.
pub(super) fn carry_out(engine: &Engine, state: &mut State, commands: Vec<Command>) {
    let mut pending: std::collections::VecDeque<Command> = commands.into();
    while let Some(command) = pending.pop_front() {
        pending.extend(one(engine, state, command));
    }
    match state.work.len() {
        0 => {}
        1 if state.leaves_it_to_caller() => {
            state.write_ahead();
            engine.left_to_caller.store(true, Ordering::Relaxed);
        }
        // Waking another thread for it would only take time from the first.
        1 => engine.work_ready.notify_one(),
        _ => engine.work_ready.notify_all(),
    }
    if !state.chores.is_empty() {
        engine.chores_ready.notify_all();
    }
    if state.pipeline.is_idle() {
        engine.at_rest.notify_all();
    }
}

fn one(engine: &Engine, state: &mut State, command: Command) -> Vec<Command> {
    match command {
        Command::Close { number } => {
            assert_eq!(state.open.as_ref().map(|open| open.ticket.number), Some(number), "one block is open");
            let event = state.close_open();
            return state.pipeline.step(event);
        }
        Command::Create { segment, data } => {
            let bytes = data + checkpoint_bytes(state) as u64;
            state.work.push_back(Work::Create { segment, bytes, direct: state.direct });
        }
        Command::Checkpoint { segment, number } => {
            let event = write_checkpoint(engine, state, segment, number);
            return state.pipeline.step(event);
        }
        Command::Write { segment, number, offset, durable_upto } => {
            let now = engine.clock.now();
            let block = state.blocks.get_mut(&number).expect("a block is there until decided");
            let bytes = block.freeze(Kind::Data, segment, durable_upto, now);
            let layout = Some(block.layout());
            push_write(state, segment, number, offset, bytes, layout);
        }
        Command::WriteClosing { segment, number, offset, durable_upto } => {
            let mut block = PendingBlock::open(engine, number, PAGE_BYTES);
            let bytes = block.freeze(Kind::Closing, segment, durable_upto, engine.clock.now());
            state.blocks.insert(number, block);
            push_write(state, segment, number, offset, bytes, None);
        }
        Command::Sync { segment, number } => {
            let file = state.segments.get(&segment).and_then(|found| found.file.clone());
            let file = file.expect("the active segment's file is open");
            // Before any write: readers of the block wait for it.
            state.work.push_front(Work::Sync { segment, number, file });
        }
        Command::Publish { segment, number, offset, length, checkpoint } => {
            publish(engine, state, segment, number, offset, length);
            if checkpoint {
                in_use(state);
            }
        }
        Command::Seal { segment, end, last: _ } => seal(state, segment, end),
        Command::Fail { submitted, error } => fail(state, submitted, error),
    }
    Vec::new()
}

fn push_write(state: &mut State, segment: u64, number: u64, offset: u64, bytes: Frozen, layout: Option<Layout>) {
    let file = state.segments.get(&segment).and_then(|found| found.file.clone());
    let file = file.expect("the active segment's file is open");
    state.work.push_back(Work::Write { segment, number, offset, file, bytes, layout, zeros: 0 });
}

/// Upper bound of header page and checkpoint block.
fn checkpoint_bytes(state: &State) -> usize {
    const RECORD_BYTES_MAX: usize = 96;
    let damaged: usize = state.shards.values().map(|shard| shard.damaged.len() + shard.accepted.len()).sum();
    let records = 1 + state.shards.len() + damaged;
    PAGE_BYTES + (BlockHeader::BYTES + records * RECORD_BYTES_MAX).next_multiple_of(PAGE_BYTES)
}

/// Builds header page and checkpoint of what is published, as one piece at the start of the segment.
fn write_checkpoint(engine: &Engine, state: &mut State, segment: u64, number: u64) -> Event {
    let now = engine.clock.now();
    let records = checkpoint_records(state);
    let used = BlockHeader::BYTES + records.iter().map(|(_, body)| RecordHeader::BYTES + body.len()).sum::<usize>();
    let length = used.next_multiple_of(PAGE_BYTES);
    let mut arena = engine.pool.arena(PAGE_BYTES + length);
    let mut region = arena.carve(PAGE_BYTES + length).expect("as large as asked for");
    let bytes = region.bytes_mut();
    bytes.fill(0);
    let class = engine.class().number();
    SegmentHeader { store: engine.store, segment, class, first_block: number, time_ms: now.millis() }.encode(bytes);
    let block = &mut bytes[PAGE_BYTES..];
    let mut at = BlockHeader::BYTES;
    for (fact, body) in &records {
        let end = at + RecordHeader::BYTES + body.len();
        encode_fact(&mut block[at..end], *fact, body, number);
        at = end;
    }
    let as_u32 = |value: usize| u32::try_from(value).expect("checkpoints are below 4 GiB");
    let header = BlockHeader {
        kind: Kind::Checkpoint,
        length: as_u32(length),
        used: as_u32(used),
        records: as_u32(records.len()),
        more_numbers: 0,
        segment,
        number,
        durable_upto: state.pipeline.published(),
        time_ms: now.millis(),
    };
    header.encode(block);
    drop(region);
    let bytes = arena.freeze().expect("its only region is dropped");
    let total = bytes.as_ref().len() as u64;
    if let Some(found) = state.segments.get_mut(&segment) {
        let mut index = SegmentIndex::new(number);
        for (ordinal, shard) in state.shards.iter().filter(|(_, shard)| shard.created) {
            index.note_shard(*ordinal, shard.next, shard.last_arrival.map_or(0, Timestamp::millis));
        }
        found.index = Index::Active(index);
        found.begun_ms = now.millis();
    }
    push_write(state, segment, number, 0, bytes, None);
    Event::CheckpointBuilt { segment, length: total }
}

fn checkpoint_records(state: &State) -> Vec<(FactHeader, Vec<u8>)> {
    let live: Vec<_> = state.shards.iter().filter(|(_, shard)| shard.created).collect();
    let fact = |kind, ordinal, position| FactHeader { kind, ordinal, position, time: Timestamp::EPOCH };
    let head = CheckpointHead {
        next_ordinal: state.next_ordinal,
        shards: u32::try_from(live.len()).expect("ordinals have 32 bits"),
    };
    let mut records = vec![(fact(record::Kind::CheckpointHead, 0, 0), head.encode())];
    for (ordinal, shard) in live {
        records.push((fact(record::Kind::CheckpointShard, *ordinal, shard.next), shard.facts().encode()));
        for (ranges, accepted) in [(&shard.damaged, false), (&shard.accepted, true)] {
            records.extend(ranges.iter().map(|(first, last)| {
                let body = CheckpointDamage { last: *last, accepted }.encode();
                (fact(record::Kind::CheckpointDamage, *ordinal, *first), body)
            }));
        }
    }
    records
}

/// Makes a durable block visible.
fn publish(engine: &Engine, state: &mut State, segment: u64, number: u64, offset: u64, length: u64) {
    let block_start = if offset == 0 { PAGE_BYTES as u64 } else { offset };
    let found = state.segments.get_mut(&segment).expect("the active segment is there");
    found.end = offset + length;
    state.last_block_bytes = length;
    let Index::Active(index) = &mut found.index else { unreachable!("only the active segment is published to") };
    index.blocks.push(u32::try_from(block_start).expect("segments are below 4 GiB"));
    index.end = found.end;
    Counters::add(&engine.counters.blocks, 1);
    let Some(mut block) = state.blocks.remove(&number) else { return };
    let start = index.blocks[index.blocks.len() - 1];
    for effect in block.effects() {
        apply(state, segment, start, *effect);
    }
    wake(state, block.effects());
    state.note_company(block.callers());
    engine.counters.payload_bytes.fetch_add(block.payload_bytes, Ordering::Relaxed);
    if let Some(frozen) = block.frozen.take() {
        state.tail.put(&engine.pool, number, frozen);
    }
    block.decide(Outcome::Published);
}

/// Tells those who wait for a shard, once for all that the block holds of it.
fn wake(state: &mut State, effects: &[Effect]) {
    for effect in effects {
        if let Effect::Run { ordinal, next, .. } = effect {
            if let Some(shard) = state.shards.get(ordinal).filter(|shard| shard.next == *next) {
                shard.wake();
            }
        } else if let Effect::Sealed { ordinal, .. } = effect
            && let Some(shard) = state.shards.get(ordinal)
        {
            shard.wake();
        }
    }
}

fn apply(state: &mut State, segment: u64, block_start: u32, effect: Effect) {
    let ordinal = effect.ordinal();
    let Some(shard) = state.shards.get_mut(&ordinal) else { return };
    match effect {
        Effect::Run { first, next, arrival, last_arrival, offset, length, .. } => {
            let before = (shard.next, shard.last_arrival.map_or(0, Timestamp::millis));
            let run = Run { first, arrival_ms: arrival.millis(), offset: block_start + offset, length };
            if let Some(Index::Active(index)) = state.segments.get_mut(&segment).map(|found| &mut found.index) {
                index.add(ordinal, run, next, last_arrival.millis(), before);
            }
            shard.published(next, last_arrival);
        }
        Effect::Created { .. } => shard.created = true,
        Effect::Configured { config, hidden_before, .. } => {
            shard.config = config;
            shard.hidden_before = shard.hidden_before.max(hidden_before);
            state.expiry_due = Timestamp::EPOCH;
        }
        Effect::Sealed { sealed, .. } => {
            shard.sealed = Some(sealed);
        }
        Effect::Deleted { .. } => {
            if let Some(gone) = state.shards.remove(&ordinal) {
                state.ordinals.remove(&gone.key);
            }
            state.departed.remove(&ordinal);
            state.expiry_due = Timestamp::EPOCH;
        }
        Effect::Left { to, .. } => shard.away = Some(to),
        Effect::Entered { next, facts, .. } => {
            shard.entered(next, facts);
            state.departed.remove(&ordinal);
            state.expiry_due = Timestamp::EPOCH;
        }
    }
}

/// A new segment's checkpoint is durable: what it replaces can go.
fn in_use(state: &mut State) {
    let obsolete = std::mem::take(&mut state.obsolete);
    state.chores.extend(obsolete.into_iter().map(|segment| Chore::Remove { segment }));
    let unsealed = std::mem::take(&mut state.unsealed);
    state.chores.extend(unsealed.into_iter().map(|segment| Chore::Seal { segment }));
}

fn seal(state: &mut State, segment: u64, end: u64) {
    let Some(found) = state.segments.get_mut(&segment) else { return };
    found.end = end;
    found.file = None;
    if let Index::Active(index) = &mut found.index {
        let mut index = std::mem::take(index);
        index.end = end;
        for (ordinal, shard) in state.shards.iter().filter(|(_, shard)| shard.created) {
            index.note_shard(*ordinal, shard.next, shard.last_arrival.map_or(0, Timestamp::millis));
        }
        found.index = Index::Memory(Arc::new(index));
    }
    state.chores.push_back(Chore::Seal { segment });
}

/// Everything unpublished is lost.
fn fail(state: &mut State, submitted: u64, error: AppendError) {
    state.work.retain(|work| matches!(work, Work::Create { .. }));
    let waiting = std::mem::take(&mut state.blocks).into_values().chain(state.open.take());
    for block in waiting {
        for effect in block.effects() {
            if let Effect::Created { ordinal } = effect
                && let Some(gone) = state.shards.remove(ordinal)
            {
                state.ordinals.remove(&gone.key);
            }
        }
        let known = block.ticket.number > submitted;
        block.decide(Outcome::Failed(if known { error } else { AppendError::Unknown }));
    }
    for shard in state.shards.values_mut() {
        shard.forget_unpublished();
    }
    // A segment whose checkpoint was not published does not exist for readers; opening again cleans it up.
    state.segments.retain(|_, found| !(matches!(&found.index, Index::Active(index) if index.blocks.is_empty())));
}
