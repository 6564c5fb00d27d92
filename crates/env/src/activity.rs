//! Who is at work on behalf of service time: what has to be at rest before a virtual clock may be moved on.
//!
//! A *party* is a task that waits for events and works on them, such as the worker of a mapping's shard. It is at work
//! from its registration on, except while it is parked: the future that it waits with ([`Party::park`]) marks it as at work
//! before each poll and as parked after one that is pending, so there is no moment between "woken" and "working" for the
//! task itself. What lies before, an event that was announced to a task that has not run since, is covered twice: sleepers
//! of virtual time are known until they are polled ([`crate::VirtualTime::woken`]), and a party says with `unseen` how to
//! see, from outside, whether what it waits for has come (the version of a tail, orders, messages that nobody took).
//!
//! Whoever looks takes the [`Activity::generation`], finds everybody at rest, and takes it again. If it is the same, nobody
//! began anything in between, so all were at rest at one moment. Nothing is sent to lookers: a party pays for a wait an
//! uncontended lock and for each poll two stores in a place of its own, a request two atomic additions.
//!
//! How a worker uses it:
//!
//! ```ignore
//! let party = clock.activity().register(Subject { kind: Kind::Mapping, id, part });
//! loop {
//!     // In flight: Busy. Nothing to do: Idle. Waiting for a moment: Waiting. What came since the last look: `unseen`.
//!     let event = party.park(standing, unseen, next_event()).await;
//!     handle(event).await; // at work
//! }
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::time::Timestamp;

/// All parties and requests of one server. Clones are the same.
#[derive(Clone, Default)]
pub struct Activity(Arc<Inner>);

#[derive(Default)]
struct Inner {
    parties: Mutex<Parties>,
    requests: AtomicU64,
    requests_begun: AtomicU64,
}

#[derive(Default)]
struct Parties {
    all: BTreeMap<u64, Arc<Shared>>,
    next_id: u64,
    /// The turns of those that are there no more.
    past_turns: u64,
}

/// What kind of work a party does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An event source mapping: as a whole, or one of its shards.
    Mapping,
    /// Asynchronous invocations: their queue, or one of them.
    AsynchronousInvocation,
}

/// Which party it is, as a person is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub kind: Kind,
    /// The mapping's UUID, the event's request id; empty for a party that there is only one of.
    pub id: Arc<str>,
    /// The shard, where the party has one.
    pub part: Option<String>,
}

/// What a party that is parked waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is nothing to do.
    Idle,
    /// Something is in flight on its behalf and will end by itself; the text says what.
    Busy(&'static str),
    /// It goes on at a moment of service time.
    Waiting { until: Timestamp, why: &'static str },
    /// It goes on only when somebody does something.
    Blocked(&'static str),
}

/// Says whether something has come that its party has not taken notice of yet. Called from other tasks: quick, without
/// locks that are held for long, and without using the party.
pub type Unseen = Box<dyn Fn() -> bool + Send + Sync>;

/// A party, as somebody who looks found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupied {
    pub subject: Subject,
    pub standing: Standing,
}

/// Whose work counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Parties only: what service time moves.
    Parties,
    /// Requests of the data plane as well.
    Everything,
}

/// On a cache line of its own: it is written at each poll.
#[repr(align(128))]
struct Shared {
    /// Counts each beginning and each end of work, so that it is odd during work. One number, so that a looker who finds it
    /// the same twice knows that nothing happened in between. Only the party's task writes it.
    turns: AtomicU64,
    subject: Subject,
    parked: Mutex<Parked>,
}

struct Parked {
    standing: Standing,
    /// Left there while the party works, when nobody looks at it.
    unseen: Option<Unseen>,
}

impl Activity {
    /// A new party, at work until it parks.
    pub fn register(&self, subject: Subject) -> Party {
        let parked = Mutex::new(Parked { standing: Standing::Busy("working"), unseen: None });
        let shared = Arc::new(Shared { subject, turns: AtomicU64::new(1), parked });
        let mut parties = self.parties();
        let id = parties.next_id;
        parties.next_id += 1;
        parties.all.insert(id, Arc::clone(&shared));
        drop(parties);
        Party { activity: self.clone(), id, shared }
    }

    /// A request of the data plane is worked on until the guard is dropped.
    pub fn request(&self) -> RequestGuard {
        self.0.requests_begun.fetch_add(1, Ordering::SeqCst);
        self.0.requests.fetch_add(1, Ordering::SeqCst);
        RequestGuard(self.clone())
    }

