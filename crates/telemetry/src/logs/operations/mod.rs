//! One file for each operation or closely related group.

mod describe_log_groups;
mod describe_log_streams;
mod filter_log_events;
mod get_log_events;
mod groups;
mod put_log_events;
mod streams;
#[cfg(test)]
mod tests;

use super::errors::InvalidParameter;

/// Bytes of messages in one answer (CloudWatch Logs model).
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Events in one answer (CloudWatch Logs model).
const ANSWER_EVENTS_MAX: usize = 10_000;
/// Groups or streams in one answer (CloudWatch Logs model).
const DESCRIBED_MAX: usize = 50;

fn invalid_token() -> InvalidParameter {
    InvalidParameter("The specified nextToken is invalid.".to_owned())
}

/// A limit from the wire, which has checked its range.
fn limit(given: Option<i32>, max: usize) -> usize {
    given.map_or(max, |n| usize::try_from(n).unwrap_or(0).clamp(1, max))
}

fn millis(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A time from the wire, where it is a whole number that cannot be negative.
fn time(value: Option<i64>) -> Option<u64> {
    value.map(|value| u64::try_from(value).unwrap_or(0))
}
