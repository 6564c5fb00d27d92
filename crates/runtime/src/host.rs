//! All environments of this server: carries out what the pool decides.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::environment::Environment;
use crate::interpreters::Interpreters;
use crate::options::Options;
use crate::pool::{Command, EnvironmentId, Limits, Pool};
use crate::process::Spawner;
use crate::run_directory::RunDirectory;
use crate::sandbox::Sandbox;
use crate::spec::{FunctionSpec, InvokeRequest, Outcome, RuntimeReport};

/// How often environments are looked through for old ones.
const TICK: Duration = Duration::from_secs(5);

/// Functions whose slow init is remembered; beyond it all are forgotten, which costs each of them one short try.
const SLOW_INITS_MAX: usize = 10_000;

/// What all environments share.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) options: Options,
    pub(crate) spawner: Spawner,
    pub(crate) sandbox: Sandbox,
    pub(crate) interpreters: Interpreters,
    pub(crate) directory: RunDirectory,
    shared: Mutex<Shared>,
    /// Functions, by ARN and revision, whose init has overrun its limit.
    slow_inits: Mutex<HashSet<(String, String)>>,
    /// Runtime identifiers whose missing interpreter has been told.
    warned: Mutex<HashSet<String>>,
}

#[derive(Debug)]
struct Shared {
    pool: Pool<Box<Invocation>>,
    environments: HashMap<EnvironmentId, Arc<Environment>>,
}

/// An accepted or waiting invocation.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) spec: Arc<FunctionSpec>,
    pub(crate) event: Bytes,
    pub(crate) request: InvokeRequest,
    answer: oneshot::Sender<RuntimeReport>,
}

impl Host {
    pub(crate) fn new(
        options: Options,
        spawner: Spawner,
        sandbox: Sandbox,
        interpreters: Interpreters,
        directory: RunDirectory,
    ) -> Self {
        let limits = Limits {
            concurrency: options.concurrency_max,
            environments: options.environments_max,
            inits: options.inits_max.max(1),
            idle: options.idle_max,
            age: options.credential_lifetime / 2,
        };
        let shared = Shared { pool: Pool::new(limits), environments: HashMap::new() };
        Self {
            options,
            spawner,
            sandbox,
            interpreters,
            directory,
            shared: Mutex::new(shared),
            slow_inits: Mutex::default(),
            warned: Mutex::default(),
        }
    }

    /// Accepts an invocation. Its report comes through the receiver; without one, the server is stopping.
    pub(crate) fn submit(
        self: &Arc<Self>,
        spec: &Arc<FunctionSpec>,
        event: Bytes,
        request: InvokeRequest,
    ) -> oneshot::Receiver<RuntimeReport> {
        let (answer, report) = oneshot::channel();
        let now = self.now();
        let invocation = Box::new(Invocation { spec: Arc::clone(spec), event, request, answer });
        self.change(|pool| pool.submit(spec, invocation, now));
        report
    }

    /// An environment waits for an event.
    pub(crate) fn free(self: &Arc<Self>, environment: EnvironmentId) {
        let now = self.now();
        self.change(|pool| pool.free(environment, now));
    }

    /// An environment takes nothing any more.
    pub(crate) fn stopping(&self, environment: EnvironmentId) {
        self.lock().pool.stopping(environment);
    }

    /// The invocation that gets the failure of an environment's start.
    pub(crate) fn take_waiting(&self, environment: EnvironmentId) -> Option<Box<Invocation>> {
        self.lock().pool.take_waiting(environment)
    }

    /// An environment is gone, with all its processes.
    pub(crate) fn gone(self: &Arc<Self>, environment: EnvironmentId) {
        let now = self.now();
        self.lock().environments.remove(&environment);
        self.change(|pool| pool.gone(environment, now));
    }

    /// Ends an accepted invocation.
    pub(crate) fn answer(&self, invocation: Invocation, report: RuntimeReport) {
        self.lock().pool.answered(&invocation.spec.function_arn);
        // The caller may have gone; the function has run all the same.
        let _ = invocation.answer.send(report);
    }