    /// Grows with everything that begins or ends.
    pub fn generation(&self, scope: Scope) -> u64 {
        let parties = {
            let parties = self.parties();
            parties
                .all
                .values()
                .map(|party| party.turns.load(Ordering::SeqCst))
                .fold(parties.past_turns, u64::wrapping_add)
        };
        match scope {
            Scope::Parties => parties,
            Scope::Everything => parties.wrapping_add(self.0.requests_begun.load(Ordering::SeqCst)),
        }
    }

    /// Requests that are being worked on.
    pub fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::SeqCst)
    }

    /// Whether nobody was at work, each at the moment when it was looked at. Who waits for a moment that has come by `now` is
    /// as good as at work.
    pub fn is_quiet(&self, scope: Scope, now: Timestamp) -> bool {
        (scope == Scope::Parties || self.requests() == 0)
            && self.parties().all.values().all(|party| !party.is_busy(now))
    }

    /// The earliest moment after `now` that a party waits for.
    pub fn next_moment(&self, now: Timestamp) -> Option<Timestamp> {
        let parties = self.parties();
        let moments = parties.all.values().filter_map(|party| match party.standing(now) {
            Standing::Waiting { until, .. } => Some(until),
            _ => None,
        });
        moments.min()
    }

    /// Everybody who is not idle.
    pub fn occupied(&self, now: Timestamp) -> Vec<Occupied> {
        let parties = self.parties();
        let all = parties.all.values().map(|p| Occupied { subject: p.subject.clone(), standing: p.standing(now) });
        all.filter(|occupied| occupied.standing != Standing::Idle).collect()
    }

    fn parties(&self) -> MutexGuard<'_, Parties> {
        self.0.parties.lock().expect("no code panics while holding this lock")
    }
}

impl fmt::Debug for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Activity({} parties)", self.parties().all.len())
    }
}

impl Shared {
    /// As seen from outside: a party that has something unseen before it, or whose moment has come, is as good as at work.
    fn standing(&self, now: Timestamp) -> Standing {
        if is_working(self.turns.load(Ordering::SeqCst)) {
            return Standing::Busy("working");
        }
        let parked = self.lock();
        match (&parked.unseen, parked.standing) {
            (_, Standing::Busy(what)) => Standing::Busy(what),
            (_, Standing::Waiting { until, .. }) if until <= now => Standing::Busy("about to work"),
            (Some(unseen), _) if unseen() => Standing::Busy("about to work"),
            (_, standing) => standing,
        }
    }

    fn is_busy(&self, now: Timestamp) -> bool {
        matches!(self.standing(now), Standing::Busy(_))
    }

    /// From now on it is at work, or at rest.
    fn turn(&self, works: bool) {
        let turns = self.turns.load(Ordering::Relaxed);
        if is_working(turns) != works {
            self.turns.store(turns + 1, Ordering::SeqCst);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Parked> {
        self.parked.lock().expect("no code panics while holding this lock")
    }
}

fn is_working(turns: u64) -> bool {
    turns % 2 == 1
}

/// A task that works on behalf of service time; forgotten when dropped.
pub struct Party {
    activity: Activity,
    id: u64,
    shared: Arc<Shared>,
}

impl Party {
    /// Waits with `future`, one at a time: at work during its polls and after it, parked as `standing` says in between.
    pub async fn park<F: Future>(&self, standing: Standing, unseen: Option<Unseen>, future: F) -> F::Output {
        *self.shared.lock() = Parked { standing, unseen };
        let _awake = Awake(self);
        let mut future = pin!(future);
        std::future::poll_fn(|context| {
            self.shared.turn(true);
            let polled = future.as_mut().poll(context);
            if polled.is_pending() {
                self.shared.turn(false);
            }
            polled
        })
        .await
    }
}

/// However the wait ends, also when it is dropped, its party is at work afterwards.
struct Awake<'a>(&'a Party);

impl Drop for Awake<'_> {
    fn drop(&mut self) {
        self.0.shared.turn(true);
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        let mut parties = self.activity.parties();
        parties.all.remove(&self.id);
        // What it did does not become undone, and its end is an event as well.
        let turns = self.shared.turns.load(Ordering::SeqCst);
        parties.past_turns = parties.past_turns.wrapping_add(turns + 1);
    }
}

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Party({:?})", self.shared.subject)
    }
}

