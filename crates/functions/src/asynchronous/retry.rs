//! What follows from an attempt: pure.

use std::time::Duration;

use millstream_env::Timestamp;
use serde::{Deserialize, Serialize};

use crate::invoke::Outcome;
use crate::invoke_config::Bounds;

/// Waits after a function error, before the first and the second retry.
const FAILURE_PAUSES: [Duration; 2] = [Duration::from_mins(1), Duration::from_mins(2)];
/// First and longest wait after a throttle or a failure of the service.
const DELAY_FIRST: Duration = Duration::from_secs(1);
const DELAY_MAX: Duration = Duration::from_mins(5);

const RETRIES_EXHAUSTED: &str = "RetriesExhausted";

/// What has happened to an event so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempts {
    #[serde(with = "millis")]
    pub(super) accepted: Timestamp,
    /// When it is due.
    #[serde(with = "millis")]
    pub(super) next: Timestamp,
    /// Function errors.
    failures: u32,
    /// Attempts that did not reach the function since the last one that did.
    delays: u32,
}

/// What to do with an event after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It succeeded.
    Done,
    Retry(Attempts),
    /// It is given up, for AWS's reason.
    GiveUp(&'static str),
}

impl Attempts {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { accepted: now, next: now, failures: 0, delays: 0 }
    }

    /// How often the function has run, the attempt that ended with `outcome` included.
    pub(super) fn runs(self, outcome: &Outcome) -> u32 {
        self.failures + u32::from(matches!(outcome, Outcome::Ok(_) | Outcome::FunctionError { .. }))
    }

    /// `is_off` says that the function is switched off by a reservation of nothing: waiting would not help.
    pub(super) fn after(self, outcome: &Outcome, bounds: Bounds, is_off: bool, now: Timestamp) -> Next {
        let mut attempts = self;
        let pause = match outcome {
            Outcome::Ok(_) => return Next::Done,
            Outcome::NotFound(_) => return Next::GiveUp("FunctionNotFound"),
            Outcome::FunctionError { .. } => {
                let pause = FAILURE_PAUSES.get(self.failures as usize).filter(|_| self.failures < bounds.retries);
                let Some(pause) = pause else { return Next::GiveUp(RETRIES_EXHAUSTED) };
                attempts.failures += 1;
                attempts.delays = 0;
                *pause
            }
            Outcome::Throttled { .. } if is_off => return Next::GiveUp(RETRIES_EXHAUSTED),
            Outcome::Throttled { .. } | Outcome::NotPermitted(_) | Outcome::NotReady(_) | Outcome::ServiceError(_) => {
                attempts.delays = self.delays.saturating_add(1);
                DELAY_FIRST.saturating_mul(1 << self.delays.min(16)).min(DELAY_MAX)
            }
        };
        attempts.next = now.plus(pause);
        if attempts.next.since(self.accepted) > bounds.age {
            Next::GiveUp("EventAgeExceeded")
        } else {
            Next::Retry(attempts)
        }
    }
}

mod millis {
    use millstream_env::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
    pub(super) fn serialize<S: Serializer>(moment: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(moment.millis())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        u64::deserialize(deserializer).map(Timestamp::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::invoke::FunctionErrorKind;

    fn failed() -> Outcome {
        Outcome::FunctionError { kind: FunctionErrorKind::Handler, payload: Bytes::new() }
    }

    fn bounds(retries: u32, age: Duration) -> Bounds {
        Bounds { retries, age }
    }

    /// The waits in seconds that a sequence of outcomes leads to, and the reason of giving up.
    fn run(outcome: &Outcome, bounds: Bounds, times: usize) -> (Vec<u64>, Option<&'static str>) {
        let mut now = Timestamp::from_seconds(1000);
        let mut attempts = Attempts::new(now);
        let mut waits = Vec::new();
        for _ in 0..times {
            match attempts.after(outcome, bounds, false, now) {
                Next::Done => return (waits, None),
                Next::GiveUp(reason) => return (waits, Some(reason)),
                Next::Retry(next) => {
                    waits.push(next.next.since(now).as_secs());
                    now = next.next;
                    attempts = next;
                }
            }
        }
        (waits, None)
    }

    const AGE: Duration = Duration::from_hours(6);

    #[test]
    fn a_failing_function_gets_as_many_retries_as_configured() {
        assert_eq!(run(&failed(), bounds(2, AGE), 10), (vec![60, 120], Some("RetriesExhausted")));
        assert_eq!(run(&failed(), bounds(1, AGE), 10), (vec![60], Some("RetriesExhausted")));
        assert_eq!(run(&failed(), bounds(0, AGE), 10), (vec![], Some("RetriesExhausted")));
        let minute = Duration::from_mins(1);
        assert_eq!(run(&failed(), bounds(2, minute), 10), (vec![60], Some("EventAgeExceeded")));
        assert_eq!(run(&Outcome::Ok(Bytes::new()), bounds(2, AGE), 10), (vec![], None));
    }

    #[test]
    fn throttles_back_off_until_the_age_and_use_up_no_retry() {
        let throttled = Outcome::Throttled { reason: "ConcurrentInvocationLimitExceeded" };
        let (waits, reason) = run(&throttled, bounds(2, AGE), 1000);
        assert_eq!(waits[..10], [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert!((21_300..=21_600).contains(&waits.iter().sum::<u64>()));
        assert_eq!(reason, Some("EventAgeExceeded"));

        let (now, bounds) = (Timestamp::from_seconds(0), bounds(2, AGE));
        let Next::Retry(attempts) = Attempts::new(now).after(&throttled, bounds, false, now) else { panic!("kept") };
        let Next::Retry(attempts) = attempts.after(&failed(), bounds, false, now) else { panic!("kept") };
        assert_eq!((attempts.failures, attempts.delays), (1, 0));
        assert_eq!((attempts.runs(&throttled), attempts.runs(&failed())), (1, 2));
        assert_eq!(attempts.after(&throttled, bounds, true, now), Next::GiveUp("RetriesExhausted"));
    }

    #[test]
    fn an_event_for_a_deleted_function_is_given_up() {
        let gone = Outcome::NotFound(String::new());
        assert_eq!(run(&gone, bounds(2, AGE), 3), (vec![], Some("FunctionNotFound")));
    }
}
