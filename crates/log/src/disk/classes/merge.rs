//! Putting together what several classes hold of one shard.

use crate::contract::{Position, ReadLimit, Record};

/// Records of several logs, and how far they are complete.
#[derive(Debug, Default)]
pub(super) struct Merged {
    records: Vec<Record>,
    /// Everything before is known; `None`: everything there is.
    complete_to: Option<u64>,
}

impl Merged {
    /// Adds what one log gave. `complete_to`: it holds more from there on; `None` when that is all it has.
    pub(super) fn add(&mut self, records: Vec<Record>, complete_to: Option<u64>) {
        self.records.extend(records);
        if let Some(position) = complete_to {
            self.stop_at(position);
        }
    }

    /// Nothing is known from `position` on.
    pub(super) fn stop_at(&mut self, position: u64) {
        self.complete_to = Some(self.complete_to.map_or(position, |known| known.min(position)));
    }

    pub(super) fn complete_to(&self) -> Option<u64> {
        self.complete_to
    }

    /// The records that are known to follow each other, within `limit`, and where the next read goes on: `None` after all
    /// there is.
    pub(super) fn finish(mut self, limit: ReadLimit) -> (Vec<Record>, Option<Position>) {
        let end = self.complete_to.unwrap_or(u64::MAX);
        self.records.retain(|record| record.position.0 < end);
        self.records.sort_by_key(|record| record.position);
        let (mut count, mut bytes) = (0, 0);
        for record in &self.records {
            bytes += record.data.len() + record.partition_key.len();
            if count > 0 && (count >= limit.records || bytes > limit.bytes) {
                break;
            }
            count += 1;
        }
        let rest = self.records.get(count).map(|record| record.position);
        self.records.truncate(count);
        (self.records, rest.or(self.complete_to.map(Position)))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use millstream_env::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn record(position: u64) -> Record {
        Record {
            position: Position(position),
            arrival: Timestamp::EPOCH,
            tag: 0,
            partition_key: Bytes::from_static(b"k"),
            data: Bytes::from_static(b"nine bytes"[..9].as_ref()),
        }
    }

    proptest! {
        #[test]
        fn what_is_given_is_the_beginning_of_all(
            homes in prop::collection::vec(0_usize..3, 1..60),
            steps in prop::collection::vec(1_usize..20, 3),
            records in 1_usize..40,
            bytes in 1_usize..400,
        ) {
            // Each log gives the first of its own records, and says what it has left.
            let mut merged = Merged::default();
            for (log, step) in steps.iter().enumerate() {
                let own: Vec<u64> = (0..).zip(&homes).filter(|(_, home)| **home == log).map(|(at, _)| at).collect();
                let given = own.iter().take(*step).map(|at| record(*at)).collect();
                merged.add(given, own.get(*step).copied());
            }
            let (found, next) = merged.finish(ReadLimit { records, bytes });
            let found: Vec<u64> = found.iter().map(|record| record.position.0).collect();
            prop_assert_eq!(&found, &(0..found.len() as u64).collect::<Vec<_>>(), "no gap, in order");
            prop_assert!(found.len() <= records && (found.len() <= 1 || found.len() * 10 <= bytes));
            prop_assert_eq!(next.map_or(homes.len() as u64, |next| next.0), found.len() as u64);
            let enough = steps.iter().all(|step| *step >= homes.len()) && records >= homes.len();
            prop_assert!(!enough || bytes < homes.len() * 10 || next.is_none(), "all is given when all is known");
        }
    }
}
