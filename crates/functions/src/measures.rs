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
use millstream_telemetry::metrics::{Series, Unit, lambda};
use millstream_types::Scope;

use crate::invoke::Outcome;
use crate::names::Target;

/// How long series are held without asking for them again: held series are not dropped for being idle.
const HELD: Duration = Duration::from_mins(10);
/// Most functions and qualifiers whose series are held.
const HELD_MAX: usize = 1000;

/// The series of all functions.
#[derive(Debug)]
pub(crate) struct Measures {
    metrics: Metrics,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    recorders: HashMap<HeldKey, Arc<[Recorder; 3]>>,
    since: Timestamp,
}

/// A function's name and the qualifier that it was called by.
type HeldKey = (Scope, String, Option<String>);

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
    recorders: Arc<[Recorder; 3]>,
    at: Timestamp,
    /// Invocations that ran when this one began, it included: of each of the recorders.
    concurrent: [u32; 3],
}

impl Measures {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self { metrics, held: Mutex::default() }
    }

    /// An invocation begins.
    pub(crate) fn begin(&self, scope: &Scope, target: &Target, at: Timestamp) -> Running {
        let key = (scope.clone(), target.name.clone(), target.qualifier.clone());
        let known = {
            let mut held = lock(&self.held);
            if at.since(held.since) > HELD {
                held.give_up(at);
            }
            held.recorders.get(&key).cloned()
        };
        let recorders = known.unwrap_or_else(|| self.hold(key, Arc::new(self.recorders(scope, target)), at));
        let concurrent = std::array::from_fn(|index| recorders[index].concurrent_executions.raise());
        Running { recorders, at, concurrent }
    }

    /// The result of an asynchronous invocation did not get to its destination.
    pub(crate) fn delivery_failed(&self, target: &Target, at: Timestamp) {
        let function = (lambda::FUNCTION_NAME, target.name.as_str());
        let (name, unit) = (lambda::DESTINATION_DELIVERY_FAILURES, Unit::Count);
        self.metrics.series(&target.scope, lambda::NAMESPACE, name, &[function], unit).record_count(at, 1);
    }

    fn hold(&self, key: HeldKey, recorders: Arc<[Recorder; 3]>, at: Timestamp) -> Arc<[Recorder; 3]> {
        let mut held = lock(&self.held);
        if held.recorders.len() >= HELD_MAX {
            held.give_up(at);
        }
        held.recorders.insert(key, Arc::clone(&recorders));
        recorders
    }

    fn recorders(&self, scope: &Scope, target: &Target) -> [Recorder; 3] {
        let resource = match &target.qualifier {
            Some(qualifier) => format!("{}:{qualifier}", target.name),
            None => target.name.clone(),
        };
        let function = (lambda::FUNCTION_NAME, target.name.as_str());
        let all: [&[(&str, &str)]; 3] = [&[], &[function], &[function, (lambda::RESOURCE, &resource)]];
        all.map(|dimensions| {
            let series = |name, unit| self.metrics.series(scope, lambda::NAMESPACE, name, dimensions, unit);
            Recorder {
                invocations: series(lambda::INVOCATIONS, Unit::Count),
                errors: series(lambda::ERRORS, Unit::Count),
                throttles: series(lambda::THROTTLES, Unit::Count),
                duration: series(lambda::DURATION, Unit::Milliseconds),
                concurrent_executions: series(lambda::CONCURRENT_EXECUTIONS, Unit::Count),
            }
        })
    }
}

