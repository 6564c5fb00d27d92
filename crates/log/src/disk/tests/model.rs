//! What a log must hold, kept beside it.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_env::Timestamp;

use crate::contract::{AppendError, Position, Record, Sealed, Stored};

/// What is known of one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing may be read there, ever: not filled, or refused for certain.
    Absent,
    /// Handed over; its commit, of which it may be a part only, has not answered.
    Pending,
    /// Its commit answered that it does not know.
    Unknown,
    Acknowledged,
}

#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) data: Vec<u8>,
    pub(super) arrival: Timestamp,
    pub(super) fate: Fate,
}

#[derive(Debug)]
pub(super) struct ShardModel {
    pub(super) places: BTreeMap<u64, Place>,
    pub(super) sealed: Option<Sealed>,
    /// The shortest retention that was ever asked for, and the longest that may be in force.
    kept: (Duration, Duration),
}

/// One of each class.
pub(super) const RETENTIONS: [Duration; 3] =
    [Duration::from_hours(24), Duration::from_hours(100), Duration::from_hours(1_000)];

impl ShardModel {
    pub(super) fn new(retention: Duration) -> Self {
        Self { places: BTreeMap::new(), sealed: None, kept: (retention, retention) }
    }

    /// Another retention is asked for, and perhaps granted.
    pub(super) fn configure(&mut self, retention: Duration) {
        self.kept = (self.kept.0.min(retention), self.kept.1.max(retention));
    }

    /// It is in force, and no other is asked for.
    pub(super) fn configured(&mut self, retention: Duration) {
        self.kept.1 = retention;
    }

    /// A place was given out: it must lie behind everything that can be read.
    pub(super) fn reserved(&mut self, stored: Stored, data: Vec<u8>, context: &str) {
        let Stored { position, arrival } = stored;
        if let Some((last, place)) = self.places.last_key_value() {
            assert!(position.0 > *last, "{context}: {position:?} was given out again after {last}");
            assert!(arrival >= place.arrival, "{context}: arrival went back at {position:?}");
        }
        self.places.insert(position.0, Place { data, arrival, fate: Fate::Pending });
    }

    pub(super) fn decided(&mut self, position: Position, result: Result<Stored, AppendError>, filled: bool) {
        let Some(place) = self.places.get_mut(&position.0) else { return };
        place.fate = match result {
            Ok(_) => Fate::Acknowledged,
            Err(AppendError::Unknown) if filled => Fate::Unknown,
            Err(_) => Fate::Absent,
        };
    }

    fn last_acknowledged(&self) -> Option<u64> {
        self.places.iter().rev().find(|(_, place)| place.fate == Fate::Acknowledged).map(|(position, _)| *position)
    }

    /// Compares what is read with what was promised. `latest`: the clock may stand before it, having stepped back; what
    /// expired then may be gone. `recovered`: a crash lies between.
    pub(super) fn check(
        &self,
        found: &[Record],
        (now, latest): (Timestamp, Timestamp),
        recovered: bool,
        context: &str,
    ) {
        let (shortest, longest) = self.kept;
        let cutoff = now.minus(longest);
        assert!(found.windows(2).all(|pair| pair[0].position < pair[1].position), "{context}: out of order");
        for record in found {
            let position = record.position.0;
            let Some(place) = self.places.get(&position) else {
                // Expired when the log was opened, so not known to be there, and back because the clock stepped back.
                assert!(record.arrival < latest.minus(shortest), "{context}: a record never written at {position}");
                continue;
            };
            assert_eq!(record.data, place.data, "{context}: other bytes at {position}");
            assert_eq!(record.arrival, place.arrival, "{context}: other arrival at {position}");
            assert!(record.arrival >= cutoff, "{context}: expired record at {position}");
            assert_ne!(place.fate, Fate::Absent, "{context}: a record that was refused at {position}");
            if recovered && place.fate == Fate::Unknown {
                let last = self.last_acknowledged();
                assert!(last < Some(position), "{context}: unacknowledged {position} before acknowledged {last:?}");
            }
        }
        let read: Vec<u64> = found.iter().map(|record| record.position.0).collect();
        for (position, place) in &self.places {
            let promised = place.fate == Fate::Acknowledged && place.arrival >= latest.minus(shortest);
            assert!(
                !promised || read.binary_search(position).is_ok(),
                "{context}: acknowledged {position} is lost, found {read:?}"
            );
        }
    }

    /// After a crash and a successful check: what was read is there for good, the rest is not.
    pub(super) fn settle(&mut self, found: &[Record]) {
        let read: Vec<u64> = found.iter().map(|record| record.position.0).collect();
        self.places.retain(|position, place| {
            let there = read.binary_search(position).is_ok();
            // Acknowledged ones that are not there have expired.
            if there {
                place.fate = Fate::Acknowledged;
            }
            there || place.fate == Fate::Acknowledged
        });
    }
}
