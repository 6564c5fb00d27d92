//! Putting the records of a block in the order of their shards, before it is written.
//!
//! Records come in the order of requests, each for many shards: a shard's records then lie all over the block, and whoever
//! reads that shard later asks the disk for each of them alone. Side by side they are one request, and one entry in the
//! index. It costs one copy of the block, made by a committer and not by a request.
//!
//! What a shard's records and facts say depends on their order among each other, which stays; that of different shards does
//! not matter.

use std::sync::Arc;

use super::block::Effect;
use super::buffer::{Frozen, Pool};
use super::format::block::BlockHeader;

/// Adjacent records of one shard, or a fact about it, in the order they were reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) ordinal: u32,
    /// Within the block.
    pub(super) offset: u32,
    pub(super) length: u32,
}

impl Place {
    /// Notes a record behind all others.
    pub(super) fn add(places: &mut Vec<Self>, next: Self) {
        match places.last_mut() {
            Some(last) if last.ordinal == next.ordinal => last.length += next.length,
            _ => places.push(next),
        }
    }
}

/// What a committer needs to know of a block to put it in order.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) places: Vec<Place>,
    /// What becomes true when the block is published, its runs in the order of the places.
    pub(super) effects: Arc<Vec<Effect>>,
}

/// The order is worth a copy when it makes one piece of this many, on average.
const WORTH_PIECES: usize = 2;

/// A copy of `block` in the order of shards, with what becomes true when it is published. `None` when that would not bring
/// enough together.
pub(super) fn by_shard(pool: &Arc<Pool>, block: &Frozen, layout: &Layout) -> Option<(Frozen, Vec<Effect>)> {
    let places = &layout.places[..];
    let mut order: Vec<u32> = (0..u32::try_from(places.len()).ok()?).collect();
    order.sort_by_key(|index| places[*index as usize].ordinal);
    let shards = 1 + order.windows(2).filter(|pair| ordinal(places, pair[0]) != ordinal(places, pair[1])).count();
    if shards * WORTH_PIECES > places.len() {
        return None;
    }
    let bytes = block.as_ref();
    let mut arena = pool.arena(bytes.len());
    let mut region = arena.carve(bytes.len())?;
    let copy = region.bytes_mut();
    copy[..BlockHeader::BYTES].copy_from_slice(&bytes[..BlockHeader::BYTES]);
    let mut moved = vec![0_u32; places.len()];
    let mut end = BlockHeader::BYTES;
    for index in &order {
        let Place { offset, length, .. } = places[*index as usize];
        let (offset, length) = (offset as usize, length as usize);
        copy[end..end + length].copy_from_slice(&bytes[offset..offset + length]);
        moved[*index as usize] = u32::try_from(end).expect("blocks are below 4 GiB");
        end += length;
    }
    // What was here before in this memory is no concern of anybody.
    copy[end..].fill(0);
    drop(region);
    let effects = moved_effects(places, &moved, &layout.effects);
    Some((arena.freeze().unwrap_or_else(|_| unreachable!("its only region is dropped")), effects))
}

fn ordinal(places: &[Place], index: u32) -> u32 {
    places[index as usize].ordinal
}

/// The effects with their runs where they are now, those that touch joined.
fn moved_effects(places: &[Place], moved: &[u32], effects: &[Effect]) -> Vec<Effect> {
    let mut effects = effects.to_vec();
    let mut at = 0;
    for effect in &mut effects {
        if let Effect::Run { offset, .. } = effect {
            // Both are in the order of the old block, and a run lies in one place.
            while places[at].offset + places[at].length <= *offset {
                at += 1;
            }
            *offset = moved[at] + (*offset - places[at].offset);
        }
    }
    effects.sort_by_key(Effect::ordinal);
    effects.dedup_by(|later, before| before.extend(later));
    effects
}

#[cfg(test)]
mod tests {
    use millstream_env::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn run(ordinal: u32, position: u64, offset: u32, length: u32) -> Effect {
        let arrival = Timestamp::from_millis(position);
        Effect::Run { ordinal, first: position, next: position + 1, arrival, last_arrival: arrival, offset, length }
    }

    proptest! {
        #[test]
        fn every_record_keeps_its_bytes_and_its_place_in_its_shard(
            records in prop::collection::vec((0_u32..4, 1_u32..200, any::<bool>()), 1..80),
        ) {
            // A block of records filled with their number, some of them facts.
            let pool = Pool::new(64 << 10, 1);
            let mut bytes = vec![0xee; BlockHeader::BYTES];
            let (mut places, mut effects) = (Vec::new(), Vec::new());
            for (number, (ordinal, length, fact)) in (0_u8..).zip(&records) {
                let offset = u32::try_from(bytes.len()).unwrap();
                Place::add(&mut places, Place { ordinal: *ordinal, offset, length: *length });
                let effect = if *fact {
                    Effect::Deleted { ordinal: *ordinal }
                } else {
                    run(*ordinal, u64::from(number), offset, *length)
                };
                if !effects.last_mut().is_some_and(|last: &mut Effect| last.extend(&effect)) {
                    effects.push(effect);
                }
                bytes.extend(vec![number; *length as usize]);
            }
            let used = bytes.len();
            let layout = Layout { places, effects: Arc::new(effects) };
            let Some((ordered, effects)) = by_shard(&pool, &pool.copy(&bytes), &layout) else { return Ok(()) };
            let ordered = ordered.as_ref();
            prop_assert_eq!(ordered.len(), used.next_multiple_of(4096));
            prop_assert_eq!(&ordered[..BlockHeader::BYTES], &bytes[..BlockHeader::BYTES]);
            prop_assert!(ordered[used..].iter().all(|byte| *byte == 0));
            for shard in 0..4 {
                let own = (0_u8..).zip(&records).filter(|(_, (ordinal, ..))| *ordinal == shard);
                let (mut wanted, mut facts) = (Vec::new(), 0);
                for (number, (_, length, fact)) in own {
                    facts += i32::from(*fact);
                    wanted.extend(vec![number; if *fact { 0 } else { *length as usize }]);
                }
                let mut found: Vec<u8> = Vec::new();
                for effect in effects.iter().filter(|effect| effect.ordinal() == shard) {
                    match effect {
                        Effect::Run { offset, length, .. } => {
                            found.extend(&ordered[*offset as usize..(*offset + *length) as usize]);
                        }
                        _ => facts -= 1,
                    }
                }
                prop_assert_eq!(found, wanted);
                prop_assert_eq!(facts, 0);
            }
            let touching = effects.windows(2).any(|pair| matches!(pair, [
                Effect::Run { ordinal: one, offset, length, .. }, Effect::Run { ordinal: other, offset: next, .. },
            ] if one == other && offset + length == *next));
            prop_assert!(!touching, "runs that touch are one");
        }
    }
}
