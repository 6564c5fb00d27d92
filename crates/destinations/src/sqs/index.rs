//! Where the messages of one queue stand: a state machine without I/O. What the messages hold is in the store.
//!
//! ```text
//! reserve -> insert -> (delayed -due->) visible -claim-> in flight -due-> visible ...
//!                                          |                 |
//!                                          +----> leave <----+  -> remove
//! ```
//!
//! A receive is known by its number: the receipt handle carries it, and only that of the last receive moves the message.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use millstream_env::Timestamp;

/// Messages that one queue holds; beyond it sends are throttled.
pub(crate) const MESSAGES_MAX: usize = 500_000;
/// Messages that all queues hold together: each takes memory here; beyond it sends are throttled.
pub(crate) const ALL_MESSAGES_MAX: usize = 2_000_000;
/// Bytes of messages that one queue holds; beyond it sends are throttled.
pub(crate) const BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// Messages in flight (SQS quotas, standard queue); beyond it receives answer `OverLimit`.
pub(crate) const IN_FLIGHT_MAX: usize = 120_000;

/// The place of a message in its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Sequence(pub(crate) u64);

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Visible,
    /// Nobody has received it yet, and nobody can before that moment.
    Delayed(Timestamp),
    /// Somebody has received it, and nobody else can before that moment.
    InFlight(Timestamp),
    /// It is being deleted.
    Leaving,
}

#[derive(Clone, Debug)]
struct Entry {
    state: State,
    sent: Timestamp,
    bytes: u64,
    /// How often it was received.
    receives: u32,
}

/// What is known of a message when it enters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) sent: Timestamp,
    pub(crate) bytes: u64,
    pub(crate) receives: u32,
    /// From when on it can be received.
    pub(crate) visible_at: Timestamp,
}

/// A message that a receive has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) sequence: Sequence,
    /// The number of this receive, from 1.
    pub(crate) receive: u32,
}

/// Whether a receipt handle still means anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is that of the last receive, and the message is now the caller's to delete.
    Ours,
    /// It is that of the last receive, and somebody is deleting the message already.
    Leaving,
    /// The message is gone, or was received again since.
    Past,
}

/// The counts of `GetQueueAttributes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) visible: usize,
    pub(crate) in_flight: usize,
    pub(crate) delayed: usize,
}

/// The queue holds too much, or too much is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

#[derive(Debug, Default)]
pub(crate) struct Index {
    entries: BTreeMap<Sequence, Entry>,
    visible: BTreeSet<Sequence>,
    /// Delayed messages and those in flight, by when that ends.
    due: BTreeSet<(Timestamp, Sequence)>,
    by_age: BTreeSet<(Timestamp, Sequence)>,
    in_flight: usize,
    delayed: usize,
    /// Of all messages, and of those on their way into the store.
    bytes: u64,
    arriving: usize,
    last: u64,
    /// Messages of all queues, those on their way too.
    all: Arc<AtomicUsize>,
}

impl Index {
    /// An empty one, whose messages count in `all`.
    pub(crate) fn counted_in(all: &Arc<AtomicUsize>) -> Self {
        Self { all: Arc::clone(all), ..Self::default() }
    }

    /// Makes room for a message that is about to be stored.
    pub(crate) fn reserve(&mut self, bytes: u64) -> Result<Sequence, Full> {
        if self.entries.len() + self.arriving >= MESSAGES_MAX || self.bytes + bytes > BYTES_MAX {
            return Err(Full);
        }
        if self.all.fetch_add(1, Ordering::Relaxed) >= ALL_MESSAGES_MAX {
            self.all.fetch_sub(1, Ordering::Relaxed);
            return Err(Full);
        }
        self.arriving += 1;
        self.bytes += bytes;
        self.last += 1;
        Ok(Sequence(self.last))
    }

    /// The message of a reservation was not stored.
    pub(crate) fn cancel(&mut self, bytes: u64) {
        self.all.fetch_sub(1, Ordering::Relaxed);
        self.arriving -= 1;
        self.bytes -= bytes;
    }

    /// The message of a reservation is stored.
    pub(crate) fn insert(&mut self, now: Timestamp, sequence: Sequence, arrival: Arrival) {
        self.cancel(arrival.bytes);
        self.restore(now, sequence, arrival);
    }

    /// A message that was stored before this process began.
    pub(crate) fn restore(&mut self, now: Timestamp, sequence: Sequence, arrival: Arrival) {
        let Arrival { sent, bytes, receives, visible_at } = arrival;
        self.last = self.last.max(sequence.0);
        self.all.fetch_add(1, Ordering::Relaxed);
        self.bytes += bytes;
        self.by_age.insert((sent, sequence));
        let previous = self.entries.insert(sequence, Entry { state: State::Leaving, sent, bytes, receives });
        assert!(previous.is_none(), "a sequence is given out once");
        self.place(sequence, hidden(now, visible_at, receives));
    }

