//! One execution environment: drives its [`Machine`] between the Runtime API, the process, the clock and the pool.
//!
//! Calls of the Runtime API step the machine in their own tasks; the supervising task ([`supervise`]) only starts and ends
//! the process and watches time and memory. So a warm invocation costs no task switch besides those of its connections.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use millstream_env::BoxFuture;
use tokio::sync::{Notify, oneshot};

use crate::api::{Calls, Delivery};
use crate::contract::LogTarget;
use crate::failures;
use crate::host::{Host, Invocation};
use crate::logs::capture::Capture;
use crate::logs::lines::{self, Report, Status};
use crate::machine::{Answer, Command, Ending, Event, ExitCause, Machine};
use crate::memory;
use crate::pool::EnvironmentId;
use crate::spec::{FunctionSpec, RuntimeReport};

mod start;
mod supervise;

/// Memory is measured anew for a REPORT line when the last measurement is older than this.
const MEASUREMENT_AGE_MAX: Duration = Duration::from_secs(1);

/// An execution environment.
#[derive(Debug)]
pub(crate) struct Environment {
    id: EnvironmentId,
    /// 32 hexadecimal digits: the end of the log stream's name, and what its credentials are bound to.
    name: String,
    spec: Arc<FunctionSpec>,
    host: Arc<Host>,
    capture: Capture,
    state: Mutex<State>,
    /// Wakes the supervising task.
    changed: Notify,
    /// Process id of the supervisor; 0 before there is one.
    supervisor: AtomicU32,
}

#[derive(Debug)]
struct State {
    machine: Machine,
    /// The runtime's call that waits for an event.
    parked: Option<oneshot::Sender<Delivery>>,
    /// An event whose call broke off before it was sent.
    undelivered: Option<Delivery>,
    current: Option<Current>,
    /// When the process was started.
    started: Duration,
    /// The runtime has asked for its first event.
    initialised: bool,
    /// How long the init took, until a report has told it.
    init: Option<Duration>,
    kill: bool,
    /// The supervising task looks at the clock and needs no waking for a new deadline.
    watching: bool,
    memory_peak: u64,
    measured: Option<Duration>,
}

/// The invocation being served. Kept after its answer until the runtime comes back, for its deadline.
#[derive(Debug)]
struct Current {
    request_id: Arc<str>,
    /// Taken by the answer.
    invocation: Option<Box<Invocation>>,
    started: Duration,
}

impl Environment {
    pub(crate) fn new(id: EnvironmentId, spec: Arc<FunctionSpec>, host: Arc<Host>) -> Self {
        let options = &host.options;
        let name = options.random.uuid().replace('-', "");
        let own_group = spec.log_group.strip_prefix("/aws/lambda/") == Some(spec.name.as_str());
        let function = (!own_group).then_some(spec.name.as_str());
        let target = Arc::new(LogTarget {
            scope: spec.scope.clone(),
            group: spec.log_group.clone(),
            stream: lines::stream_name(options.host_clock.now(), &spec.version, function, &name),
            role_arn: spec.role_arn.clone(),
        });
        let state = State {
            machine: Machine::new(),
            parked: None,
            undelivered: None,
            current: None,
            started: options.host_clock.monotonic(),
            initialised: false,
            init: None,
            kill: false,
            watching: false,
            memory_peak: 0,
            measured: None,
        };
        Self {
            id,
            name,
            capture: Capture::new(target, Arc::clone(&options.logs), options.host_clock.clone()),
            spec,
            state: Mutex::new(state),
            changed: Notify::new(),
            supervisor: AtomicU32::new(0),
            host,
        }
    }

    /// Hands an invocation to the waiting runtime; hands it back when there is none any more.
    pub(crate) fn deliver(&self, invocation: Box<Invocation>) -> Result<(), Box<Invocation>> {
        let clock = &self.host.options.host_clock;
        let mut state = self.lock();
        if !state.machine.is_ready() {
            return Err(invocation);
        }
        let request_id: Arc<str> = invocation.request.request_id.as_str().into();
        state.machine.step(Event::Deliver { request_id: Arc::clone(&request_id) });
        self.capture.begin(lines::start(&request_id, &self.spec.version));
        let delivery = Delivery {
            request_id: Arc::clone(&request_id),
            deadline_ms: clock.now().plus(self.spec.timeout).millis(),
            invoked_arn: invocation.request.invoked_arn.clone(),
            trace_id: invocation.request.trace_id.clone().unwrap_or_else(|| self.new_trace_id()),
            client_context: invocation.request.client_context.clone(),
            event: invocation.event.clone(),
        };
        state.current = Some(Current { request_id, invocation: Some(invocation), started: clock.monotonic() });
        let unsent = match state.parked.take() {
            Some(parked) => parked.send(delivery).err(),
            None => Some(delivery),
        };
        // The runtime's connection has broken: it gets the event when it asks again, or fails by its deadline.
        state.undelivered = unsent;
        if !state.watching {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Ends the environment, whatever it does.
    pub(crate) fn stop(&self) {
        self.step(Event::Stop);
    }

    fn step(&self, event: Event) -> Answer {
        let (answer, commands) = self.lock().machine.step(event);
        self.carry_out(commands);
        answer
    }

    fn carry_out(&self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Offer => self.offer(),
                Command::Finish { request_id, ending } => self.finish(&request_id, &ending),
                Command::InitFailed(ending) => self.init_failed(&ending),
                Command::Kill => {
                    self.host.stopping(self.id);
                    self.lock().kill = true;
                    self.changed.notify_one();
                }
            }
        }
    }

