//! Moves a virtual clock through every timer in order, and waits until everything is at rest.
//!
//! Time jumps to the moment of the next sleeper, everybody it wakes does what there is to do, then it jumps to the next:
//! retries, windows and expiries happen at their own moments, not all at the end. The longest part of a step is the wait for
//! functions that are invoked. Each call is bounded by a time of the host and by [`STEPS_MAX`].

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::activity::{Activity, Occupied, Scope};
use crate::time::{HostClock, ServiceClock, Timestamp};
use crate::virtual_time::VirtualTime;

/// Timers' moments that one call goes through at most: a timer every minute for a year, and as many again.
pub const STEPS_MAX: u64 = 1_000_000;
/// How long everything has to stay at rest after somebody has worked, so that tasks which are no party of
/// [`Activity`] (a stream's transitions, a catalog's watches) have run as well.
const QUIET: Duration = Duration::from_millis(2);
/// The same after only sleepers were woken that are no party, in turns of the scheduler: most of them sleep again at once,
/// and then no more turns are needed.
const QUIET_TURNS: u32 = 100;
/// A sleeper that does not react for so long belongs to nobody who runs.
const STALLED: Duration = Duration::from_secs(1);
/// Looks in quick succession before a longer pause between them.
const QUICK_LOOKS: u32 = 32;
const PAUSE: Duration = Duration::from_millis(1);

/// Reads and moves the clock of a server. Clones are the same.
#[derive(Clone, Debug)]
pub struct ClockControl {
    clock: ServiceClock,
    host_clock: HostClock,
    /// Held by the call that moves the clock.
    turn: Arc<Mutex<()>>,
}

/// How far the clock was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advanced {
    pub now: Timestamp,
    /// Sleepers that were woken.
    pub timers_fired: u64,
    /// Whether the target was reached and everything came to rest there, before a limit.
    pub reached: bool,
    /// Who was at work or waited at the end.
    pub occupied: Vec<Occupied>,
    /// Requests that were being worked on at the end.
    pub requests: u64,
}

/// The clock was not moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdvanceError {
    #[error("the clock is real")]
    Real,
    #[error("{target} lies before {now}")]
    Backwards { now: Timestamp, target: Timestamp },
}

/// Where to move the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    By(Duration),
    Until(Timestamp),
}

/// What a drain may do to come to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainMode {
    /// Wait only: a wait for a moment of service time is rest.
    Wait,
    /// Move the clock to the moments that parties wait for, at most so far in all.
    Advance { max: Duration },
}

impl ClockControl {
    pub fn new(clock: ServiceClock, host_clock: HostClock) -> Self {
        Self { clock, host_clock, turn: Arc::default() }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn is_virtual(&self) -> bool {
        self.clock.virtual_time().is_some()
    }

    /// The moment of the next sleeper on a virtual clock.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.clock.virtual_time().and_then(VirtualTime::next_timer)
    }

    pub fn activity(&self) -> &Activity {
        self.clock.activity()
    }

    /// Moves a virtual clock to `target`, through every timer in order, within `limit` of host time. Requests are not waited
    /// for: they may come all the time.
    pub async fn advance(&self, target: Target, limit: Duration) -> Result<Advanced, AdvanceError> {
        let time = self.clock.virtual_time().ok_or(AdvanceError::Real)?;
        let mut run = Run::new(self, Scope::Parties, limit);
        let Some(_turn) = self.host_clock.timeout(limit, self.turn.lock()).await else { return Ok(run.ended(false)) };
        let now = time.now();
        let target = match target {
            Target::By(duration) => now.plus(duration),
            Target::Until(target) if target < now => return Err(AdvanceError::Backwards { now, target }),
            Target::Until(target) => target,
        };
        let reached = run.settle(None).await && run.advance_to(time, target).await;
        Ok(run.ended(reached))
    }