/// One request that is worked on.
#[derive(Debug)]
pub struct RequestGuard(Activity);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.0.requests.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;

    fn subject() -> Subject {
        Subject { kind: Kind::Mapping, id: "uuid".into(), part: None }
    }

    #[tokio::test]
    async fn a_party_rests_only_while_parked_with_nothing_unseen() {
        let activity = Activity::default();
        let party = activity.register(subject());
        assert!(!activity.is_quiet(Scope::Parties, Timestamp::EPOCH), "at work from the start");

        let (sender, mut receiver) = watch::channel(0);
        let glimpse = receiver.clone();
        let unseen: Unseen = Box::new(move || glimpse.has_changed().unwrap_or(false));
        let mut wait = Box::pin(party.park(Standing::Idle, Some(unseen), receiver.changed()));
        assert!(!activity.is_quiet(Scope::Parties, Timestamp::EPOCH), "not polled yet");
        assert!(futures_util::poll!(&mut wait).is_pending());
        assert!(activity.is_quiet(Scope::Parties, Timestamp::EPOCH));

        let before = activity.generation(Scope::Parties);
        sender.send_replace(1);
        assert!(!activity.is_quiet(Scope::Parties, Timestamp::EPOCH), "announced, but the task did not run yet");
        assert!(futures_util::poll!(&mut wait).is_ready());
        drop(wait);
        assert!(!activity.is_quiet(Scope::Parties, Timestamp::EPOCH), "at work on what it was woken for");
        assert!(activity.generation(Scope::Parties) > before);
        drop(party);
        assert!(activity.is_quiet(Scope::Parties, Timestamp::EPOCH));
    }

    #[tokio::test]
    async fn what_is_in_flight_and_what_is_waited_for_are_told_apart() {
        let activity = Activity::default();
        let (flying, waiting) = (activity.register(subject()), activity.register(subject()));
        let mut flight = Box::pin(flying.park(Standing::Busy("invoking"), None, std::future::pending::<()>()));
        let until = Timestamp::from_seconds(7);
        let pause = Standing::Waiting { until, why: "retry" };
        let mut pause = Box::pin(waiting.park(pause, None, std::future::pending::<()>()));
        assert!(futures_util::poll!(&mut flight).is_pending() && futures_util::poll!(&mut pause).is_pending());
        assert!(!activity.is_quiet(Scope::Parties, Timestamp::EPOCH));
        assert_eq!(activity.occupied(Timestamp::EPOCH)[0].standing, Standing::Busy("invoking"));
        drop(flight);
        drop(flying);
        assert!(activity.is_quiet(Scope::Parties, Timestamp::EPOCH));
        assert_eq!(activity.next_moment(Timestamp::EPOCH), Some(until));
        assert!(!activity.is_quiet(Scope::Parties, until), "its moment has come, but the task did not run yet");
        assert_eq!(activity.next_moment(until), None);
        drop(pause);
        assert!(
            !activity.is_quiet(Scope::Parties, Timestamp::EPOCH),
            "a wait that was dropped leaves its party at work"
        );
    }

    #[tokio::test]
    async fn what_happens_between_two_looks_is_noticed() {
        let activity = Activity::default();
        let generation = || activity.generation(Scope::Parties);
        let party = activity.register(subject());
        let mut wait = Box::pin(party.park(Standing::Idle, None, std::future::pending::<()>()));
        assert!(futures_util::poll!(&mut wait).is_pending());
        let mut seen = vec![generation()];
        assert!(futures_util::poll!(&mut wait).is_pending());
        seen.push(generation());
        let other = activity.register(subject());
        seen.push(generation());
        drop(other);
        seen.push(generation());
        assert!(seen.is_sorted_by(|before, after| before < after), "{seen:?}");
        assert_eq!(seen.last(), Some(&generation()), "nothing happened");
    }

    /// Of two parties one is always at work: a looker never finds both at rest, in whatever order it looks at them.
    #[test]
    fn who_looks_sees_one_moment() {
        let activity = Activity::default();
        let parties = [activity.register(subject()), activity.register(subject())];
        let has_ended = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                for round in 0..200_000 {
                    parties[round % 2].shared.turn(false);
                    parties[round % 2].shared.turn(true);
                }
                has_ended.store(true, Ordering::SeqCst);
            });
            while !has_ended.load(Ordering::SeqCst) {
                let before = activity.generation(Scope::Parties);
                let is_quiet = activity.is_quiet(Scope::Parties, Timestamp::EPOCH);
                assert!(!(is_quiet && activity.generation(Scope::Parties) == before));
            }
        });
    }

    #[test]
    fn requests_count_only_where_everything_does() {
        let activity = Activity::default();
        let request = activity.request();
        assert!(
            activity.is_quiet(Scope::Parties, Timestamp::EPOCH)
                && !activity.is_quiet(Scope::Everything, Timestamp::EPOCH)
        );
        drop(request);
        assert!(activity.is_quiet(Scope::Everything, Timestamp::EPOCH));
    }
}
