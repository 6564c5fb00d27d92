//! The clock of a server.

use std::time::Duration;

use millstream_env::activity::{Kind, Occupied, Standing};
use millstream_env::clock_control::{AdvanceError, Advanced, DrainMode, Target};
use millstream_env::{ClockControl, Timestamp};
use millstream_iam::RequestContext;
use millstream_wire::millstream::error::{AdvanceClockError, DrainError, GetClockError};
use millstream_wire::millstream::{
    Activity, ActivityState, ActivityType, AdvanceClockInput, AdvanceClockOutput, ClockMode, DrainInput, DrainOutput,
    GetClockOutput, op,
};

use crate::operation::{Need, Table};

/// How long a call may take when it does not say.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// How far a drain may move the clock when it does not say.
const DRAIN_ADVANCE_DEFAULT: Duration = Duration::from_hours(24);
/// The furthest that one call moves the clock: longer than the longest retention of a stream. The model has it too.
const ADVANCE_MAX: Duration = Duration::from_hours(366 * 24);
/// Activities that one answer names.
const ACTIVITIES_MAX: usize = 100;
/// What to do when the clock is real.
const CLOCK_IS_REAL: &str =
    "The server's clock is the real one, which cannot be moved. Start the server with --clock virtual --ephemeral.";

pub(super) fn add(table: &mut Table, clock: &ClockControl) {
    table.add::<op::GetClock, _, _>(|context, _| vec![on_clock(context, "GetClock")], {
        let clock = clock.clone();
        move |_, _| std::future::ready(Ok::<_, GetClockError>(get(&clock)))
    });
    table.add::<op::AdvanceClock, _, _>(|context, _| vec![on_clock(context, "AdvanceClock")], {
        let clock = clock.clone();
        move |_, input| {
            let clock = clock.clone();
            async move { advance(&clock, &input).await }
        }
    });
    table.add::<op::Drain, _, _>(drain_needs, {
        let clock = clock.clone();
        move |_, input| {
            let clock = clock.clone();
            async move { drain(&clock, &input).await }
        }
    });
}

fn on_clock(context: &RequestContext, operation: &str) -> Need {
    Need::new(format!("millstream:{operation}"), context.scope.arn("millstream", "clock"))
}

fn drain_needs(context: &RequestContext, input: &DrainInput) -> Vec<Need> {
    let mut needs = vec![on_clock(context, "Drain")];
    if input.advance_clock == Some(true) {
        needs.push(on_clock(context, "AdvanceClock"));
    }
    needs
}

fn get(clock: &ClockControl) -> GetClockOutput {
    let mode = if clock.is_virtual() { ClockMode::Virtual } else { ClockMode::Real };
    GetClockOutput { mode, now: clock.now(), next_timer: clock.next_timer() }
}

async fn advance(clock: &ClockControl, input: &AdvanceClockInput) -> Result<AdvanceClockOutput, AdvanceClockError> {
    if !clock.is_virtual() {
        return Err(AdvanceClockError::ClockIsReal(CLOCK_IS_REAL.to_owned()));
    }
    let target = target(clock.now(), input).map_err(AdvanceClockError::Validation)?;
    let advanced = clock.advance(target, timeout(input.timeout_seconds)).await.map_err(|error| match error {
        AdvanceError::Real => AdvanceClockError::ClockIsReal(CLOCK_IS_REAL.to_owned()),
        AdvanceError::Backwards { now, .. } => AdvanceClockError::Validation(backwards(now)),
    })?;
    Ok(AdvanceClockOutput {
        now: advanced.now,
        timers_fired: count(advanced.timers_fired),
        reached: advanced.reached,
        activities: Some(activities(&advanced)),
    })
}

async fn drain(clock: &ClockControl, input: &DrainInput) -> Result<DrainOutput, DrainError> {
    let mode = match (input.advance_clock, input.maximum_advance_seconds) {
        (Some(true), max) => DrainMode::Advance { max: max.map_or(DRAIN_ADVANCE_DEFAULT, seconds) },
        (_, None) => DrainMode::Wait,
        (_, Some(_)) => {
            let text = "MaximumAdvanceSeconds has no meaning without AdvanceClock: the clock is not moved.";
            return Err(DrainError::Validation(text.to_owned()));
        }
    };
    let drained = clock.drain(mode, timeout(input.timeout_seconds)).await;
    // A drain never moves the clock back.
    let drained = drained.map_err(|_| DrainError::ClockIsReal(CLOCK_IS_REAL.to_owned()))?;
    Ok(DrainOutput {
        drained: drained.reached,
        now: drained.now,
        timers_fired: count(drained.timers_fired),
        activities: Some(activities(&drained)),
    })
}