    /// Waits until everything is at rest, within `limit` of host time.
    pub async fn drain(&self, mode: DrainMode, limit: Duration) -> Result<Advanced, AdvanceError> {
        let mut run = Run::new(self, Scope::Everything, limit);
        let DrainMode::Advance { max } = mode else {
            let rests = run.settle(None).await;
            return Ok(run.ended(rests));
        };
        let time = self.clock.virtual_time().ok_or(AdvanceError::Real)?;
        let Some(_turn) = self.host_clock.timeout(limit, self.turn.lock()).await else { return Ok(run.ended(false)) };
        let last = time.now().plus(max);
        let mut rests = run.settle(None).await;
        while rests && let Some(moment) = self.activity().next_moment(time.now()) {
            rests = moment <= last && run.advance_to(time, moment).await;
        }
        Ok(run.ended(rests))
    }
}

/// One call that is being worked on.
struct Run<'a> {
    control: &'a ClockControl,
    scope: Scope,
    /// On the host's monotonic clock.
    deadline: Duration,
    steps: u64,
    timers_fired: u64,
}

impl<'a> Run<'a> {
    fn new(control: &'a ClockControl, scope: Scope, limit: Duration) -> Self {
        let deadline = control.host_clock.monotonic().saturating_add(limit);
        Self { control, scope, deadline, steps: 0, timers_fired: 0 }
    }

    fn ended(&self, reached: bool) -> Advanced {
        let (now, activity) = (self.control.now(), self.control.activity());
        let requests = activity.requests();
        Advanced { now, timers_fired: self.timers_fired, reached, occupied: activity.occupied(now), requests }
    }

    /// `false` when a limit came first; time then stands where it got to.
    async fn advance_to(&mut self, time: &VirtualTime, target: Timestamp) -> bool {
        while let Some(moment) = time.next_timer().filter(|moment| *moment <= target) {
            if !self.step(time, moment).await {
                return false;
            }
        }
        time.now() >= target || self.step(time, target).await
    }

    async fn step(&mut self, time: &VirtualTime, moment: Timestamp) -> bool {
        if self.steps == STEPS_MAX || self.control.host_clock.monotonic() >= self.deadline {
            return false;
        }
        self.steps += 1;
        let generation = self.control.activity().generation(self.scope);
        self.timers_fired += u64::try_from(time.set(moment)).unwrap_or(u64::MAX);
        self.settle(Some(generation)).await
    }

    /// Waits until nobody is at work any more. `before` is the generation in which everything was at rest last: when nobody
    /// has begun to work since, a short look is enough.
    async fn settle(&mut self, before: Option<u64>) -> bool {
        let (mut looks, mut woken_since) = (0, None);
        while !self.stays_quiet(before).await {
            let now = self.control.host_clock.monotonic();
            if now >= self.deadline {
                return false;
            }
            self.give_up_stalled(&mut woken_since, now);
            looks += 1;
            if looks < QUICK_LOOKS {
                tokio::task::yield_now().await;
            } else {
                self.control.host_clock.sleep(PAUSE).await;
            }
        }
        true
    }

    async fn stays_quiet(&self, before: Option<u64>) -> bool {
        let Some(generation) = self.quiet_generation() else { return false };
        if before == Some(generation) {
            self.turns().await;
        } else {
            self.control.host_clock.sleep(QUIET).await;
        }
        self.quiet_generation() == Some(generation)
    }

    async fn turns(&self) {
        for _ in 0..QUIET_TURNS {
            tokio::task::yield_now().await;
            if self.control.clock.virtual_time().is_none_or(|time| time.awake() == 0) {
                return;
            }
        }
    }

    /// The generation in which all were at rest at one moment.
    fn quiet_generation(&self) -> Option<u64> {
        let activity = self.control.activity();
        let generation = activity.generation(self.scope);
        let quiet = self.woken() == 0
            && activity.is_quiet(self.scope, self.control.now())
            && activity.generation(self.scope) == generation;
        quiet.then_some(generation)
    }

    fn give_up_stalled(&self, woken_since: &mut Option<Duration>, now: Duration) {
        if self.woken() == 0 {
            *woken_since = None;
        } else if now.saturating_sub(*woken_since.get_or_insert(now)) >= STALLED {
            *woken_since = None;
            if let Some(time) = self.control.clock.virtual_time() {
                time.give_up_woken();
            }
        }
    }

    fn woken(&self) -> usize {
        self.control.clock.virtual_time().map_or(0, VirtualTime::woken)
    }
}

#[cfg(test)]
mod tests;
