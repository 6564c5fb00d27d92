//! What a subscription does next, from what is known now. No I/O.

use std::time::Duration;

use millstream_env::Timestamp;

/// How long a subscription lives (Kinesis model).
const LIFE: Duration = Duration::from_mins(5);
/// Longest time between two events, so that a client sees how far behind it is and where to go on. About what has been
/// seen of AWS; the exact figure is not known.
const IDLE_MAX: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    ends: Timestamp,
    event_due: Timestamp,
}

/// What a read found, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) records: bool,
    /// More lies further on.
    pub(super) behind: bool,
    /// Nothing will ever follow, and the shard's children are known.
    pub(super) last: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Send what was found.
    Send,
    /// Send what was found; it is the last event.
    SendLast,
    /// Expired or void records were passed over: go on behind them.
    ReadOn,
    /// Nothing to do until something changes, or until then.
    Wait(Timestamp),
}

impl Course {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { ends: now.plus(LIFE), event_due: now.plus(IDLE_MAX) }
    }

    /// The life is over: the stream ends without a word.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        now >= self.ends
    }

    /// `moment`, or the end of the life when that is earlier.
    pub(super) fn until(&self, moment: Timestamp) -> Timestamp {
        moment.min(self.ends)
    }

    pub(super) fn after_read(&self, now: Timestamp, found: Found) -> Step {
        match found {
            Found { last: true, .. } => Step::SendLast,
            Found { records: true, .. } => Step::Send,
            _ if now >= self.event_due => Step::Send,
            Found { behind: true, .. } => Step::ReadOn,
            _ => Step::Wait(self.until(self.event_due)),
        }
    }

    /// An event was sent.
    pub(super) fn sent(&mut self, now: Timestamp) {
        self.event_due = now.plus(IDLE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Found = Found { records: false, behind: false, last: false };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(1000 + seconds)
    }

    #[test]
    fn records_are_sent_at_once_and_an_empty_event_after_five_seconds() {
        let mut course = Course::new(at(0));
        assert_eq!(course.after_read(at(0), NOTHING), Step::Wait(at(5)));
        assert_eq!(course.after_read(at(1), Found { records: true, ..NOTHING }), Step::Send);
        course.sent(at(1));
        assert_eq!(course.after_read(at(5), NOTHING), Step::Wait(at(6)));
        assert_eq!(course.after_read(at(6), NOTHING), Step::Send);
    }

    #[test]
    fn what_cannot_be_read_any_more_is_passed_over() {
        let course = Course::new(at(0));
        assert_eq!(course.after_read(at(1), Found { behind: true, ..NOTHING }), Step::ReadOn);
        assert_eq!(course.after_read(at(5), Found { behind: true, ..NOTHING }), Step::Send);
    }

    #[test]
    fn the_end_of_the_shard_is_said_with_or_without_records() {
        let course = Course::new(at(0));
        assert_eq!(course.after_read(at(0), Found { last: true, ..NOTHING }), Step::SendLast);
        assert_eq!(course.after_read(at(0), Found { last: true, records: true, ..NOTHING }), Step::SendLast);
    }

    #[test]
    fn a_life_has_five_minutes() {
        let mut course = Course::new(at(0));
        assert!(!course.is_over(at(299)));
        assert!(course.is_over(at(300)));
        course.sent(at(298));
        assert_eq!(course.after_read(at(299), NOTHING), Step::Wait(at(300)));
    }
}
