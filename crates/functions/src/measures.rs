//! Counts invocations: the CloudWatch metrics of `AWS/Lambda`, at the one place that all invocations pass.
//!
//! Each is recorded for the account as a whole, for `FunctionName`, and for `FunctionName` with `Resource`, which is the
//! function's name and the qualifier it was called by. What Lambda counts: an invocation is one that ran, however it
//! ended; a throttled one is none; what never reached the function (no such version, no permission) is not counted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use millstream_env::Timestamp;
use millstream_telemetry::Metrics;
use millstream_telemetry::metrics::{Series, Unit};
use millstream_types::Scope;

use crate::invoke::Outcome;
use crate::names::Target;

const NAMESPACE: &str = "AWS/Lambda";
/// How long series are held without asking for them again: held series are not dropped for being idle.
const HELD: Duration = Duration::from_mins(10);
/// Most functions and qualifiers whose series are held.
const HELD_MAX: usize = 1000;

/// The series of all functions, and how many invocations are running.
#[derive(Debug)]
pub(crate) struct Measures {
    metrics: Metrics,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    running: HashMap<(Scope, String), u32>,
    held: HashMap<(Scope, String, Option<String>), Arc<[Recorder; 3]>>,
    held_since: Timestamp,
}

/// The series of one set of dimensions.
#[derive(Debug)]
struct Recorder {
    invocations: Series,
    errors: Series,
    throttles: Series,
    duration: Series,
    concurrent_executions: Series,
}

/// An invocation that is running. One that is dropped before its end is not counted.
#[derive(Debug)]
pub(crate) struct Running {
    state: Arc<Mutex<State>>,
    function: (Scope, String),
    recorders: Arc<[Recorder; 3]>,
    at: Timestamp,
    /// Invocations of the function that run at this time, this one included.
    concurrent: u32,
}

impl Measures {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self { metrics, state: Arc::default() }
    }

    /// An invocation begins.
    pub(crate) fn begin(&self, scope: &Scope, target: &Target, at: Timestamp) -> Running {
        let function = (scope.clone(), target.name.clone());
        let mut state = lock(&self.state);
        let running = state.running.entry(function.clone()).or_default();
        *running += 1;
        let concurrent = *running;
        if at.since(state.held_since) > HELD || state.held.len() >= HELD_MAX {
            state.held.clear();
            state.held_since = at;
        }
        let key = (scope.clone(), target.name.clone(), target.qualifier.clone());
        let recorders = Arc::clone(state.held.entry(key).or_insert_with(|| Arc::new(self.recorders(scope, target))));
        drop(state);
        Running { state: Arc::clone(&self.state), function, recorders, at, concurrent }
    }

    fn recorders(&self, scope: &Scope, target: &Target) -> [Recorder; 3] {
        let resource = match &target.qualifier {
            Some(qualifier) => format!("{}:{qualifier}", target.name),
            None => target.name.clone(),
        };
        let function = ("FunctionName", target.name.as_str());
        let all: [&[(&str, &str)]; 3] = [&[], &[function], &[function, ("Resource", &resource)]];
        all.map(|dimensions| {
            let series = |name, unit| self.metrics.series(scope, NAMESPACE, name, dimensions, unit);
            Recorder {
                invocations: series("Invocations", Unit::Count),
                errors: series("Errors", Unit::Count),
                throttles: series("Throttles", Unit::Count),
                duration: series("Duration", Unit::Milliseconds),
                concurrent_executions: series("ConcurrentExecutions", Unit::Count),
            }
        })
    }
}

impl Running {
    /// The invocation ended, after the function took `duration`.
    pub(crate) fn end(self, outcome: &Outcome, duration: Duration) {
        let at = self.at;
        for recorder in &*self.recorders {
            match outcome {
                Outcome::Ok(_) | Outcome::FunctionError { .. } => {
                    let is_error = matches!(outcome, Outcome::FunctionError { .. });
                    recorder.invocations.record_count(at, 1);
                    recorder.errors.record_count(at, is_error.into());
                    recorder.throttles.record_count(at, 0);
                    recorder.duration.record(at, duration.as_secs_f64() * 1000.0);
                    recorder.concurrent_executions.record_count(at, self.concurrent.into());
                }
                Outcome::Throttled { .. } => recorder.throttles.record_count(at, 1),
                Outcome::NotPermitted(_) | Outcome::NotFound(_) | Outcome::NotReady(_) | Outcome::ServiceError(_) => {}
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        if let Some(running) = state.running.get_mut(&self.function) {
            *running -= 1;
            if *running == 0 {
                state.running.remove(&self.function);
            }
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no code panics while holding this lock")
}
