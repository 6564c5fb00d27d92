//! Asynchronous invocations: events answered with 202 and kept until they succeed or are given up.
//!
//! Each event is one key in the catalog (a long body is a blob), written before the answer and deleted after its outcome
//! is final: it runs at least once, also across restarts, under one request id. In memory there is only when each event is
//! due. How outcomes and retries follow from each other is a pure function in `retry`; `result` is the document about an end,
//! and `deliver` takes it to its destination.

mod deliver;
mod event;
mod result;
mod retry;
mod worker;

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use millstream_blobs::SharedBlobs;
use millstream_catalog::{Expect, PAGE_ITEMS_MAX, Revision, SharedStore};
use millstream_env::activity::{Party, Standing};
use millstream_env::{ServiceClock, Timestamp};
use millstream_wire::CommonError;
use tokio::sync::Notify;

use crate::failure::Failure;
use crate::invoke::Invocation;
use crate::names::Target;
use crate::store::{decode, encode};
use event::{Body, EVENTS, QueuedEvent, key_of, scope_of};
use retry::Attempts;

/// Events waiting or running. Beyond it new ones are throttled.
const EVENTS_MAX: usize = 100_000;
/// Longest body kept in the catalog itself.
const INLINE_BODY_BYTES_MAX: usize = 4096;

#[derive(Debug)]
pub(crate) struct Queue {
    catalog: SharedStore,
    bodies: SharedBlobs,
    clock: ServiceClock,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Events that wait, by when they are due.
    due: BTreeSet<(Timestamp, String)>,
    /// Events that are being accepted, wait or run.
    count: usize,
}

/// An event that was taken from the queue to run.
#[derive(Debug)]
struct Taken {
    key: String,
    revision: Revision,
    event: QueuedEvent,
    payload: Bytes,
}

impl Taken {
    /// Which function the event is for, as it was named; `None` when the key is none of ours.
    fn target(&self) -> Option<Target> {
        let QueuedEvent { function_name, qualifier, .. } = &self.event;
        Some(Target { scope: scope_of(&self.key)?, name: function_name.clone(), qualifier: qualifier.clone() })
    }
}

impl Queue {
    /// The queue as a former process left it. What was running then waits again.
    pub(crate) async fn load(catalog: SharedStore, bodies: SharedBlobs, clock: ServiceClock) -> Result<Self, Failure> {
        let mut state = State::default();
        let mut referenced = HashSet::new();
        let mut after = None;
        loop {
            let page = catalog.list(EVENTS, after.as_deref(), PAGE_ITEMS_MAX).await?;
            for (key, found) in &page.items {
                let event: QueuedEvent = decode(key, &found.value)?;
                state.due.insert((event.attempts.next, key.clone()));
                if let Body::Blob(digest) = event.body {
                    referenced.insert(digest);
                }
            }
            after = page.items.last().map(|(key, _)| key.clone());
            if !page.more {
                break;
            }
        }
        state.count = state.due.len();
        // Bodies whose events were never kept, or are forgotten already.
        for digest in bodies.list().await?.into_iter().filter(|digest| !referenced.contains(digest)) {
            bodies.delete(digest).await?;
        }
        Ok(Self { catalog, bodies, clock, state: Mutex::new(state), changed: Notify::new() })
    }

    /// Keeps an event to be run; durable when it returns.
    pub(crate) async fn accept(&self, invocation: Invocation, request_id: String) -> Result<(), Failure> {
        self.reserve()?;
        let now = self.clock.now();
        let stored = self.store(invocation, request_id, now).await;
        let mut state = self.lock();
        match stored {
            Ok(key) => {
                state.due.insert((now, key));
                drop(state);
                self.changed.notify_one();
                Ok(())
            }
            Err(failure) => {
                state.count -= 1;
                Err(failure)
            }
        }
    }

    fn reserve(&self) -> Result<(), Failure> {
        let mut state = self.lock();
        if state.count >= EVENTS_MAX {
            return Err(Failure::Common(CommonError::Throttling("Rate Exceeded.".to_owned())));
        }
        state.count += 1;
        Ok(())
    }