impl Running {
    /// The invocation ended, after the function took `duration`.
    pub(crate) fn end(self, outcome: &Outcome, duration: Duration) {
        let at = self.at;
        for (recorder, concurrent) in self.recorders.iter().zip(self.concurrent) {
            match outcome {
                Outcome::Ok(_) | Outcome::FunctionError { .. } => {
                    let is_error = matches!(outcome, Outcome::FunctionError { .. });
                    recorder.invocations.record_count(at, 1);
                    recorder.errors.record_count(at, is_error.into());
                    recorder.throttles.record_count(at, 0);
                    recorder.duration.record(at, duration.as_secs_f64() * 1000.0);
                    recorder.concurrent_executions.record_count(at, concurrent.into());
                }
                Outcome::Throttled { .. } => recorder.throttles.record_count(at, 1),
                Outcome::NotPermitted(_) | Outcome::NotFound(_) | Outcome::NotReady(_) | Outcome::ServiceError(_) => {}
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.recorders.iter().for_each(|recorder| recorder.concurrent_executions.lower());
    }
}

impl Held {
    fn give_up(&mut self, now: Timestamp) {
        self.recorders.clear();
        self.since = now;
    }
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().expect("no code panics while holding this lock")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use millstream_runtime::{FailureKind, Outcome as RuntimeOutcome};
    use millstream_wire::monitoring::{Dimension, GetMetricStatisticsInput, Statistic};

    use super::*;
    use crate::invoke::{Invocation, Invoke};
    use crate::testing::{World, context, create_request};

    fn totals(world: &World, dimensions: &[(&str, &str)]) -> BTreeMap<&'static str, (f64, f64)> {
        let now = world.functions.shared.service_clock.now();
        let found = ["Invocations", "Errors", "Throttles", "Duration", "ConcurrentExecutions"].map(|name| {
            let input = GetMetricStatisticsInput {
                namespace: "AWS/Lambda".to_owned(),
                metric_name: name.to_owned(),
                dimensions: Some(
                    dimensions.iter().map(|(n, v)| Dimension { name: (*n).into(), value: (*v).into() }).collect(),
                ),
                start_time: now.minus(Duration::from_hours(1)),
                end_time: now.plus(Duration::from_hours(1)),
                period: 7200,
                statistics: Some(vec![Statistic::SampleCount, Statistic::Sum]),
                ..Default::default()
            };
            let output = world.functions.shared.measures.metrics.get_metric_statistics(&context(), input).unwrap();
            let point = output.datapoints.unwrap().pop();
            let numbers = point.map_or((0.0, 0.0), |point| (point.sample_count.unwrap(), point.sum.unwrap()));
            (name, numbers)
        });
        found.into()
    }

    async fn invoke(world: &World, qualifier: Option<&str>) {
        let invocation = Invocation {
            scope: context().scope,
            function_name: "f".to_owned(),
            qualifier: qualifier.map(str::to_owned),
            payload: Bytes::from_static(b"{}"),
            client_context: None,
        };
        Invoke::invoke(&world.functions, invocation).await;
    }

    #[tokio::test]
    async fn invocations_are_counted_as_lambda_does() {
        let world = World::new().await;
        world.functions.create_function(&context(), create_request("f")).await.unwrap();
        let error = RuntimeOutcome::FunctionError { kind: FailureKind::Handler, payload: Bytes::new() };
        let ok = || RuntimeOutcome::Ok(Bytes::from_static(b"1"));
        let throttled = RuntimeOutcome::Throttled { reason: "ConcurrentInvocationLimitExceeded" };
        let gone = RuntimeOutcome::Unavailable(String::new());
        world.script.prepare([ok(), error, throttled, gone, ok()]);
        for _ in 0..4 {
            invoke(&world, None).await;
        }
        invoke(&world, Some("$LATEST")).await;
        invoke(&world, Some("7")).await;
        let function = ("FunctionName", "f");
        let all = BTreeMap::from([
            ("Invocations", (3.0, 3.0)),
            ("Errors", (3.0, 1.0)),
            ("Throttles", (4.0, 1.0)),
            ("Duration", (3.0, 3.0)),
            ("ConcurrentExecutions", (3.0, 3.0)),
        ]);
        assert_eq!(totals(&world, &[function]), all);
        assert_eq!(totals(&world, &[]), all);
        assert_eq!(totals(&world, &[function, ("Resource", "f")])["Invocations"], (2.0, 2.0));
        assert_eq!(totals(&world, &[function, ("Resource", "f:$LATEST")])["Invocations"], (1.0, 1.0));
        assert_eq!(totals(&world, &[function, ("Resource", "f:7")])["Throttles"], (0.0, 0.0));
        assert_eq!(running_now(&world), ["0"]);
    }

    /// What Prometheus is told of each function.
    fn running_now(world: &World) -> Vec<String> {
        let text = world.functions.shared.measures.metrics.prometheus();
        let lines = text.lines().filter(|line| line.starts_with("millstream_function_concurrent_executions{"));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.to_owned()).collect()
    }

    #[tokio::test]
    async fn concurrent_executions_are_those_that_run() {
        let world = World::new().await;
        let (scope, target) = (context().scope, |name: &str, qualifier: Option<&str>| Target {
            scope: context().scope,
            name: name.to_owned(),
            qualifier: qualifier.map(str::to_owned),
        });
        let measures = &world.functions.shared.measures;
        let at = world.functions.shared.service_clock.now();
        let first = measures.begin(&scope, &target("f", None), at);
        let second = measures.begin(&scope, &target("f", Some("1")), at);
        drop(measures.begin(&scope, &target("f", None), at));
        // The account, the function, the function by that qualifier.
        assert_eq!((first.concurrent, second.concurrent), ([1, 1, 1], [2, 2, 1]));
        assert_eq!(running_now(&world), ["2"]);
        drop(first);
        let later = at.plus(HELD + Duration::from_secs(1));
        let third = measures.begin(&scope, &target("f", None), later);
        assert_eq!(third.concurrent, [2, 2, 1]);
        let other = measures.begin(&scope, &target("g", None), at);
        assert_eq!(other.concurrent, [3, 1, 1]);
        assert_eq!(running_now(&world), ["2", "1"]);
        drop((second, third, other));
        assert_eq!(running_now(&world), ["0", "0"]);
    }
}
