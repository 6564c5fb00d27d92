//! The threads of a log: committers, which write and sync, and a housekeeper.

use std::io;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use millstream_env::Tasks;

use super::engine::Engine;
use super::readers;

/// Threads that write and sync.
const COMMITTERS: usize = 2;

/// Dropping them ends the log without waiting for anything.
pub(super) struct Threads {
    engine: Arc<Engine>,
    handles: Mutex<Vec<JoinHandle<()>>>,
}

impl Threads {
    /// For logs whose work is done by others.
    pub(super) fn none(engine: &Arc<Engine>) -> Self {
        Self { engine: Arc::clone(engine), handles: Mutex::default() }
    }

    pub(super) fn start(engine: &Arc<Engine>) -> io::Result<Self> {
        let threads = Self::none(engine);
        let class = engine.class().name();
        for number in 0..COMMITTERS {
            let engine = Arc::clone(engine);
            threads.add(Tasks::thread(&format!("log-{class}-{number}"), move || {
                while let Some(work) = engine.wait_for_work() {
                    engine.perform(work);
                }
            })?);
        }
        engine.readers.allow(readers::THREADS_MAX);
        let engine = Arc::clone(engine);
        threads.add(Tasks::thread(&format!("log-{class}-keep"), move || {
            loop {
                let (chore, stopping) = engine.wait_for_chore(engine.rest());
                match chore {
                    Some(chore) => engine.perform_chore(&chore),
                    None if stopping => return,
                    None => engine.tick(),
                }
            }
        })?);
        Ok(threads)
    }

    /// Waits for all of them; the engine has been told to stop.
    pub(super) fn join(&self) {
        let handles = std::mem::take(&mut *self.lock());
        for handle in handles {
            if handle.join().is_err() {
                tracing::error!("a thread of the log had panicked");
            }
        }
    }

    fn add(&self, handle: JoinHandle<()>) {
        self.lock().push(handle);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.handles.lock().expect("no code panics while holding this lock")
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.engine.abandon();
    }
}
