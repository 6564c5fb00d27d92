//! Watchers of a prefix, each with a bounded queue of its own, so that a busy prefix costs the watchers of others nothing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use tokio::sync::Notify;

use crate::{Change, Watched};

/// Changes that wait for one watcher. Beyond it they are dropped and the watcher is told to list anew.
const QUEUE_CHANGES_MAX: usize = 1024;

/// A bounded stream of changes under a prefix. A watcher that falls behind gets [`Watched::Lost`] and lists anew.
#[derive(Debug)]
pub struct Watch(Arc<Queue>);

impl Watch {
    /// The next change, as soon as there is one. Cancel safe.
    pub async fn next(&mut self) -> Watched {
        loop {
            if let Some(watched) = self.0.take() {
                return watched;
            }
            self.0.arrived.notified().await;
        }
    }
}

/// The watchers of one store.
#[derive(Debug, Default)]
pub(crate) struct Watchers(Mutex<Vec<Weak<Queue>>>);

impl Watchers {
    pub(crate) fn watch(&self, prefix: &str) -> Watch {
        let queue =
            Arc::new(Queue { prefix: prefix.to_owned(), state: Mutex::new(State::default()), arrived: Notify::new() });
        let mut watchers = self.lock();
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(Arc::downgrade(&queue));
        Watch(queue)
    }

    /// Tells everyone whom it concerns. Callers send the changes of one key in their order.
    pub(crate) fn send(&self, change: &Change) {
        for watcher in self.lock().iter().filter_map(Weak::upgrade) {
            if change.key.starts_with(&watcher.prefix) {
                watcher.push(change.clone());
            }
        }
    }

    /// Tells everyone that nothing more will come.
    pub(crate) fn close(&self) {
        for watcher in self.lock().drain(..).filter_map(|watcher| watcher.upgrade()) {
            watcher.lock().closed = true;
            watcher.arrived.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Queue>>> {
        self.0.lock().expect("no code panics while holding this lock")
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        self.close();
    }
}

#[derive(Debug)]
struct Queue {
    prefix: String,
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    changes: VecDeque<Change>,
    lost: bool,
    closed: bool,
}

impl Queue {
    fn push(&self, change: Change) {
        let mut state = self.lock();
        if state.changes.len() == QUEUE_CHANGES_MAX {
            state.changes.clear();
            state.lost = true;
        }
        state.changes.push_back(change);
        drop(state);
        self.arrived.notify_one();
    }

    fn take(&self) -> Option<Watched> {
        let mut state = self.lock();
        if std::mem::take(&mut state.lost) {
            return Some(Watched::Lost);
        }
        match state.changes.pop_front() {
            Some(change) => Some(Watched::Change(change)),
            None => state.closed.then_some(Watched::Closed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while holding this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(key: &str) -> Change {
        Change { key: key.to_owned(), value: None }
    }

    #[tokio::test]
    async fn a_watcher_that_falls_behind_is_told() {
        let watchers = Watchers::default();
        let mut slow = watchers.watch("a/");
        let mut other = watchers.watch("b/");
        for n in 0..=QUEUE_CHANGES_MAX {
            watchers.send(&change(&format!("a/{n}")));
        }
        watchers.send(&change("b/1"));
        assert_eq!(slow.next().await, Watched::Lost);
        assert_eq!(slow.next().await, Watched::Change(change(&format!("a/{QUEUE_CHANGES_MAX}"))));
        assert_eq!(other.next().await, Watched::Change(change("b/1")));
        drop(watchers);
        assert_eq!(slow.next().await, Watched::Closed);
        assert_eq!(slow.next().await, Watched::Closed);
    }

    #[test]
    fn dropped_watchers_are_forgotten() {
        let watchers = Watchers::default();
        for _ in 0..10 {
            drop(watchers.watch("a/"));
        }
        let _kept = watchers.watch("a/");
        assert_eq!(watchers.lock().len(), 1);
    }
}
