//! Threads that look up: a cold read asks all the index files it needs at once.
//!
//! A batch of items is worked off by its caller and by any free thread. Threads are started when they are first needed
//! and end when nothing was read for a while. With none allowed the caller does everything itself, in order: so a
//! simulation stays the same from run to run.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use millstream_env::Tasks;

use crate::sync::{Condvar, Mutex, MutexGuard};

/// Files asked at once, over all cold reads.
pub(super) const THREADS_MAX: usize = 16;
/// A thread with nothing to read for so long ends.
const IDLE_MAX: Duration = Duration::from_secs(30);

#[derive(Clone, Default)]
pub(super) struct Readers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Default)]
struct State {
    /// Calls for help; a batch that is done by now is none any more.
    calls: VecDeque<Arc<dyn Help>>,
    threads_max: usize,
    threads: usize,
    idle: usize,
    stopping: bool,
}

/// A batch as threads see it.
trait Help: Send + Sync {
    fn help(&self);
}

struct Batch<T, R> {
    work: fn(T) -> R,
    items: Mutex<std::iter::Enumerate<std::vec::IntoIter<T>>>,
    results: Mutex<Results<R>>,
    finished: Condvar,
}

struct Results<R> {
    /// In the items' order; `None` also when the work panicked.
    done: Vec<Option<R>>,
    missing: usize,
}

impl Readers {
    /// Allows threads. Until then, callers work alone.
    pub(super) fn allow(&self, threads_max: usize) {
        self.0.lock().threads_max = threads_max;
    }

    /// Ends the threads; callers work alone from here on.
    pub(super) fn stop(&self) {
        let mut state = self.0.lock();
        state.stopping = true;
        state.calls.clear();
        drop(state);
        self.0.ready.notify_all();
    }

    /// Does `work` on every item, several at once; results in the items' order. Blocks.
    pub(super) fn each<T: Send + 'static, R: Send + 'static>(&self, items: Vec<T>, work: fn(T) -> R) -> Vec<R> {
        let count = items.len();
        let results = Results { done: (0..count).map(|_| None).collect(), missing: count };
        let batch = Arc::new(Batch {
            work,
            items: Mutex::new(items.into_iter().enumerate()),
            results: Mutex::new(results),
            finished: Condvar::new(),
        });
        if count > 1 {
            self.call(count - 1, || Arc::clone(&batch) as Arc<dyn Help>);
        }
        batch.help();
        batch.wait()
    }

    /// Has one thread at work, started by `spawn`, and allows no other.
    #[cfg(all(test, feature = "loom"))]
    pub(super) fn with_thread<T>(&self, spawn: impl FnOnce(Box<dyn FnOnce() + Send>) -> T) -> T {
        let shared = Arc::clone(&self.0);
        let mut state = self.0.lock();
        (state.threads_max, state.threads) = (1, 1);
        drop(state);
        spawn(Box::new(move || shared.run()))
    }

    fn call(&self, wanted: usize, batch: impl Fn() -> Arc<dyn Help>) {
        let mut state = self.0.lock();
        if state.stopping {
            return;
        }
        let helpers = wanted.min(state.threads_max);
        state.calls.extend((0..helpers).map(|_| batch()));
        let missing = state.calls.len().saturating_sub(state.idle).min(state.threads_max - state.threads);
        for _ in 0..missing {
            let shared = Arc::clone(&self.0);
            if let Err(error) = Tasks::thread("log-read", move || shared.run()) {
                tracing::warn!(%error, "a thread for reading cannot be started; the others go on");
                break;
            }
            state.threads += 1;
        }
        drop(state);
        for _ in 0..helpers {
            self.0.ready.notify_one();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while holding this lock")
    }

    fn run(&self) {
        let mut state = self.lock();
        loop {
            if let Some(batch) = state.calls.pop_front() {
                drop(state);
                batch.help();
                drop(batch);
                state = self.lock();
                continue;
            }
            if state.stopping {
                break;
            }
            state.idle += 1;
            let waited = self.ready.wait_timeout(state, IDLE_MAX).expect("no code panics while holding this lock");
            state = waited.0;
            state.idle -= 1;
            if waited.1.timed_out() && state.calls.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }
}

impl<T: Send, R: Send> Help for Batch<T, R> {
    fn help(&self) {
        loop {
            let Some((index, item)) = self.items.lock().expect("no code panics while holding this lock").next() else {
                return;
            };
            let counted = Counted { batch: self, index, result: None };
            let work = self.work;
            counted.finish(work(item));
        }
    }
}

impl<T, R> Batch<T, R> {
    fn wait(&self) -> Vec<R> {
        let mut results = self.results.lock().expect("no code panics while holding this lock");
        while results.missing > 0 {
            results = self.finished.wait(results).expect("no code panics while holding this lock");
        }
        let done = std::mem::take(&mut results.done);
        done.into_iter().map(|result| result.expect("reading does not panic")).collect()
    }
}

/// An item being worked on: counted as done also when the work panics, so that nobody waits for ever.
struct Counted<'b, T, R> {
    batch: &'b Batch<T, R>,
    index: usize,
    result: Option<R>,
}

impl<T, R> Counted<'_, T, R> {
    fn finish(mut self, result: R) {
        self.result = Some(result);
    }
}

impl<T, R> Drop for Counted<'_, T, R> {
    fn drop(&mut self) {
        let mut results = self.batch.results.lock().expect("no code panics while holding this lock");
        results.done[self.index] = self.result.take();
        results.missing -= 1;
        if results.missing == 0 {
            self.batch.finished.notify_all();
        }
    }
}

impl std::fmt::Debug for Readers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Readers({} threads)", self.0.lock().threads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_with_and_without_threads() {
        for threads in [0, 1, 7] {
            let readers = Readers::default();
            readers.allow(threads);
            for count in [0, 1, 2, 50] {
                let doubled = readers.each((0..count).collect(), |number: u32| number * 2);
                assert_eq!(doubled, (0..count).map(|number| number * 2).collect::<Vec<_>>());
            }
            readers.stop();
            assert_eq!(readers.each(vec![1, 2, 3], |number: u32| number), [1, 2, 3], "also when stopped");
        }
    }

    #[test]
    fn several_callers_share_the_threads() {
        let readers = Readers::default();
        readers.allow(3);
        std::thread::scope(|scope| {
            for caller in 0..8_u32 {
                let readers = &readers;
                scope.spawn(move || {
                    for round in 0..50 {
                        let items: Vec<u32> = (0..20).map(|item| caller * 1000 + round * 20 + item).collect();
                        assert_eq!(readers.each(items.clone(), |item| item), items);
                    }
                });
            }
        });
        assert!(readers.0.lock().threads <= 3);
        readers.stop();
    }
}
