//! Events and their order.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

/// An event that is to be stored.
#[derive(Clone, Debug)]
pub(crate) struct NewEvent {
    /// Milliseconds since the epoch.
    pub(crate) timestamp: u64,
    /// UTF-8.
    pub(crate) message: Bytes,
}

/// A stored event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) key: EventKey,
    /// The stream's id within its group.
    pub(crate) stream: u64,
    pub(crate) message: String,
}

/// The order of events: by their time, then by when they came in, then by their number in the group, which is unique.
/// Its text is the event's id and the inside of page tokens: 56 digits, as AWS's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EventKey {
    pub(crate) timestamp: u64,
    pub(crate) ingestion: u64,
    pub(crate) number: u64,
}

/// Fifteen digits of milliseconds reach beyond the year 33,000.
pub(crate) const MILLIS_MAX: u64 = 999_999_999_999_999;

impl EventKey {
    /// Before every event at or after `timestamp`.
    pub(crate) fn first_at(timestamp: u64) -> Self {
        Self { timestamp: timestamp.min(MILLIS_MAX), ingestion: 0, number: 0 }
    }
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "3{:015}{:015}{:025}", self.timestamp, self.ingestion, self.number)
    }
}

impl FromStr for EventKey {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text.len() != 56 || !text.starts_with('3') || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(());
        }
        let part = |range: std::ops::Range<usize>| text[range].parse::<u64>().map_err(drop);
        Ok(Self { timestamp: part(1..16)?, ingestion: part(16..31)?, number: part(31..56)? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_round_trip_and_keep_their_order_as_text(
            a in (0..=MILLIS_MAX, 0..=MILLIS_MAX, any::<u64>()), b in (0..=MILLIS_MAX, 0..=MILLIS_MAX, any::<u64>()),
        ) {
            let [a, b] = [a, b].map(|(timestamp, ingestion, number)| EventKey { timestamp, ingestion, number });
            prop_assert_eq!(a.to_string().len(), 56);
            prop_assert_eq!(a.to_string().parse(), Ok(a));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn any_text_is_judged_without_a_panic(text in "3?[0-9é]{50,60}") {
            let _ = text.parse::<EventKey>();
        }
    }
}
