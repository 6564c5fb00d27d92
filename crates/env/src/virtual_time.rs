//! Time that stands still until it is moved: who sleeps, until when, and who was woken but has not noticed yet.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::time::Timestamp;

/// Moves a virtual [`crate::ServiceClock`].
#[derive(Clone)]
pub struct VirtualTime(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    now: Timestamp,
    next_id: u64,
    sleepers: BTreeMap<Key, Sleeper>,
    /// Tasks that the last move of the clock woke, until they sleep again.
    awake: Vec<Waker>,
}

/// Sleepers in the order in which time reaches them; those of one moment in the order in which they fell asleep.
type Key = (Timestamp, u64);

struct Sleeper {
    waker: Waker,
    /// Woken long ago without an answer: nobody waits for it any more.
    stalled: bool,
}

impl VirtualTime {
    pub(crate) fn at(start: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(State { now: start, ..State::default() })))
    }

    pub fn now(&self) -> Timestamp {
        self.lock().now
    }

    pub fn advance(&self, duration: Duration) {
        let moment = self.now().plus(duration);
        self.set(moment);
    }

    /// Sets the clock, backwards too: a test of clock steps needs that. Gives the number of sleepers that it wakes.
    pub fn set(&self, moment: Timestamp) -> usize {
        let woken: Vec<Waker> = {
            let mut state = self.lock();
            let before = std::mem::replace(&mut state.now, moment);
            let reached = state.sleepers.range((before, u64::MAX)..=(before.max(moment), u64::MAX));
            let woken: Vec<_> = reached.map(|(_, sleeper)| sleeper.waker.clone()).collect();
            state.awake.clone_from(&woken);
            woken
        };
        let count = woken.len();
        woken.into_iter().for_each(Waker::wake);
        count
    }

    /// The moment at which the next sleeper is woken.
    pub fn next_timer(&self) -> Option<Timestamp> {
        let state = self.lock();
        let now = state.now;
        state.sleepers.range((now, u64::MAX)..).map(|((moment, _), _)| *moment).find(|moment| *moment > now)
    }

    /// Sleepers whose moment has come and that have not taken notice yet: their tasks have still to run.
    pub fn woken(&self) -> usize {
        let state = self.lock();
        state.sleepers.range(..=(state.now, u64::MAX)).filter(|(_, sleeper)| !sleeper.stalled).count()
    }

    /// Leaves those that [`VirtualTime::woken`] counts now out of it for ever: nobody looks after their tasks, such as the
    /// answer to a client that has stopped reading.
    pub fn give_up_woken(&self) {
        let mut state = self.lock();
        let now = state.now;
        state.sleepers.range_mut(..=(now, u64::MAX)).for_each(|(_, sleeper)| sleeper.stalled = true);
    }

    /// How many of those that the last move of the clock woke do not sleep again. Some never will.
    pub fn awake(&self) -> usize {
        self.lock().awake.len()
    }

    pub(crate) fn sleep_until(&self, moment: Timestamp) -> Sleep {
        Sleep { time: self.clone(), moment, id: None }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no code panics while holding this lock")
    }
}

impl fmt::Debug for VirtualTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        write!(f, "VirtualTime({}, {} sleepers)", state.now, state.sleepers.len())
    }
}

/// Completes once the clock shows `moment` or later.
pub(crate) struct Sleep {
    time: VirtualTime,
    moment: Timestamp,
    id: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let time = self.time.clone();
        let mut state = time.lock();
        if state.now >= self.moment {
            if let Some(id) = self.id.take() {
                state.sleepers.remove(&(self.moment, id));
            }
            return Poll::Ready(());
        }
        let id = *self.id.get_or_insert_with(|| {
            state.next_id += 1;
            state.next_id
        });
        state.awake.retain(|woken| !woken.will_wake(context.waker()));
        state.sleepers.insert((self.moment, id), Sleeper { waker: context.waker().clone(), stalled: false });
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.time.lock().sleepers.remove(&(self.moment, id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleepers_are_known_until_they_have_noticed() {
        let time = VirtualTime::at(Timestamp::from_seconds(100));
        let mut near = Box::pin(time.sleep_until(Timestamp::from_seconds(110)));
        let mut far = Box::pin(time.sleep_until(Timestamp::from_seconds(120)));
        assert_eq!(time.next_timer(), None, "nobody sleeps before the first poll");
        assert!(futures_util::poll!(&mut near).is_pending() && futures_util::poll!(&mut far).is_pending());
        assert_eq!(time.next_timer(), Some(Timestamp::from_seconds(110)));

        assert_eq!(time.set(Timestamp::from_seconds(110)), 1);
        assert_eq!((time.woken(), time.next_timer()), (1, Some(Timestamp::from_seconds(120))));
        assert!(futures_util::poll!(&mut near).is_ready());
        assert_eq!(time.woken(), 0);

        drop(far);
        assert_eq!(time.next_timer(), None);
    }

    #[test]
    fn who_was_woken_is_awake_until_the_same_task_sleeps_again() {
        struct Task;
        impl std::task::Wake for Task {
            fn wake(self: Arc<Self>) {}
        }
        let time = VirtualTime::at(Timestamp::EPOCH);
        let [woken, other] = [(); 2].map(|()| Waker::from(Arc::new(Task)));
        let fall_asleep = |waker: &Waker, seconds| {
            let mut sleep = Box::pin(time.sleep_until(Timestamp::from_seconds(seconds)));
            assert!(sleep.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
            sleep
        };
        let first = fall_asleep(&woken, 1);
        time.set(Timestamp::from_seconds(1));
        drop(first);
        let others = [fall_asleep(&other, 2), fall_asleep(&other, 2)];
        assert_eq!(time.awake(), 1, "sleeps of others do not count");
        let again = fall_asleep(&woken, 2);
        assert_eq!(time.awake(), 0);
        time.set(Timestamp::from_seconds(2));
        assert_eq!(time.awake(), 3);
        drop((others, again));
    }

    #[tokio::test]
    async fn who_does_not_answer_is_given_up() {
        let time = VirtualTime::at(Timestamp::EPOCH);
        let mut stuck = Box::pin(time.sleep_until(Timestamp::from_seconds(1)));
        assert!(futures_util::poll!(&mut stuck).is_pending());
        time.advance(Duration::from_secs(1));
        time.give_up_woken();
        assert_eq!(time.woken(), 0);
        assert!(futures_util::poll!(&mut stuck).is_ready());
    }
}
