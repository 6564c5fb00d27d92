use std::sync::Mutex as StdMutex;

use super::*;
use crate::Tasks;
use crate::activity::{Kind, Standing, Subject};

const START: Timestamp = Timestamp::from_seconds(1_000);
const LIMIT: Duration = Duration::from_secs(20);

fn control() -> ClockControl {
    ClockControl::new(ServiceClock::virtual_at(START).0, HostClock::real())
}

fn subject(id: &str) -> Subject {
    Subject { kind: Kind::Mapping, id: id.into(), part: None }
}

/// A task that, as a mapping does, waits longer after each failure, and notes when it tried.
fn back_off(control: &ClockControl, tasks: &Tasks, attempts: u32) -> Arc<StdMutex<Vec<u64>>> {
    let seen = Arc::new(StdMutex::new(Vec::new()));
    let (clock, noted) = (control.clock.clone(), Arc::clone(&seen));
    let party = clock.activity().register(subject("back-off"));
    tasks.spawn(async move {
        for attempt in 0..attempts {
            let until = clock.now().plus(Duration::from_secs(1 << attempt));
            party.park(Standing::Waiting { until, why: "retry" }, None, clock.sleep_until(until)).await;
            // Work that takes host time: the clock must not go on meanwhile.
            HostClock::real().sleep(Duration::from_millis(3)).await;
            noted.lock().unwrap().push(clock.now().since(START).as_secs());
        }
    });
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_timer_fires_at_its_own_moment() {
    let (control, tasks) = (control(), Tasks::new());
    let seen = back_off(&control, &tasks, 6);
    let advanced = control.advance(Target::By(Duration::from_hours(24)), LIMIT).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [1, 3, 7, 15, 31, 63]);
    assert_eq!((advanced.timers_fired, advanced.reached), (6, true));
    assert_eq!(advanced.now, START.plus(Duration::from_hours(24)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_moves_to_what_parties_wait_for_and_no_further() {
    let (control, tasks) = (control(), Tasks::new());
    let seen = back_off(&control, &tasks, 4);
    let housekeeping = control.clock.sleep(Duration::from_hours(1));
    tasks.spawn(housekeeping);
    let waited = control.drain(DrainMode::Wait, LIMIT).await.unwrap();
    assert!(waited.reached && waited.occupied.len() == 1, "waiting for a moment is rest: {waited:?}");
    assert_eq!(waited.now, START);

    let short = control.drain(DrainMode::Advance { max: Duration::from_secs(4) }, LIMIT).await.unwrap();
    assert!(!short.reached, "the third attempt lies further away: {short:?}");
    assert_eq!(*seen.lock().unwrap(), [1, 3]);

    let whole = control.drain(DrainMode::Advance { max: Duration::from_secs(100) }, LIMIT).await.unwrap();
    assert!(whole.reached && whole.occupied.is_empty());
    assert_eq!(whole.now, START.plus(Duration::from_secs(15)));
}

#[tokio::test]
async fn who_never_rests_is_named_when_the_limit_comes() {
    let control = control();
    let party = control.activity().register(subject("busy"));
    let limit = Duration::from_millis(20);
    let advanced = control.advance(Target::By(Duration::from_secs(1)), limit).await.unwrap();
    assert!(!advanced.reached);
    assert_eq!((advanced.now, &*advanced.occupied[0].subject.id), (START, "busy"));
    drop(party);
    let _request = control.activity().request();
    assert!(!control.drain(DrainMode::Wait, limit).await.unwrap().reached, "a request is worked on");
    assert!(control.advance(Target::By(Duration::from_secs(1)), LIMIT).await.unwrap().reached);
}

#[tokio::test]
async fn time_moves_forward_and_only_when_it_is_virtual() {
    let virtual_control = control();
    let back = Target::Until(START.minus(Duration::from_secs(1)));
    assert!(matches!(virtual_control.advance(back, LIMIT).await, Err(AdvanceError::Backwards { .. })));
    let real = ClockControl::new(ServiceClock::real(), HostClock::real());
    assert_eq!(real.advance(Target::By(Duration::ZERO), LIMIT).await, Err(AdvanceError::Real));
    let moving = DrainMode::Advance { max: Duration::ZERO };
    assert_eq!(real.drain(moving, LIMIT).await, Err(AdvanceError::Real));
    assert!(real.drain(DrainMode::Wait, LIMIT).await.unwrap().reached);
}

/// On one thread, where a task that was woken runs on until it sleeps again.
#[tokio::test]
async fn a_day_of_minute_timers_takes_a_blink() {
    let (control, tasks) = (control(), Tasks::new());
    let clock = control.clock.clone();
    tasks.spawn_dropped_on_cancel(async move {
        loop {
            clock.sleep(Duration::from_mins(1)).await;
        }
    });
    let advanced = control.advance(Target::By(Duration::from_hours(24)), LIMIT).await.unwrap();
    assert_eq!((advanced.reached, advanced.timers_fired), (true, 1440), "{advanced:?}");
    tasks.cancel();
}

#[tokio::test]
async fn a_party_whose_moment_has_come_is_waited_for_until_the_limit() {
    let control = control();
    let party = control.activity().register(subject("late"));
    let until = START.plus(Duration::from_secs(5));
    let wait = control.clock.sleep_until(until);
    // The clock is moved before the task gets as far as to sleep.
    let mut parked = Box::pin(party.park(Standing::Waiting { until, why: "retry" }, None, async {
        tokio::task::yield_now().await;
        wait.await;
    }));
    assert!(futures_util::poll!(&mut parked).is_pending());
    let mode = DrainMode::Advance { max: Duration::from_secs(10) };
    let drained = control.drain(mode, Duration::from_millis(20)).await.unwrap();
    assert_eq!((drained.reached, drained.now), (false, until));
    assert_eq!(drained.occupied[0].standing, Standing::Busy("about to work"));
    parked.await;
}

#[tokio::test]
async fn a_limit_holds_where_everybody_rests_at_once() {
    let (control, tasks) = (control(), Tasks::new());
    let clock = control.clock.clone();
    tasks.spawn_dropped_on_cancel(async move {
        loop {
            clock.sleep(Duration::from_millis(1)).await;
        }
    });
    let most = Duration::from_millis(STEPS_MAX);
    let advanced = control.advance(Target::By(most), Duration::from_millis(10)).await.unwrap();
    assert!(!advanced.reached && advanced.now < START.plus(most), "{advanced:?}");
    tasks.cancel();
}

#[tokio::test]
async fn a_sleeper_that_nobody_polls_does_not_hold_the_clock_up() {
    let control = control();
    let mut stuck = Box::pin(control.clock.sleep(Duration::from_secs(5)));
    assert!(futures_util::poll!(&mut stuck).is_pending());
    let advanced = control.advance(Target::By(Duration::from_secs(10)), LIMIT).await.unwrap();
    assert!(advanced.reached);
}
