//! What the log knows of one shard while it is open.

use millstream_env::Timestamp;
use tokio::sync::watch;

use crate::contract::{Bounds, Position, Sealed, ShardConfig, ShardKey, Stored};

use super::class::RetentionClass;
use super::engine::Departure;
use super::format::fact::ShardFacts;

/// Positions that cannot be served, both inclusive.
pub(super) type DamagedRange = (u64, u64);

#[derive(Debug)]
pub(super) struct Shard {
    pub(super) key: ShardKey,
    pub(super) config: ShardConfig,
    /// Records that arrived earlier were hidden by an earlier retention.
    pub(super) hidden_before: Timestamp,
    /// The position the next record gets, and the arrival of the last that got one.
    reserved_next: u64,
    reserved_arrival: Option<Timestamp>,
    /// A seal is on its way, or done.
    pub(super) sealing: Option<Sealed>,
    /// One past the last durable position.
    pub(super) next: u64,
    pub(super) last_arrival: Option<Timestamp>,
    pub(super) sealed: Option<Sealed>,
    /// Where its new records go, when not here: asked for, and durable.
    pub(super) leaving: Option<RetentionClass>,
    pub(super) away: Option<RetentionClass>,
    /// The first position that was ever given out here.
    pub(super) begins: u64,
    /// Records that may have been lost behind the last known one, when it is away: see [`Self::doubt_lost`].
    pub(super) doubt: u64,
    /// Its creation is durable.
    pub(super) created: bool,
    /// Nothing before is readable any more.
    pub(super) horizon: u64,
    /// Sorted, apart from each other.
    pub(super) damaged: Vec<DamagedRange>,
    /// Damage that the operator has accepted: reads pass over it.
    pub(super) accepted: Vec<DamagedRange>,
    wake: watch::Sender<u64>,
}

impl Shard {
    pub(super) fn new(key: ShardKey, config: ShardConfig) -> Self {
        Self::recovered(
            ShardFacts {
                key,
                config,
                hidden_before: Timestamp::EPOCH,
                last_arrival: None,
                sealed: None,
                away: None,
                begins: 0,
            },
            0,
            Vec::new(),
        )
    }

    /// A shard that comes from another class.
    pub(super) fn arriving(key: ShardKey, departure: Departure) -> Self {
        let Departure { config, hidden_before, next, last_arrival, wake, .. } = departure;
        let facts = ShardFacts { key, config, hidden_before, last_arrival, sealed: None, away: None, begins: next };
        Self { wake, ..Self::recovered(facts, next, Vec::new()) }
    }

    pub(super) fn recovered(facts: ShardFacts, next: u64, damaged: Vec<DamagedRange>) -> Self {
        Self {
            key: facts.key,
            config: facts.config,
            hidden_before: facts.hidden_before,
            reserved_next: next,
            reserved_arrival: facts.last_arrival,
            sealing: facts.sealed,
            next,
            last_arrival: facts.last_arrival,
            sealed: facts.sealed,
            leaving: facts.away,
            away: facts.away,
            begins: facts.begins,
            doubt: 0,
            created: false,
            horizon: 0,
            damaged,
            accepted: Vec::new(),
            wake: watch::Sender::new(0),
        }
    }

    /// What a checkpoint must say: the durable state.
    pub(super) fn facts(&self) -> ShardFacts {
        ShardFacts {
            key: self.key,
            config: self.config,
            hidden_before: self.hidden_before,
            last_arrival: self.last_arrival,
            sealed: self.sealed,
            away: self.away,
            begins: self.begins,
        }
    }

    /// The next place, without taking it.
    pub(super) fn peek(&self, now: Timestamp) -> Stored {
        let arrival = self.reserved_arrival.map_or(now, |last| last.max(now));
        Stored { position: Position(self.reserved_next), arrival }
    }

    pub(super) fn take(&mut self, place: Stored) {
        self.reserved_next = place.position.0 + 1;
        self.reserved_arrival = Some(place.arrival);
    }

    pub(super) fn seal(&mut self, now: Timestamp) -> Sealed {
        let sealed =
            Sealed { closed_at: self.peek(now).arrival, last: self.reserved_next.checked_sub(1).map(Position) };
        self.sealing = Some(sealed);
        sealed
    }

    /// Everything unpublished is lost: its positions stay empty for ever.
    pub(super) fn forget_unpublished(&mut self) {
        self.sealing = self.sealed;
        self.leaving = self.away;
        self.reserved_arrival = self.reserved_arrival.max(self.last_arrival);
    }

