//! What follows from an attempt: pure.

use std::time::Duration;

use millstream_env::Timestamp;
use serde::{Deserialize, Serialize};

use crate::invoke::Outcome;

/// Waits after a function error: two retries (AWS's default).
const FAILURE_PAUSES: [Duration; 2] = [Duration::from_mins(1), Duration::from_mins(2)];
/// First and longest wait after a throttle or a failure of the service.
const DELAY_FIRST: Duration = Duration::from_secs(1);
const DELAY_MAX: Duration = Duration::from_mins(5);
/// How long an event may be in the queue (AWS's default `MaximumEventAgeInSeconds`).
const AGE_MAX: Duration = Duration::from_hours(6);

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

    pub(super) fn after(self, outcome: &Outcome, now: Timestamp) -> Next {
        let mut attempts = self;
        let pause = match outcome {
            Outcome::Ok(_) => return Next::Done,
            Outcome::NotFound(_) => return Next::GiveUp("FunctionNotFound"),
            Outcome::FunctionError { .. } => {
                let Some(pause) = FAILURE_PAUSES.get(self.failures as usize) else {
                    return Next::GiveUp("RetriesExhausted");
                };
                attempts.failures += 1;
                attempts.delays = 0;
                *pause
            }
            Outcome::Throttled { .. } | Outcome::NotPermitted(_) | Outcome::NotReady(_) | Outcome::ServiceError(_) => {
                attempts.delays = self.delays.saturating_add(1);
                DELAY_FIRST.saturating_mul(1 << self.delays.min(16)).min(DELAY_MAX)
            }
        };
        attempts.next = now.plus(pause);
        if attempts.next.since(self.accepted) > AGE_MAX {
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

    /// The waits in seconds that a sequence of outcomes leads to, and the reason of giving up.
    fn run(outcome: &Outcome, times: usize) -> (Vec<u64>, Option<&'static str>) {
        let mut now = Timestamp::from_seconds(1000);
        let mut attempts = Attempts::new(now);
        let mut waits = Vec::new();
        for _ in 0..times {
            match attempts.after(outcome, now) {
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

    #[test]
    fn a_failing_function_gets_two_retries() {
        assert_eq!(run(&failed(), 10), (vec![60, 120], Some("RetriesExhausted")));
        assert_eq!(run(&Outcome::Ok(Bytes::new()), 10), (vec![], None));
    }

    #[test]
    fn throttles_back_off_for_six_hours_and_use_up_no_retry() {
        let throttled = Outcome::Throttled { reason: "ConcurrentInvocationLimitExceeded" };
        let (waits, reason) = run(&throttled, 1000);
        assert_eq!(waits[..10], [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert!((21_300..=21_600).contains(&waits.iter().sum::<u64>()));
        assert_eq!(reason, Some("EventAgeExceeded"));

        let now = Timestamp::from_seconds(0);
        let Next::Retry(attempts) = Attempts::new(now).after(&throttled, now) else { panic!("kept") };
        let Next::Retry(attempts) = attempts.after(&failed(), now) else { panic!("kept") };
        assert_eq!((attempts.failures, attempts.delays), (1, 0));
    }

    #[test]
    fn an_event_for_a_deleted_function_is_given_up() {
        assert_eq!(run(&Outcome::NotFound(String::new()), 3), (vec![], Some("FunctionNotFound")));
    }
}
