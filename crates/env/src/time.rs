//! Two clocks, never mixed.
//!
//! [`ServiceClock`] tells the time of the service: arrival, retention, record age, windows, back-off, iterator life. It
//! may be virtual, so that a test moves an hour in a microsecond. [`HostClock`] tells the time of the machine: signature
//! dates, the `Date` header, session expiry, function timeouts, sockets. It is always real.
#![expect(clippy::disallowed_methods, reason = "this module is where the real clocks are read")]

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::activity::Activity;
use crate::virtual_time::VirtualTime;

/// Milliseconds since 1970-01-01T00:00:00Z, the resolution of every AWS timestamp. Never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds * 1000)
    }

    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Whole seconds, rounded down.
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// This moment moved forward by `duration`, saturating.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// This moment moved back by `duration`, not before the epoch.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long `earlier` lies before this moment; zero when it does not.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

fn system_now() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

/// The clock of the service: real, or virtual and moved by hand. Clones are the same clock.
#[derive(Clone)]
pub struct ServiceClock {
    /// `None` for the real time.
    time: Option<VirtualTime>,
    activity: Activity,
}

impl ServiceClock {
    pub fn real() -> Self {
        Self { time: None, activity: Activity::default() }
    }

    /// A clock that stands still at `start` until the returned handle moves it.
    pub fn virtual_at(start: Timestamp) -> (Self, VirtualTime) {
        let time = VirtualTime::at(start);
        (Self { time: Some(time.clone()), activity: Activity::default() }, time)
    }

    pub fn now(&self) -> Timestamp {
        self.time.as_ref().map_or_else(system_now, VirtualTime::now)
    }

    /// What moves the clock; `None` when it is real.
    pub fn virtual_time(&self) -> Option<&VirtualTime> {
        self.time.as_ref()
    }

    /// Where those register who work on behalf of this clock's time.
    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Returns once `now() >= moment`. A step of the wall clock is noticed within a second.
    pub async fn sleep_until(&self, moment: Timestamp) {
        if let Some(time) = &self.time {
            return time.sleep_until(moment).await;
        }
        loop {
            let left = moment.since(system_now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(Duration::from_secs(1))).await;
        }
    }

    /// Counts from this call, not from the first poll.
    pub fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + use<> {
        let (clock, moment) = (self.clone(), self.now().plus(duration));
        async move { clock.sleep_until(moment).await }
    }
}

impl fmt::Debug for ServiceClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.time {
            None => f.write_str("ServiceClock(real)"),
            Some(_) => write!(f, "ServiceClock(virtual, {})", self.now()),
        }
    }
}

/// The clock of the machine.
#[derive(Clone, Debug)]
pub struct HostClock {
    started: Instant,
    fixed: Option<Arc<Mutex<Timestamp>>>,
}

impl HostClock {
    pub fn real() -> Self {
        Self { started: Instant::now(), fixed: None }
    }

    /// A wall clock that stands still at `moment`, for tests of dates and signatures. `monotonic` goes on.
    pub fn fixed_at(moment: Timestamp) -> Self {
        Self { started: Instant::now(), fixed: Some(Arc::new(Mutex::new(moment))) }
    }

    /// Wall-clock time.
    pub fn now(&self) -> Timestamp {
        match &self.fixed {
            None => system_now(),
            Some(fixed) => *fixed.lock().expect("no code panics while holding this lock"),
        }
    }

    /// Wall-clock time in microseconds since the epoch, for measuring between processes of one machine.
    pub fn now_micros(&self) -> u64 {
        match &self.fixed {
            None => {
                let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
            }
            Some(_) => self.now().millis() * 1000,
        }
    }

    /// Time since this clock was made; never goes back.
    pub fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// `future`'s output, or `None` when `limit` passes first.
    pub async fn timeout<F: Future>(&self, limit: Duration, future: F) -> Option<F::Output> {
        tokio::time::timeout(limit, future).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn virtual_sleepers_wake_when_time_reaches_them() {
        let (clock, time) = ServiceClock::virtual_at(Timestamp::from_seconds(100));
        let mut sleep = Box::pin(clock.sleep(Duration::from_secs(5)));
        time.advance(Duration::from_secs(4));
        assert!(futures_util::poll!(&mut sleep).is_pending());
        time.advance(Duration::from_secs(1));
        sleep.await;
        assert_eq!(clock.now(), Timestamp::from_seconds(105));
    }
}
