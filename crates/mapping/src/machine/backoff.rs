//! How long a batch waits before it is tried again. All constants of waiting are here.
//!
//! AWS publishes none. Recorded: a function that fails at once is invoked 8 times within the 60 s of its record's
//! maximum age, which fits doubling from half a second.

use std::time::Duration;

/// Wait after the first failure of a batch in the function.
pub const FUNCTION_FAILURE_FIRST: Duration = Duration::from_millis(500);
/// Longest wait between two tries of a failing batch.
pub const FUNCTION_FAILURE_MAX: Duration = Duration::from_mins(1);
/// Wait after the first try that did not reach the function: short, because most such states end soon (a function that
/// is being created, a moment of full concurrency).
pub const NOT_DELIVERED_FIRST: Duration = Duration::from_millis(100);
/// Longest wait between two tries that do not reach the function.
pub const NOT_DELIVERED_MAX: Duration = Duration::from_secs(10);
/// Wait after the first failed read of a shard, doubled up to [`NOT_DELIVERED_MAX`].
pub const READ_FAILURE_FIRST: Duration = Duration::from_millis(100);

/// Wait after the first delivery to a destination that failed, doubled up to [`NOT_DELIVERED_MAX`].
pub const DELIVERY_FAILURE_FIRST: Duration = Duration::from_millis(500);
/// Deliveries of one failed batch before its destination is given up; together they take 7.5 s.
pub const DELIVERIES_MAX: u32 = 5;
/// How long the lanes of a shard wait for one that is full and works well, before they go on without it.
pub const SLOW_LANE: Duration = Duration::from_millis(500);

/// The wait after `failures` failures in a row, at least one: doubles from `first` up to `max`.
pub(super) fn doubling(first: Duration, max: Duration, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(20);
    first.saturating_mul(1 << doublings).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_bound() {
        let wait = |failures| doubling(FUNCTION_FAILURE_FIRST, FUNCTION_FAILURE_MAX, failures).as_millis();
        let waits: Vec<u128> = (1..=9).map(wait).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(wait(u32::MAX), 60_000);
    }
}
