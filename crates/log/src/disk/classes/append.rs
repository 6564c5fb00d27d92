//! Reserving places in the logs where the shards are at home.

use std::sync::Arc;

use crate::admission::Admitted;
use crate::contract::{AppendError, Entry, Reservation, Slot, Stored};

use super::super::engine::Engine;
use super::Classes;

impl Classes {
    pub(in crate::disk) async fn reserve(&self, entries: &[Entry<'_>]) -> Reservation {
        let admitted = match self.admission.admit(entries).await {
            Ok(admitted) => Arc::new(admitted),
            Err(error) => return Reservation::refused(entries.len(), error),
        };
        let reservation = self.place(entries, &admitted);
        if !self.met_a_move(entries, &reservation) {
            return reservation;
        }
        // What was reserved is void. It must go before the move, which waits for it.
        drop(reservation);
        let _still = self.moving.lock().await;
        for entry in entries {
            if self.settle(entry.shard).await.is_err() {
                return Reservation::refused(entries.len(), AppendError::Unavailable);
            }
        }
        self.place(entries, &admitted)
    }

    /// Reserves where the homes are now. Never waits.
    pub(in crate::disk) fn place(&self, entries: &[Entry<'_>], admitted: &Arc<Admitted>) -> Reservation {
        if let Some(engine) = self.alone() {
            return engine.reserve(entries, admitted);
        }
        let mut groups: Vec<Group<'_, '_>> = Vec::new();
        {
            let homes = self.homes.read().expect("no code panics while holding this lock");
            for (index, entry) in entries.iter().enumerate() {
                let engine = homes.get(&entry.shard).and_then(|class| self.engine(*class));
                let engine = engine.unwrap_or_else(|| self.first());
                let group = match groups.iter_mut().find(|group| Arc::ptr_eq(group.engine, engine)) {
                    Some(group) => group,
                    None => groups.push_mut(Group { engine, indexes: Vec::new(), entries: Vec::new() }),
                };
                group.indexes.push(index);
                group.entries.push(*entry);
            }
        }
        if let [group] = &groups[..] {
            return group.engine.reserve(entries, admitted);
        }
        let mut slots: Vec<Option<Result<Slot, AppendError>>> = entries.iter().map(|_| None).collect();
        let mut parts = Vec::new();
        for Group { engine, indexes, entries } in groups {
            let reservation = engine.reserve(&entries, admitted);
            for (index, slot) in indexes.iter().zip(reservation.slots) {
                slots[*index] = Some(slot);
            }
            parts.push((indexes, reservation.finish));
        }
        let slots = slots.into_iter().map(|slot| slot.expect("each entry is in one group")).collect();
        Reservation { slots, finish: Box::new(move |slots| finish(slots, parts)) }
    }

    /// Whether records were refused only because their shard was moving.
    fn met_a_move(&self, entries: &[Entry<'_>], reservation: &Reservation) -> bool {
        let takes_records = |shard| self.home(shard).part(shard).is_some_and(|part| !part.sealed);
        let refused =
            entries.iter().zip(&reservation.slots).filter(|(_, slot)| matches!(slot, Err(AppendError::Sealed)));
        refused.map(|(entry, _)| entry.shard).any(|shard| self.alone().is_none() && takes_records(shard))
    }
}

/// The entries of one log.
struct Group<'c, 'e> {
    engine: &'c Arc<Engine>,
    indexes: Vec<usize>,
    entries: Vec<Entry<'e>>,
}

/// Each log settles its slots now and waits for its own blocks.
fn finish(
    slots: Vec<Result<Slot, AppendError>>,
    parts: Vec<(Vec<usize>, crate::contract::Finish)>,
) -> millstream_env::BoxFuture<'static, Vec<Result<Stored, AppendError>>> {
    let count = slots.len();
    let mut slots: Vec<Option<Result<Slot, AppendError>>> = slots.into_iter().map(Some).collect();
    let commits: Vec<_> = parts
        .into_iter()
        .map(|(indexes, finish)| {
            let own = indexes.iter().map(|index| slots[*index].take().expect("each entry is in one group")).collect();
            let commit = finish(own);
            (indexes, commit)
        })
        .collect();
    Box::pin(async move {
        let mut results = vec![Err(AppendError::Unavailable); count];
        for (indexes, commit) in commits {
            // The blocks of all logs are on their way: waiting for one after the other takes as long as the slowest.
            for (index, result) in indexes.into_iter().zip(commit.await) {
                results[index] = result;
            }
        }
        results
    })
}
