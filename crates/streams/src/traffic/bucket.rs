//! A token bucket.

use std::time::Duration;

use millstream_env::Timestamp;

/// A clock that is further back than this was set back; less is two readers of it that overtook each other.
const STEP_BACK_MIN: Duration = Duration::from_secs(1);

/// Refills at a steady rate up to one second's worth. What is taken may be more than it holds: then it is in debt, and
/// gives nothing until the debt is refilled.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// In thousandths, so that a millisecond's refill is a whole number.
    level: i64,
    per_second: i64,
    at: Timestamp,
}

impl Bucket {
    pub(crate) fn full(per_second: i64) -> Self {
        Self { level: per_second * 1000, per_second, at: Timestamp::default() }
    }

    /// Whether `amount`, or a full bucket when it is more than that, is there now.
    pub(crate) fn holds(&mut self, now: Timestamp, amount: i64) -> bool {
        self.refill(now);
        self.level >= amount.min(self.per_second) * 1000
    }

    /// When `amount` will be there if nothing is taken until then; not after `now` when it is there.
    pub(crate) fn holds_at(&mut self, now: Timestamp, amount: i64) -> Timestamp {
        self.refill(now);
        let missing = amount.min(self.per_second) * 1000 - self.level;
        let millis = missing.max(0).unsigned_abs().div_ceil(self.per_second.unsigned_abs());
        now.plus(Duration::from_millis(millis))
    }

    pub(crate) fn is_full(&mut self, now: Timestamp) -> bool {
        self.holds(now, self.per_second)
    }

    pub(crate) fn take(&mut self, amount: i64) {
        self.level -= amount * 1000;
    }

    /// Takes one where there is one.
    pub(crate) fn take_one(&mut self, now: Timestamp) -> bool {
        let there = self.holds(now, 1);
        if there {
            self.take(1);
        }
        there
    }

    fn refill(&mut self, now: Timestamp) {
        let elapsed = i64::try_from(now.since(self.at).as_millis()).unwrap_or(i64::MAX);
        self.level = self.level.saturating_add(self.per_second.saturating_mul(elapsed)).min(self.per_second * 1000);
        if now > self.at || self.at.since(now) >= STEP_BACK_MIN {
            self.at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_seconds(1_700_000_000);

    #[test]
    fn a_debt_is_refilled_first() {
        let mut bucket = Bucket::full(10);
        assert!(bucket.holds(START, 50));
        bucket.take(50);
        let at = |millis| Timestamp::from_millis(START.millis() + millis);
        assert!(!bucket.holds(at(4000), 1));
        assert!(bucket.holds(at(4100), 1));
        assert!(!bucket.holds(at(4100), 2));
        assert_eq!(bucket.holds_at(at(4100), 1), at(4100));
        assert_eq!(bucket.holds_at(at(4100), 2), at(4200));
        assert!(bucket.holds(at(60_000), 10));
    }

    #[test]
    fn a_clock_that_is_set_back_gives_nothing_and_goes_on_from_there() {
        let hour = Duration::from_hours(1);
        let mut bucket = Bucket::full(10);
        assert!(bucket.holds(START.plus(hour), 10));
        bucket.take(10);
        assert!(!bucket.holds(START, 1));
        assert!(bucket.holds(START.plus(Duration::from_millis(100)), 1));
        bucket.take(1);
        // Readers that overtake each other gain nothing.
        for millis in [99, 100, 99, 100, 99, 100] {
            assert!(!bucket.holds(START.plus(Duration::from_millis(millis)), 1));
        }
        assert!(!bucket.holds(START.plus(Duration::from_millis(199)), 1));
    }

    proptest! {
        #[test]
        fn no_more_is_given_than_a_full_bucket_and_its_refill(
            steps in proptest::collection::vec((0_u64..300, 0_i64..20), 1..200),
        ) {
            let (mut bucket, mut now, mut given) = (Bucket::full(10), START, 0);
            for (millis, amount) in steps {
                now = Timestamp::from_millis(now.millis() + millis);
                if bucket.holds(now, amount) {
                    bucket.take(amount);
                    given += amount;
                }
            }
            let elapsed = i64::try_from(now.millis() - START.millis()).unwrap();
            prop_assert!(given * 1000 <= 10 * 1000 + 10 * elapsed + 20 * 1000);
        }
    }
}