/// Where the clock is to go, from exactly one of the three members.
fn target(now: Timestamp, input: &AdvanceClockInput) -> Result<Target, String> {
    match (input.seconds, input.milliseconds, input.until) {
        (Some(by), None, None) => Ok(Target::By(seconds(by))),
        (None, Some(by), None) => Ok(Target::By(Duration::from_millis(by.try_into().unwrap_or_default()))),
        (None, None, Some(until)) if until < now => Err(backwards(now)),
        (None, None, Some(until)) if until.since(now) > ADVANCE_MAX => {
            Err("Until lies more than 366 days ahead, which is too far for one call.".to_owned())
        }
        (None, None, Some(until)) => Ok(Target::Until(until)),
        _ => Err("Give exactly one of Seconds, Milliseconds and Until.".to_owned()),
    }
}

fn backwards(now: Timestamp) -> String {
    format!("Until lies before the present time, {now}; the clock only moves forward.")
}

/// The model admits no negative numbers.
fn seconds(number: i32) -> Duration {
    Duration::from_secs(number.try_into().unwrap_or_default())
}

fn timeout(wanted: Option<i32>) -> Duration {
    wanted.map_or(TIMEOUT_DEFAULT, seconds)
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What was going on at the end: those at work first.
fn activities(advanced: &Advanced) -> Vec<Activity> {
    let mut occupied: Vec<&Occupied> = advanced.occupied.iter().collect();
    occupied.sort_by_key(|occupied| match occupied.standing {
        Standing::Busy(_) | Standing::Idle => (0, Timestamp::EPOCH),
        Standing::Blocked(_) => (1, Timestamp::EPOCH),
        Standing::Waiting { until, .. } => (2, until),
    });
    let requests = (advanced.requests > 0).then(|| Activity {
        r#type: Some(ActivityType::Request),
        state: Some(ActivityState::Busy),
        reason: Some(format!("{} requests are being worked on", advanced.requests)),
        ..Activity::default()
    });
    requests.into_iter().chain(occupied.into_iter().map(activity)).take(ACTIVITIES_MAX).collect()
}

fn activity(occupied: &Occupied) -> Activity {
    let (state, reason, until) = match occupied.standing {
        Standing::Idle => (ActivityState::Busy, "", None),
        Standing::Busy(what) => (ActivityState::Busy, what, None),
        Standing::Blocked(why) => (ActivityState::Blocked, why, None),
        Standing::Waiting { until, why } => (ActivityState::Waiting, why, Some(until)),
    };
    let subject = &occupied.subject;
    Activity {
        r#type: Some(match subject.kind {
            Kind::Mapping => ActivityType::EventSourceMapping,
            Kind::AsynchronousInvocation => ActivityType::AsynchronousInvocation,
        }),
        id: (!subject.id.is_empty()).then(|| subject.id.to_string()),
        shard_id: subject.part.clone(),
        state: Some(state),
        reason: Some(reason.to_owned()),
        until,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    fn check(input: &AdvanceClockInput, expected: Result<Target, &str>) {
        match (target(NOW, input), expected) {
            (Ok(target), Ok(expected)) => assert_eq!(target, expected),
            (Err(text), Err(part)) => assert!(text.contains(part), "{text}"),
            (found, expected) => panic!("{input:?} gives {found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn exactly_one_target_is_given() {
        let none = AdvanceClockInput::default;
        check(&none(), Err("exactly one"));
        check(&AdvanceClockInput { seconds: Some(1), milliseconds: Some(1), ..none() }, Err("exactly one"));
        check(&AdvanceClockInput { seconds: Some(2), ..none() }, Ok(Target::By(Duration::from_secs(2))));
        check(&AdvanceClockInput { milliseconds: Some(2), ..none() }, Ok(Target::By(Duration::from_millis(2))));
        check(&AdvanceClockInput { until: Some(NOW), ..none() }, Ok(Target::Until(NOW)));
        let before = NOW.minus(Duration::from_millis(1));
        check(&AdvanceClockInput { until: Some(before), ..none() }, Err("only moves forward"));
        let far = NOW.plus(ADVANCE_MAX).plus(Duration::from_millis(1));
        check(&AdvanceClockInput { until: Some(far), ..none() }, Err("366 days"));
    }
}