    pub(super) fn published(&mut self, next: u64, arrival: Timestamp) {
        assert!(next > self.next, "positions are published in order");
        self.next = next;
        self.last_arrival = Some(arrival);
    }

    pub(super) fn reserved_arrival(&self) -> Option<Timestamp> {
        self.reserved_arrival
    }

    /// Comes back from another class. Places are given out behind what it was given there.
    pub(super) fn enter(&mut self, departure: Departure) {
        self.leaving = None;
        self.reserved_next = self.reserved_next.max(departure.next);
        self.reserved_arrival = self.reserved_arrival.max(departure.last_arrival);
        self.wake = departure.wake;
    }

    /// Has come back, durably.
    pub(super) fn entered(&mut self, next: u64, facts: ShardFacts) {
        self.away = None;
        self.next = self.next.max(next);
        self.last_arrival = self.last_arrival.max(facts.last_arrival);
        self.config = facts.config;
        self.hidden_before = self.hidden_before.max(facts.hidden_before);
    }

    /// What wakes those who wait for the shard, also after it went elsewhere.
    pub(super) fn waker(&self) -> watch::Sender<u64> {
        self.wake.clone()
    }

    pub(super) fn cutoff(&self, now: Timestamp) -> Timestamp {
        self.hidden_before.max(now.minus(self.config.retention))
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            horizon: Position(self.horizon),
            next: Position(self.next),
            last_arrival: self.last_arrival,
            sealed: self.sealed,
        }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.wake.subscribe()
    }

    /// Called under the engine's lock, as subscribing is: with nobody there, nobody can miss it.
    pub(super) fn wake(&self) {
        if self.wake.receiver_count() == 0 {
            return;
        }
        self.wake.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Adds to what is known to be damaged. True when it was not known.
    pub(super) fn note_damage(&mut self, range: DamagedRange) -> bool {
        let known = self.damaged.iter().any(|(first, last)| *first <= range.0 && range.1 <= *last);
        if !known {
            self.damaged.push(range);
            join(&mut self.damaged);
        }
        !known
    }

    /// Counts what may have been lost as damaged.
    pub(super) fn doubt_lost(&mut self) {
        let doubt = std::mem::take(&mut self.doubt);
        if doubt > 0 {
            self.note_damage((self.next, self.next + doubt - 1));
            self.next += doubt;
            self.reserved_next = self.reserved_next.max(self.next);
        }
    }

    /// Passes over everything that is known to be damaged.
    pub(super) fn accept_damage(&mut self) {
        self.accepted.append(&mut self.damaged);
        join(&mut self.accepted);
    }

    pub(super) fn expired(&mut self, horizon: u64) {
        self.horizon = self.horizon.max(horizon);
        self.damaged.retain(|(_, last)| *last >= horizon);
        self.accepted.retain(|(_, last)| *last >= horizon);
    }
}

/// Sorts ranges and makes one of those that touch.
pub(super) fn join(ranges: &mut Vec<DamagedRange>) {
    ranges.sort_unstable();
    ranges.dedup_by(|next, before| {
        let touching = next.0 <= before.1.saturating_add(1);
        if touching {
            before.1 = before.1.max(next.1);
        }
        touching
    });
}

/// What of `ranges` does not lie in `accepted`, which is sorted.
pub(super) fn without(ranges: &[DamagedRange], accepted: &[DamagedRange]) -> Vec<DamagedRange> {
    let mut left = Vec::new();
    for (first, last) in ranges {
        let mut next = *first;
        for (lost, until) in accepted.iter().filter(|(lost, until)| lost <= last && until >= first) {
            if *lost > next {
                left.push((next, lost - 1));
            }
            next = next.max(until + 1);
        }
        if next <= *last {
            left.push((next, *last));
        }
    }
    join(&mut left);
    left
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn ranges() -> impl Strategy<Value = Vec<DamagedRange>> {
        prop::collection::vec((0_u64..60, 0_u64..9).prop_map(|(first, more)| (first, first + more)), 0..8)
    }

    fn members(ranges: &[DamagedRange]) -> BTreeSet<u64> {
        ranges.iter().flat_map(|(first, last)| *first..=*last).collect()
    }

    proptest! {
        #[test]
        fn ranges_are_joined_and_taken_away_as_sets(mut one in ranges(), mut other in ranges()) {
            let (all, gone) = (members(&one), members(&other));
            join(&mut one);
            join(&mut other);
            prop_assert!(members(&one) == all);
            prop_assert!(one.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
            let left: BTreeSet<u64> = all.difference(&gone).copied().collect();
            prop_assert_eq!(members(&without(&one, &other)), left);
        }
    }
}