    async fn store(&self, invocation: Invocation, request_id: String, now: Timestamp) -> Result<String, Failure> {
        let key = key_of(&invocation.scope, now, &request_id);
        let body = self.store_body(invocation.payload, &request_id).await?;
        let event = QueuedEvent {
            v: event::FORMAT,
            function_name: invocation.function_name,
            qualifier: invocation.qualifier,
            request_id,
            client_context: invocation.client_context,
            body,
            attempts: Attempts::new(now),
        };
        let kept = self.catalog.put(&key, Expect::Absent, encode(&event)).await;
        if let (Err(_), Body::Blob(digest)) = (&kept, event.body) {
            // Best effort: a body without its event costs only space, and the next start removes it.
            let _ = self.bodies.delete(digest).await;
        }
        kept?;
        Ok(key)
    }

    /// A blob ends in its event's request id: equal bodies of two events are two blobs, deleted one by one.
    async fn store_body(&self, payload: Bytes, request_id: &str) -> Result<Body, Failure> {
        if payload.len() <= INLINE_BODY_BYTES_MAX
            && let Ok(text) = std::str::from_utf8(&payload)
        {
            return Ok(Body::Inline(text.to_owned()));
        }
        let blob = [&payload[..], request_id.as_bytes()].concat();
        Ok(Body::Blob(self.bodies.put(blob.into()).await?))
    }

    /// Waits until an event is due, and takes it off the waiting ones. `party` is parked meanwhile.
    async fn next_due(self: &Arc<Self>, party: &Party) -> String {
        loop {
            let first = self.first_due();
            let queue = Arc::clone(self);
            let unseen = Box::new(move || queue.first_due().is_some_and(|due| first.is_none_or(|first| due < first)));
            match first {
                None => party.park(Standing::Idle, Some(unseen), self.changed.notified()).await,
                Some(due) if due > self.clock.now() => {
                    let standing = Standing::Waiting { until: due, why: "the next attempt of an event is due" };
                    let changed = async {
                        tokio::select! {
                            () = self.clock.sleep_until(due) => {}
                            () = self.changed.notified() => {}
                        }
                    };
                    party.park(standing, Some(unseen), changed).await;
                }
                Some(_) => {
                    if let Some((_, key)) = self.lock().due.pop_first() {
                        return key;
                    }
                }
            }
        }
    }

    fn first_due(&self) -> Option<Timestamp> {
        self.lock().due.first().map(|(due, _)| *due)
    }

    /// The event behind a key; `None` when it is there no more.
    async fn take(&self, key: &str) -> Result<Option<Taken>, Failure> {
        let Some(found) = self.catalog.get(key).await? else { return Ok(None) };
        let event: QueuedEvent = decode(key, &found.value)?;
        let payload = match &event.body {
            Body::Inline(text) => Bytes::copy_from_slice(text.as_bytes()),
            Body::Blob(digest) => {
                let Some(blob) = self.bodies.get(*digest).await? else { return Ok(None) };
                blob.slice(..blob.len().saturating_sub(event.request_id.len()))
            }
        };
        Ok(Some(Taken { key: key.to_owned(), revision: found.revision, event, payload }))
    }

    /// Forgets an event whose outcome is final.
    async fn finish(&self, taken: &Taken) -> Result<(), Failure> {
        self.catalog.delete(&taken.key, taken.revision).await?;
        self.lock().count -= 1;
        if let Body::Blob(digest) = taken.event.body {
            self.bodies.delete(digest).await?;
        }
        Ok(())
    }

    /// Keeps an event for a further attempt.
    async fn postpone(&self, taken: &Taken, attempts: Attempts) -> Result<(), Failure> {
        let event = QueuedEvent { attempts, ..taken.event.clone() };
        self.catalog.put(&taken.key, Expect::Revision(taken.revision), encode(&event)).await?;
        self.wait_until(attempts.next, &taken.key);
        Ok(())
    }

    fn wait_until(&self, due: Timestamp, key: &str) {
        self.lock().due.insert((due, key.to_owned()));
        self.changed.notify_one();
    }

    /// An event that cannot be read any more is not counted any more.
    fn forget(&self) {
        self.lock().count -= 1;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while holding this lock")
    }
}

#[cfg(test)]
mod tests;
