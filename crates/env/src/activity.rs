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
//! began anything in between, so all were at rest at one moment. Nothing is sent to lookers: a party pays two uncontended
//! locks per poll, a request two atomic additions.
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
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::time::Timestamp;

/// All parties and requests of one server. Clones are the same.
#[derive(Clone, Default)]
pub struct Activity(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// How often anything began to work, requests apart.
    generation: AtomicU64,
    next_id: AtomicU64,
    parties: Mutex<BTreeMap<u64, Arc<Shared>>>,
    requests: AtomicU64,
    requests_begun: AtomicU64,
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

struct Shared {
    subject: Subject,
    working: AtomicBool,
    parked: Mutex<Parked>,
}

struct Parked {
    standing: Standing,
    unseen: Option<Unseen>,
}

impl Activity {
    /// A new party, at work until it parks.
    pub fn register(&self, subject: Subject) -> Party {
        self.0.generation.fetch_add(1, Ordering::SeqCst);
        let id = self.0.next_id.fetch_add(1, Ordering::Relaxed);
        let parked = Mutex::new(Parked { standing: Standing::Busy("working"), unseen: None });
        let shared = Arc::new(Shared { subject, working: AtomicBool::new(true), parked });
        self.parties().insert(id, Arc::clone(&shared));
        Party { activity: self.clone(), id, shared }
    }

    /// A request of the data plane is worked on until the guard is dropped.
    pub fn request(&self) -> RequestGuard {
        self.0.requests_begun.fetch_add(1, Ordering::SeqCst);
        self.0.requests.fetch_add(1, Ordering::SeqCst);
        RequestGuard(self.clone())
    }

    /// Grows with everything that begins.
    pub fn generation(&self, scope: Scope) -> u64 {
        let parties = self.0.generation.load(Ordering::SeqCst);
        match scope {
            Scope::Parties => parties,
            Scope::Everything => parties.wrapping_add(self.0.requests_begun.load(Ordering::SeqCst)),
        }
    }

    /// Requests that are being worked on.
    pub fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::SeqCst)
    }

    /// Whether nobody was at work, each at the moment when it was looked at.
    pub fn is_quiet(&self, scope: Scope) -> bool {
        (scope == Scope::Parties || self.requests() == 0) && self.parties().values().all(|party| !party.is_busy())
    }

    /// The earliest moment that a party waits for.
    pub fn next_moment(&self) -> Option<Timestamp> {
        let parties = self.parties();
        let moments = parties.values().filter_map(|party| match party.standing() {
            Standing::Waiting { until, .. } => Some(until),
            _ => None,
        });
        moments.min()
    }

    /// Everybody who is not idle.
    pub fn occupied(&self) -> Vec<Occupied> {
        let parties = self.parties();
        let all = parties.values().map(|p| Occupied { subject: p.subject.clone(), standing: p.standing() });
        all.filter(|occupied| occupied.standing != Standing::Idle).collect()
    }

    fn parties(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Shared>>> {
        self.0.parties.lock().expect("no code panics while holding this lock")
    }
}

impl fmt::Debug for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Activity({} parties)", self.parties().len())
    }
}

impl Shared {
    /// As seen from outside: a party that has something unseen before it is as good as at work.
    fn standing(&self) -> Standing {
        if self.working.load(Ordering::SeqCst) {
            return Standing::Busy("working");
        }
        let parked = self.lock();
        match (&parked.unseen, parked.standing) {
            (_, Standing::Busy(what)) => Standing::Busy(what),
            (Some(unseen), _) if unseen() => Standing::Busy("about to work"),
            (_, standing) => standing,
        }
    }

    fn is_busy(&self) -> bool {
        matches!(self.standing(), Standing::Busy(_))
    }

    fn lock(&self) -> MutexGuard<'_, Parked> {
        self.parked.lock().expect("no code panics while holding this lock")
    }
}

/// A task that works on behalf of service time; forgotten when dropped.
pub struct Party {
    activity: Activity,
    id: u64,
    shared: Arc<Shared>,
}

impl Party {
    /// Waits with `future`: at work during its polls and after it, parked as `standing` says in between.
    pub async fn park<F: Future>(&self, standing: Standing, unseen: Option<Unseen>, future: F) -> F::Output {
        *self.shared.lock() = Parked { standing, unseen };
        let _awake = Awake(self);
        let mut future = pin!(future);
        std::future::poll_fn(|context| {
            self.wake();
            let polled = future.as_mut().poll(context);
            if polled.is_pending() {
                self.shared.working.store(false, Ordering::SeqCst);
            }
            polled
        })
        .await
    }

    /// At work, and everybody who has looked before knows that something began.
    fn wake(&self) {
        self.activity.0.generation.fetch_add(1, Ordering::SeqCst);
        self.shared.working.store(true, Ordering::SeqCst);
    }
}

/// However the wait ends, also when it is dropped, its party is at work afterwards.
struct Awake<'a>(&'a Party);

impl Drop for Awake<'_> {
    fn drop(&mut self) {
        self.0.wake();
        self.0.shared.lock().unseen = None;
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        self.activity.parties().remove(&self.id);
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
        assert!(!activity.is_quiet(Scope::Parties), "at work from the start");

        let (sender, mut receiver) = watch::channel(0);
        let glimpse = receiver.clone();
        let unseen: Unseen = Box::new(move || glimpse.has_changed().unwrap_or(false));
        let mut wait = Box::pin(party.park(Standing::Idle, Some(unseen), receiver.changed()));
        assert!(!activity.is_quiet(Scope::Parties), "not polled yet");
        assert!(futures_util::poll!(&mut wait).is_pending());
        assert!(activity.is_quiet(Scope::Parties));

        let before = activity.generation(Scope::Parties);
        sender.send_replace(1);
        assert!(!activity.is_quiet(Scope::Parties), "announced, but the task did not run yet");
        assert!(futures_util::poll!(&mut wait).is_ready());
        drop(wait);
        assert!(!activity.is_quiet(Scope::Parties), "at work on what it was woken for");
        assert!(activity.generation(Scope::Parties) > before);
        drop(party);
        assert!(activity.is_quiet(Scope::Parties));
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
        assert!(!activity.is_quiet(Scope::Parties));
        assert_eq!(activity.occupied()[0].standing, Standing::Busy("invoking"));
        drop(flight);
        drop(flying);
        assert!(activity.is_quiet(Scope::Parties));
        assert_eq!(activity.next_moment(), Some(until));
        drop(pause);
        assert!(!activity.is_quiet(Scope::Parties), "a wait that was dropped leaves its party at work");
    }

    #[test]
    fn requests_count_only_where_everything_does() {
        let activity = Activity::default();
        let request = activity.request();
        assert!(activity.is_quiet(Scope::Parties) && !activity.is_quiet(Scope::Everything));
        drop(request);
        assert!(activity.is_quiet(Scope::Everything));
    }
}