    pub(crate) fn retire(self: &Arc<Self>, function_arn: &str) {
        self.change(|pool| pool.retire(function_arn));
    }

    pub(crate) fn reserve(&self, function_arn: &str, limit: Option<u32>) {
        self.lock().pool.reserve(function_arn, limit.map(|limit| limit as usize));
    }

    /// Environments that are not gone yet.
    pub(crate) fn live(&self) -> usize {
        self.lock().pool.live()
    }

    /// Stops environments that have been unused for too long, until the server stops; then all of them.
    pub(crate) async fn keep_house(self: Arc<Self>) {
        let stopping = self.options.tasks.token().clone();
        while stopping.run_until_cancelled(self.options.host_clock.sleep(TICK)).await.is_some() {
            let now = self.now();
            self.change(|pool| pool.tick(now));
        }
        let (commands, waiting) = self.lock().pool.close();
        self.carry_out(commands);
        for invocation in waiting {
            let outcome = Outcome::Unavailable("the server is stopping".to_owned());
            self.answer(*invocation, RuntimeReport::not_run(outcome));
        }
    }

    /// Whether this revision's init has overrun its limit before.
    pub(crate) fn is_slow(&self, spec: &FunctionSpec) -> bool {
        let slow = self.slow_inits.lock().unwrap_or_else(PoisonError::into_inner);
        slow.contains(&(spec.function_arn.clone(), spec.revision.clone()))
    }

    /// Remembers an overrun. `false` when it was remembered already.
    pub(crate) fn mark_slow(&self, spec: &FunctionSpec) -> bool {
        let mut slow = self.slow_inits.lock().unwrap_or_else(PoisonError::into_inner);
        if slow.len() >= SLOW_INITS_MAX {
            slow.clear();
        }
        slow.insert((spec.function_arn.clone(), spec.revision.clone()))
    }

    /// Whether a runtime's missing interpreter is to be told in the server's log: once each.
    pub(crate) fn first_warning(&self, runtime: &str) -> bool {
        self.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(runtime.to_owned())
    }

    fn now(&self) -> Duration {
        self.options.host_clock.monotonic()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("no code panics while holding this lock")
    }

    /// Changes the pool and carries out what follows, outside its lock.
    fn change(self: &Arc<Self>, change: impl FnOnce(&mut Pool<Box<Invocation>>) -> Vec<Command<Box<Invocation>>>) {
        let commands = change(&mut self.lock().pool);
        self.carry_out(commands);
    }

    fn carry_out(self: &Arc<Self>, commands: Vec<Command<Box<Invocation>>>) {
        let mut commands = VecDeque::from(commands);
        while let Some(command) = commands.pop_front() {
            match command {
                Command::Start { environment, spec } => self.start(environment, spec),
                Command::Deliver { environment, invocation } => {
                    let found = self.environment(environment);
                    let returned = match found {
                        Some(found) => found.deliver(invocation).err(),
                        None => Some(invocation),
                    };
                    // It has just ended: another one takes the invocation.
                    if let Some(invocation) = returned {
                        let (spec, now) = (Arc::clone(&invocation.spec), self.now());
                        commands.extend(self.lock().pool.give_back(&spec, invocation, now));
                    }
                }
                Command::Throttle { invocation, reason } => {
                    let report = RuntimeReport::not_run(Outcome::Throttled { reason });
                    let _ = invocation.answer.send(report);
                }
                Command::Stop { environment } => {
                    if let Some(found) = self.environment(environment) {
                        found.stop();
                    }
                }
            }
        }
    }

    fn environment(&self, id: EnvironmentId) -> Option<Arc<Environment>> {
        self.lock().environments.get(&id).cloned()
    }

    fn start(self: &Arc<Self>, id: EnvironmentId, spec: Arc<FunctionSpec>) {
        let environment = Arc::new(Environment::new(id, spec, Arc::clone(self)));
        self.lock().environments.insert(id, Arc::clone(&environment));
        self.options.tasks.spawn(environment.run());
    }
}