    fn offer(&self) {
        {
            let mut state = self.lock();
            state.current = None;
            // The first offer ends the init.
            if !state.initialised {
                let now = self.host.options.host_clock.monotonic();
                state.init = Some(now.saturating_sub(state.started));
                state.initialised = true;
            }
        }
        self.host.free(self.id);
    }

    /// Ends an invocation: its last log lines, its report.
    fn finish(&self, request_id: &Arc<str>, ending: &Ending) {
        let clock = &self.host.options.host_clock;
        let now = clock.monotonic();
        let mut state = self.lock();
        let Some(current) = state.current.as_mut().filter(|current| current.request_id == *request_id) else { return };
        let Some(invocation) = current.invocation.take() else { return };
        let duration = now.saturating_sub(current.started);
        let init = state.init.take();
        if state.measured.is_none_or(|measured| now.saturating_sub(measured) > MEASUREMENT_AGE_MAX) {
            self.measure(&mut state, now);
        }
        let memory_peak = state.memory_peak;
        drop(state);
        let report = self.report(&invocation, ending, duration, init, memory_peak);
        self.host.answer(*invocation, report);
    }

    /// The environment failed before its first event: the invocation that waits for it gets the failure.
    fn init_failed(&self, ending: &Ending) {
        self.host.stopping(self.id);
        let duration = self.host.options.host_clock.monotonic().saturating_sub(self.lock().started);
        let never_ran =
            matches!(ending, Ending::Exited(ExitCause::Sandbox(_) | ExitCause::NotPermitted(_)) | Ending::Stopped);
        if !never_ran {
            self.capture.line(lines::init_report(duration, &status(ending)));
        }
        // The first overrun is tried again, with the function's own time (AWS: the init is repeated in the invocation).
        if *ending == Ending::InitTimedOut && self.host.mark_slow(&self.spec) {
            return;
        }
        let Some(invocation) = self.host.take_waiting(self.id) else { return };
        let report = if never_ran {
            let outcome = failures::outcome(ending, &invocation.request.request_id, self.spec.timeout);
            tracing::warn!(function = %self.spec.function_arn, ?outcome, "a function cannot be run");
            RuntimeReport::not_run(outcome)
        } else {
            self.capture.line(lines::start(&invocation.request.request_id, &self.spec.version));
            self.report(&invocation, ending, duration, None, self.lock().memory_peak)
        };
        self.host.answer(*invocation, report);
    }

    fn report(
        &self,
        invocation: &Invocation,
        ending: &Ending,
        duration: Duration,
        init: Option<Duration>,
        memory_peak: u64,
    ) -> RuntimeReport {
        let request_id = &invocation.request.request_id;
        let mut last = Vec::with_capacity(4);
        match ending {
            Ending::TimedOut | Ending::InitTimedOut => {
                let now = lines::iso(self.host.options.host_clock.now());
                last.push(format!("{now} {request_id} {}\n", failures::timeout_text(self.spec.timeout)));
            }
            Ending::Exited(cause) => {
                last.push(format!("RequestId: {request_id} Error: {cause}\n"));
                last.push(format!("{}\n", failures::error_type(ending)));
            }
            _ => {}
        }
        last.push(lines::end(request_id));
        last.push(lines::report(&Report {
            request_id,
            duration,
            memory_mb: self.spec.memory_mb,
            memory_used_mb: memory_peak.div_ceil(1024 * 1024),
            init,
            status: status(ending),
        }));
        RuntimeReport {
            outcome: failures::outcome(ending, request_id, self.spec.timeout),
            log_tail: self.capture.end(last),
            duration,
            init_duration: init,
            log_stream: self.capture.target().stream.clone(),
        }
    }

    /// Measures the tree's memory; returns it in bytes.
    fn measure(&self, state: &mut State, now: Duration) -> u64 {
        let used = match self.supervisor.load(Ordering::Relaxed) {
            0 => 0,
            pid => memory::used_bytes(pid),
        };
        state.memory_peak = state.memory_peak.max(used);
        state.measured = Some(now);
        used
    }

    fn new_trace_id(&self) -> String {
        let random = &self.host.options.random;
        let seconds = self.host.options.host_clock.now().seconds();
        let root = random.uuid().replace('-', "");
        format!("Root=1-{seconds:08x}-{};Parent={:016x};Sampled=0", &root[..24], random.u64())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while holding this lock")
    }
}

impl Calls for Environment {
    fn next(&self) -> BoxFuture<'_, Result<Delivery, Answer>> {
        Box::pin(async move {
            let (delivery, commands) = {
                let mut state = self.lock();
                if let Some(delivery) = state.undelivered.take() {
                    return Ok(delivery);
                }
                let (answer, commands) = state.machine.step(Event::Next);
                if answer != Answer::Park {
                    return Err(answer);
                }
                let (sender, delivery) = oneshot::channel();
                state.parked = Some(sender);
                (delivery, commands)
            };
            self.carry_out(commands);
            // A newer call has taken this one's place, or the environment ends.
            delivery.await.map_err(|_| Answer::InvalidTransition { from: "Exited", to: "Ready" })
        })
    }

    fn post(&self, event: Event) -> Answer {
        self.step(event)
    }
}

/// How a REPORT line tells an ending. Errors that the handler itself reported are successes of the environment.
fn status(ending: &Ending) -> Status<'_> {
    match ending {
        Ending::Response(_) | Ending::HandlerError(_) => Status::Success,
        Ending::TimedOut | Ending::InitTimedOut => Status::Timeout,
        _ => Status::Error(failures::error_type(ending)),
    }
}
