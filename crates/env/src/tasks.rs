//! One task tree: tasks and threads are started through it, are told to stop by it, and are waited for.
#![expect(clippy::disallowed_methods, reason = "this module is where tasks and threads are started")]

use std::thread;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A handle to one node of the task tree. Clones are the same node; [`Tasks::child`] is a subtree that can be stopped alone.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    cancelled: CancellationToken,
}

impl Tasks {
    pub fn new() -> Self {
        Self::default()
    }

    /// A subtree: cancelled with its parent, or alone. The parent's `stop` does not wait for it: its owner does.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { tracker: TaskTracker::new(), cancelled: self.cancelled.child_token() }
    }

    /// Starts a task that watches [`Tasks::cancelled`] itself and ends soon after it.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn(future)
    }

    /// Starts a task that is dropped at its next await when the tree is cancelled: for work that holds nothing precious.
    pub fn spawn_dropped_on_cancel<F>(&self, future: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let cancelled = self.cancelled.clone();
        self.tracker.spawn(async move { cancelled.run_until_cancelled(future).await })
    }

    /// Runs blocking work off the asynchronous threads.
    pub fn blocking<F, T>(&self, work: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.tracker.spawn_blocking(work)
    }

    /// Starts a named thread of its own, for work that never ends or must not move between threads.
    pub fn thread<F, T>(name: &str, work: F) -> std::io::Result<thread::JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        thread::Builder::new().name(name.to_owned()).spawn(work)
    }

    /// Completes when the tree is told to stop.
    pub async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }

    /// The token behind [`Tasks::cancelled`], for code that selects on it.
    pub fn token(&self) -> &CancellationToken {
        &self.cancelled
    }

    /// Tells the tree to stop, without waiting.
    pub fn cancel(&self) {
        self.cancelled.cancel();
    }

    /// Tells this node to stop and waits for its tasks. `false` when some were still running after `limit`.
    pub async fn stop(&self, limit: Duration) -> bool {
        self.cancelled.cancel();
        self.tracker.close();
        tokio::time::timeout(limit, self.tracker.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stop_waits_for_tasks_and_cancels_children() {
        let tasks = Tasks::new();
        let child = tasks.child();
        let watcher = tasks.clone();
        let task = tasks.spawn(async move {
            watcher.cancelled().await;
            7
        });
        assert!(tasks.stop(Duration::from_secs(5)).await);
        assert_eq!(task.await.unwrap(), 7);
        assert!(child.is_cancelled());
    }
}
