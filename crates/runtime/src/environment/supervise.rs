//! The supervising task: the process's life, the clock, the memory limit.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Environment, State};
use crate::api;
use crate::machine::{Event, ExitCause};
use crate::process::Process;

/// How often the memory of a busy environment is looked at.
const MEMORY_CHECK: Duration = Duration::from_millis(100);

/// How long the output of an ended environment is still read: a process that escaped may hold the pipe open.
const LAST_OUTPUT_MAX: Duration = Duration::from_millis(200);

const MEGABYTE: u64 = 1024 * 1024;

impl Environment {
    /// The whole life of the environment.
    pub(crate) async fn run(self: Arc<Self>) {
        let user = match self.host.sandbox.take_user() {
            Ok(user) => user,
            Err(reason) => {
                self.step(Event::Exited(ExitCause::Sandbox(reason)));
                self.host.gone(self.id);
                return;
            }
        };
        if let Err(cause) = self.live(user).await {
            self.step(Event::Exited(cause));
        }
        self.capture.flush();
        self.clean_up(user).await;
        self.host.gone(self.id);
    }

    async fn live(self: &Arc<Self>, user: Option<u32>) -> Result<(), ExitCause> {
        let (listener, plan) = self.prepare(user).await?;
        self.lock().started = self.host.options.host_clock.monotonic();
        let mut process = self.host.spawner.spawn(&plan).await.map_err(|e| ExitCause::Sandbox(e.to_string()))?;
        self.supervisor.store(process.supervisor().unwrap_or(0), Ordering::Relaxed);
        let tasks = self.host.options.tasks.child();
        let output = process.take_output();
        let environment = Arc::clone(self);
        let pump = tasks.spawn(async move { environment.capture.pump(output).await });
        let calls = Arc::clone(self) as Arc<dyn api::Calls>;
        tasks.spawn_dropped_on_cancel(api::serve(listener, calls, tasks.clone(), user));
        self.step(Event::Spawned);
        let cause = self.watch(&mut process).await;
        self.supervisor.store(0, Ordering::Relaxed);
        // What was printed last belongs to the invocation that is ended by the step below.
        let _ = self.host.options.host_clock.timeout(LAST_OUTPUT_MAX, pump).await;
        self.step(Event::Exited(cause));
        tasks.cancel();
        Ok(())
    }

    /// Waits for the end of the process; kills it when it is due.
    async fn watch(&self, process: &mut Process) -> ExitCause {
        let Self { host, .. } = self;
        let clock = &host.options.host_clock;
        loop {
            let wait = self.next_check();
            tokio::select! {
                cause = process.wait() => return cause,
                () = self.changed.notified() => {}
                () = clock.sleep(wait.unwrap_or(Duration::MAX)), if wait.is_some() => self.check(),
                () = host.options.tasks.cancelled() => self.stop(),
            }
            if self.lock().kill {
                return process.kill(clock).await;
            }
        }
    }

    /// How long until there is something to look at; `None` while the environment is free.
    fn next_check(&self) -> Option<Duration> {
        let now = self.host.options.host_clock.monotonic();
        let mut state = self.lock();
        let due = self.due(&state).map(|due| due.saturating_sub(now));
        state.watching = due.is_some();
        due.map(|due| due.min(MEMORY_CHECK))
    }

    /// When the present phase ends by itself.
    fn due(&self, state: &State) -> Option<Duration> {
        if state.machine.is_initialising() {
            return Some(state.started + self.init_max());
        }
        state.current.as_ref().map(|current| current.started + self.spec.timeout)
    }

    fn init_max(&self) -> Duration {
        let init_max = self.host.options.init_max;
        if self.host.is_slow(&self.spec) { init_max.max(self.spec.timeout) } else { init_max }
    }

    fn check(&self) {
        let now = self.host.options.host_clock.monotonic();
        let mut state = self.lock();
        if self.due(&state).is_some_and(|due| due <= now) {
            let event = match &state.current {
                Some(current) => Event::Deadline { request_id: Arc::clone(&current.request_id) },
                None => Event::InitDeadline,
            };
            drop(state);
            self.step(event);
            return;
        }
        let used = self.measure(&mut state, now);
        drop(state);
        if used > u64::from(self.spec.memory_mb) * MEGABYTE {
            tracing::info!(function = %self.spec.function_arn, "an environment has used more memory than it may");
            // As the kernel would end it.
            self.step(Event::Exited(ExitCause::Signal(9)));
            self.lock().kill = true;
        }
    }
}