    /// No message that is to come has this number or a smaller one.
    pub(crate) fn start_after(&mut self, last: u64) {
        self.last = self.last.max(last);
    }

    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Takes up to `max` messages, the oldest first, and hides them until `until`.
    pub(crate) fn claim(&mut self, now: Timestamp, max: usize, until: Timestamp) -> Result<Vec<Claim>, Full> {
        self.wake(now);
        if self.in_flight >= IN_FLIGHT_MAX && !self.visible.is_empty() {
            return Err(Full);
        }
        let taken: Vec<Sequence> = self.visible.iter().take(max).copied().collect();
        Ok(taken.into_iter().map(|sequence| self.take(sequence, until)).collect())
    }

    fn take(&mut self, sequence: Sequence, until: Timestamp) -> Claim {
        let entry = self.entries.get_mut(&sequence).expect("what is visible is there");
        entry.receives = entry.receives.saturating_add(1);
        let receive = entry.receives;
        self.place(sequence, State::InFlight(until));
        Claim { sequence, receive }
    }

    /// Hides a message in flight until another moment. `false` when the claim does not hold it any more.
    pub(crate) fn hide(&mut self, now: Timestamp, claim: Claim, until: Timestamp) -> bool {
        self.wake(now);
        let held = self.is_last(claim) && matches!(self.entries[&claim.sequence].state, State::InFlight(_));
        if held {
            self.place(claim.sequence, hidden(now, until, claim.receive));
        }
        held
    }

    /// Begins the deletion of a message that `claim` received.
    pub(crate) fn leave(&mut self, claim: Claim) -> Standing {
        match self.entries.get(&claim.sequence) {
            Some(entry) if entry.receives != claim.receive => Standing::Past,
            Some(entry) if entry.state == State::Leaving => Standing::Leaving,
            Some(_) => {
                self.place(claim.sequence, State::Leaving);
                Standing::Ours
            }
            None => Standing::Past,
        }
    }

    /// A deletion failed: the message can be received again, unless another one of the same message failed before.
    pub(crate) fn stay(&mut self, sequence: Sequence) {
        if self.entries.get(&sequence).is_some_and(|entry| entry.state == State::Leaving) {
            self.place(sequence, State::Visible);
        }
    }

    /// A message is gone from the store.
    pub(crate) fn remove(&mut self, sequence: Sequence) {
        if !self.entries.contains_key(&sequence) {
            return;
        }
        self.place(sequence, State::Leaving);
        let entry = self.entries.remove(&sequence).expect("just looked up");
        self.by_age.remove(&(entry.sent, sequence));
        self.bytes -= entry.bytes;
        self.all.fetch_sub(1, Ordering::Relaxed);
    }

    /// Forgets the messages whose retention is over, and names them so that they are deleted.
    pub(crate) fn expire(&mut self, now: Timestamp, retention: Duration) -> Vec<Sequence> {
        let mut expired = Vec::new();
        while let Some((_, sequence)) = self.by_age.first().copied().filter(|(sent, _)| sent.plus(retention) <= now) {
            self.remove(sequence);
            expired.push(sequence);
        }
        expired
    }

    /// Forgets the messages up to `last`, and names them so that they are deleted.
    pub(crate) fn purge(&mut self, last: u64) -> Vec<Sequence> {
        let purged: Vec<Sequence> = self.entries.range(..=Sequence(last)).map(|(sequence, _)| *sequence).collect();
        for sequence in &purged {
            self.remove(*sequence);
        }
        purged
    }

    pub(crate) fn counts(&mut self, now: Timestamp) -> Counts {
        self.wake(now);
        Counts { visible: self.visible.len(), in_flight: self.in_flight, delayed: self.delayed }
    }

    /// Whether somebody could receive something.
    pub(crate) fn has_visible(&self) -> bool {
        !self.visible.is_empty()
    }

    /// When the next hidden message becomes visible.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    fn is_last(&self, claim: Claim) -> bool {
        self.entries
            .get(&claim.sequence)
            .is_some_and(|entry| entry.receives == claim.receive && entry.state != State::Leaving)
    }

    /// Makes visible what is due.
    fn wake(&mut self, now: Timestamp) {
        while let Some((_, sequence)) = self.due.first().copied().filter(|(due, _)| *due <= now) {
            self.place(sequence, State::Visible);
        }
    }

    /// Moves an entry to a state, in all places that know of it.
    fn place(&mut self, sequence: Sequence, state: State) {
        let entry = self.entries.get_mut(&sequence).expect("callers have looked it up");
        match std::mem::replace(&mut entry.state, state) {
            State::Visible => drop(self.visible.remove(&sequence)),
            State::Delayed(due) => {
                self.due.remove(&(due, sequence));
                self.delayed -= 1;
            }
            State::InFlight(due) => {
                self.due.remove(&(due, sequence));
                self.in_flight -= 1;
            }
            State::Leaving => {}
        }
        match state {
            State::Visible => drop(self.visible.insert(sequence)),
            State::Delayed(due) => {
                self.due.insert((due, sequence));
                self.delayed += 1;
            }
            State::InFlight(due) => {
                self.due.insert((due, sequence));
                self.in_flight += 1;
            }
            State::Leaving => {}
        }
    }
}

