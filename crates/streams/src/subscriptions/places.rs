//! Who is subscribed to what.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_env::Timestamp;
use millstream_log::ShardKey;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::delivery::Delivery;
use crate::consumers::ConsumerArn;

/// How long after a successful call a further one for the same consumer and shard is refused; later ones take over
/// (Kinesis model).
const TAKE_OVER_AFTER: Duration = Duration::from_secs(5);

/// A consumer and a shard. The shard's key tells incarnations of the stream apart.
type Place = (ConsumerArn, ShardKey);

/// All places of this process.
#[derive(Debug)]
pub(crate) struct Places {
    taken: Mutex<HashMap<Place, Holder>>,
    /// One for each subscription that lives, those that were taken over and have not noticed included.
    seats: Arc<Semaphore>,
    max: usize,
    /// Whether AWS's limit of deliveries is enforced.
    limited: bool,
}

/// Whom a place belongs to.
#[derive(Debug)]
struct Holder {
    since: Timestamp,
    /// Dropped when another one takes over; closed when the subscription has ended.
    held: oneshot::Sender<Infallible>,
    delivery: Option<Delivery>,
}

/// What a subscription holds while it lives.
#[derive(Debug)]
pub(crate) struct Seat {
    taken_over: oneshot::Receiver<Infallible>,
    delivery: Option<Delivery>,
    _permit: OwnedSemaphorePermit,
}

impl Seat {
    /// What the consumer may still receive; `None` without a limit.
    pub(super) fn delivery(&self) -> Option<&Delivery> {
        self.delivery.as_ref()
    }

    pub(super) fn is_taken_over(&mut self) -> bool {
        self.taken_over.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    /// Completes when another subscription has taken over.
    pub(super) async fn until_taken_over(&mut self) {
        if self.is_taken_over() {
            return;
        }
        // Nothing can be received: the only outcome is that the holder is gone.
        let _ = (&mut self.taken_over).await;
    }
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Another call got it just now.
    Taken,
    /// That many subscriptions are served already.
    Full(usize),
}

impl Places {
    pub(crate) fn new(max: usize, limited: bool) -> Self {
        Self { taken: Mutex::default(), seats: Arc::new(Semaphore::new(max)), max, limited }
    }

    pub(crate) fn take(&self, consumer: &ConsumerArn, shard: ShardKey, now: Timestamp) -> Result<Seat, Refused> {
        let mut taken = self.taken.lock().expect("no code panics while holding this lock");
        taken.retain(|_, holder| !holder.held.is_closed() || holder.is_fresh(now) || holder.is_in_debt(now));
        let place = (consumer.clone(), shard);
        if taken.get(&place).is_some_and(|holder| holder.is_fresh(now)) {
            return Err(Refused::Taken);
        }
        let permit = Arc::clone(&self.seats).try_acquire_owned().map_err(|_| Refused::Full(self.max))?;
        if taken.len() >= self.max && !taken.contains_key(&place) {
            // Clients that come and go fast: their places stay taken for a while.
            return Err(Refused::Full(self.max));
        }
        let before = taken.get(&place).and_then(|holder| holder.delivery.clone());
        let delivery = before.or_else(|| self.limited.then(Delivery::new));
        let (held, taken_over) = oneshot::channel();
        taken.insert(place, Holder { since: now, held, delivery: delivery.clone() });
        Ok(Seat { taken_over, delivery, _permit: permit })
    }
}

impl Holder {
    /// It cannot be taken over yet. A clock that was set back makes nobody wait.
    fn is_fresh(&self, now: Timestamp) -> bool {
        now >= self.since && now.since(self.since) < TAKE_OVER_AFTER
    }

    /// Its consumer has received more than the limit gives back until now.
    fn is_in_debt(&self, now: Timestamp) -> bool {
        self.delivery.as_ref().is_some_and(|delivery| !delivery.is_whole(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumer(name: &str) -> ConsumerArn {
        let arn = format!("arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/{name}:1");
        ConsumerArn::from_arn(&arn.parse().unwrap()).unwrap()
    }

    fn shard(shard: u32) -> ShardKey {
        ShardKey { stream: 1, shard }
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(100_000 + millis)
    }

    #[test]
    fn a_place_is_taken_over_after_five_seconds() {
        let places = Places::new(10, false);
        let mut first = places.take(&consumer("a"), shard(0), at(0)).unwrap();
        assert_eq!(places.take(&consumer("a"), shard(0), at(4999)).unwrap_err(), Refused::Taken);
        let others = [places.take(&consumer("a"), shard(1), at(0)), places.take(&consumer("b"), shard(0), at(0))];
        assert!(others.iter().all(Result::is_ok));
        assert!(!first.is_taken_over());
        let second = places.take(&consumer("a"), shard(0), at(5000)).unwrap();
        assert!(first.is_taken_over());
        assert_eq!(places.take(&consumer("a"), shard(0), at(9999)).unwrap_err(), Refused::Taken);
        drop(second);
    }

    #[test]
    fn a_place_stays_taken_a_while_after_its_subscription_has_ended() {
        let places = Places::new(10, false);
        drop(places.take(&consumer("a"), shard(0), at(0)).unwrap());
        assert_eq!(places.take(&consumer("a"), shard(0), at(4000)).unwrap_err(), Refused::Taken);
        places.take(&consumer("a"), shard(0), at(5000)).unwrap();
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nobody_wait() {
        let places = Places::new(10, false);
        drop(places.take(&consumer("a"), shard(0), at(50_000)).unwrap());
        places.take(&consumer("a"), shard(0), at(0)).unwrap();
    }

    #[test]
    fn there_is_a_bound() {
        let places = Places::new(2, false);
        let mut held = vec![places.take(&consumer("a"), shard(0), at(0)).unwrap()];
        held.push(places.take(&consumer("a"), shard(1), at(0)).unwrap());
        assert_eq!(places.take(&consumer("a"), shard(2), at(0)).unwrap_err(), Refused::Full(2));
        // One that was taken over counts until it has ended.
        assert_eq!(places.take(&consumer("a"), shard(0), at(6000)).unwrap_err(), Refused::Full(2));
        held.clear();
        assert_eq!(places.take(&consumer("a"), shard(2), at(1000)).unwrap_err(), Refused::Full(2));
        places.take(&consumer("a"), shard(2), at(5000)).unwrap();
    }
}