fn hidden(now: Timestamp, visible_at: Timestamp, receives: u32) -> State {
    match receives {
        _ if visible_at <= now => State::Visible,
        0 => State::Delayed(visible_at),
        _ => State::InFlight(visible_at),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn send(index: &mut Index, now: u64, delay: u64) -> Sequence {
        let sequence = index.reserve(10).unwrap();
        let arrival = Arrival { sent: at(now), bytes: 10, receives: 0, visible_at: at(now + delay) };
        index.insert(at(now), sequence, arrival);
        sequence
    }

    fn counts(index: &mut Index, now: u64) -> (usize, usize, usize) {
        let Counts { visible, in_flight, delayed } = index.counts(at(now));
        (visible, in_flight, delayed)
    }

    #[test]
    fn a_message_is_hidden_while_it_is_in_flight() {
        let mut index = Index::default();
        let sequence = send(&mut index, 0, 0);
        assert_eq!(index.claim(at(1), 10, at(31)).unwrap(), [Claim { sequence, receive: 1 }]);
        assert_eq!(index.claim(at(30), 10, at(60)).unwrap(), []);
        assert_eq!(counts(&mut index, 30), (0, 1, 0));
        assert_eq!(index.claim(at(31), 10, at(61)).unwrap(), [Claim { sequence, receive: 2 }]);
    }

    #[test]
    fn only_the_last_receive_deletes() {
        let mut index = Index::default();
        let sequence = send(&mut index, 0, 0);
        let first = index.claim(at(0), 1, at(5)).unwrap()[0];
        let second = index.claim(at(5), 1, at(10)).unwrap()[0];
        assert_eq!(index.leave(first), Standing::Past);
        assert!(!index.hide(at(6), first, at(90)));
        // Its visibility timeout is over, but nobody has received it since.
        assert_eq!(index.leave(second), Standing::Ours);
        assert_eq!(index.leave(second), Standing::Leaving, "whoever asks again waits for the same deletion");
        assert_eq!(index.claim(at(20), 1, at(30)).unwrap(), []);
        index.stay(sequence);
        assert_eq!(index.claim(at(20), 1, at(30)).unwrap().len(), 1);
        index.stay(sequence);
        assert_eq!(
            index.claim(at(20), 1, at(30)).unwrap(),
            [],
            "a second failure does not give away what is in flight"
        );
        index.remove(sequence);
        assert_eq!((counts(&mut index, 99), index.bytes), ((0, 0, 0), 0));
    }

    #[test]
    fn a_delayed_message_is_counted_as_such() {
        let mut index = Index::default();
        send(&mut index, 0, 5);
        assert_eq!(counts(&mut index, 4), (0, 0, 1));
        assert_eq!(index.next_due(), Some(at(5)));
        assert_eq!(counts(&mut index, 5), (1, 0, 0));
    }

    #[test]
    fn visibility_can_be_prolonged_and_given_up() {
        let mut index = Index::default();
        send(&mut index, 0, 0);
        let claim = index.claim(at(0), 1, at(5)).unwrap()[0];
        assert!(index.hide(at(1), claim, at(50)));
        assert_eq!(counts(&mut index, 49), (0, 1, 0));
        assert!(index.hide(at(49), claim, at(49)));
        assert_eq!(counts(&mut index, 49), (1, 0, 0));
        assert!(!index.hide(at(49), claim, at(99)), "it is not in flight any more");
    }

    #[test]
    fn old_messages_expire_whatever_their_state() {
        let mut index = Index::default();
        let first = send(&mut index, 0, 900);
        let second = send(&mut index, 10, 0);
        assert_eq!(index.expire(at(59), Duration::from_mins(1)), []);
        assert_eq!(index.expire(at(60), Duration::from_mins(1)), [first]);
        assert_eq!(index.purge(second.0), [second]);
        assert_eq!(counts(&mut index, 60), (0, 0, 0));
    }

    #[test]
    fn all_queues_together_are_bounded() {
        let all = Arc::new(AtomicUsize::new(ALL_MESSAGES_MAX - 1));
        let (mut one, mut other) = (Index::counted_in(&all), Index::counted_in(&all));
        let sequence = send(&mut one, 0, 0);
        assert_eq!(other.reserve(1), Err(Full));
        one.remove(sequence);
        other.reserve(1).unwrap();
        assert_eq!(one.reserve(1), Err(Full));
        other.cancel(1);
        assert_eq!(all.load(Ordering::Relaxed), ALL_MESSAGES_MAX - 1);
    }

    #[test]
    fn a_full_queue_takes_nothing() {
        let mut index = Index::default();
        assert_eq!(index.reserve(BYTES_MAX + 1), Err(Full));
        index.reserve(BYTES_MAX).unwrap();
        assert_eq!(index.reserve(1), Err(Full));
        index.cancel(BYTES_MAX);
        index.reserve(1).unwrap();
    }

    #[derive(Clone, Debug)]
    enum Step {
        Send(u64),
        Receive(usize, u64),
        Delete(usize),
        Hide(usize, u64),
        Wait(u64),
        Expire,
        Purge,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..30_u64).prop_map(Step::Send),
            (1..11_usize, 0..30_u64).prop_map(|(max, hidden)| Step::Receive(max, hidden)),
            (0..8_usize).prop_map(Step::Delete),
            (0..8_usize, 0..30_u64).prop_map(|(claim, hidden)| Step::Hide(claim, hidden)),
            (0..40_u64).prop_map(Step::Wait),
            Just(Step::Expire),
            Just(Step::Purge),
        ]
    }

    /// What a reader of the documentation would write down of a message.
    #[derive(Debug)]
    struct Noted {
        sent: u64,
        hidden_until: u64,
        receives: u32,
    }

    proptest! {
        #[test]
        fn the_index_agrees_with_a_plain_list(steps in prop::collection::vec(step(), 1..80)) {
            let (mut index, mut now) = (Index::default(), 0);
            let mut noted: BTreeMap<Sequence, Noted> = BTreeMap::new();
            let mut claims: Vec<Claim> = Vec::new();
            for step in steps {
                match step {
                    Step::Send(delay) => {
                        let sequence = send(&mut index, now, delay);
                        noted.insert(sequence, Noted { sent: now, hidden_until: now + delay, receives: 0 });
                    }
                    Step::Receive(max, hidden) => {
                        let expected: Vec<Sequence> = noted.iter()
                            .filter(|(_, message)| message.hidden_until <= now).map(|(sequence, _)| *sequence).take(max).collect();
                        let got = index.claim(at(now), max, at(now + hidden)).unwrap();
                        prop_assert_eq!(got.iter().map(|claim| claim.sequence).collect::<Vec<_>>(), expected);
                        for claim in got {
                            let message = noted.get_mut(&claim.sequence).unwrap();
                            message.receives += 1;
                            message.hidden_until = now + hidden;
                            prop_assert_eq!(message.receives, claim.receive);
                            claims.push(claim);
                        }
                    }
                    Step::Delete(which) => if let Some(claim) = claims.get(which).copied() {
                        let ours = noted.get(&claim.sequence).is_some_and(|message| message.receives == claim.receive);
                        prop_assert_eq!(index.leave(claim) == Standing::Ours, ours);
                        if ours {
                            index.remove(claim.sequence);
                            noted.remove(&claim.sequence);
                        }
                    },
                    Step::Hide(which, hidden) => if let Some(claim) = claims.get(which).copied() {
                        let message = noted.get_mut(&claim.sequence)
                            .filter(|message| message.receives == claim.receive && message.hidden_until > now);
                        prop_assert_eq!(index.hide(at(now), claim, at(now + hidden)), message.is_some());
                        if let Some(message) = message {
                            message.hidden_until = now + hidden;
                        }
                    },
                    Step::Wait(seconds) => now += seconds,
                    Step::Expire => {
                        let expired = index.expire(at(now), Duration::from_mins(1));
                        prop_assert!(expired.iter().all(|sequence| noted.remove(sequence).unwrap().sent + 60 <= now));
                        prop_assert!(noted.values().all(|message| message.sent + 60 > now));
                    }
                    Step::Purge => {
                        prop_assert_eq!(index.purge(index.last()).len(), noted.len());
                        noted.clear();
                    }
                }
                let of = |hidden: fn(&Noted) -> bool| noted.values().filter(|message| message.hidden_until > now && hidden(message)).count();
                let visible = noted.values().filter(|message| message.hidden_until <= now).count();
                let expected = (visible, of(|message| message.receives > 0), of(|message| message.receives == 0));
                prop_assert_eq!(counts(&mut index, now), expected);
                prop_assert_eq!(index.bytes, noted.len() as u64 * 10);
            }
        }
    }
}
