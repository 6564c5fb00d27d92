//! What a mapping counts of its work (event source mapping reference, section 11).
//!
//! `IteratorAge` and `DestinationDeliveryFailures` belong to the function and are always there; the family of
//! `EventCount` belongs to the mapping, and is there when its `MetricsConfig` asks for it.

use millstream_env::Timestamp;
use millstream_telemetry::Metrics;
use millstream_telemetry::metrics::{Series, Unit, lambda};
use millstream_types::Scope;

use crate::machine::{Batch, BatchEntry, BatchOutcome};
use crate::names::FunctionReference;

/// The metrics of one mapping. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Meters {
    iterator_age: Vec<Series>,
    delivery_failures: Vec<Series>,
    events: Option<EventCounts>,
}

#[derive(Clone, Debug)]
struct EventCounts {
    polled: Series,
    filtered_out: Series,
    invoked: Series,
    failed_invoke: Series,
    dropped: Series,
    delivered: Series,
}

impl Meters {
    pub(super) fn new(
        metrics: &Metrics,
        scope: &Scope,
        uuid: &str,
        function: &FunctionReference,
        with_event_counts: bool,
    ) -> Self {
        let of_function = |name: &str, unit: Unit| {
            let name_only =
                metrics.series(scope, lambda::NAMESPACE, name, &[(lambda::FUNCTION_NAME, &function.name)], unit);
            let resource = function.qualifier.as_ref().map(|qualifier| format!("{}:{qualifier}", function.name));
            let with_resource = resource.map(|resource| {
                let dimensions =
                    [(lambda::FUNCTION_NAME, function.name.as_str()), (lambda::RESOURCE, resource.as_str())];
                metrics.series(scope, lambda::NAMESPACE, name, &dimensions, unit)
            });
            std::iter::once(name_only).chain(with_resource).collect()
        };
        let count = |name: &str| {
            metrics.series(scope, lambda::NAMESPACE, name, &[(lambda::EVENT_SOURCE_MAPPING_UUID, uuid)], Unit::Count)
        };
        Self {
            iterator_age: of_function(lambda::ITERATOR_AGE, Unit::Milliseconds),
            delivery_failures: of_function(lambda::DESTINATION_DELIVERY_FAILURES, Unit::Count),
            events: with_event_counts.then(|| EventCounts {
                polled: count(lambda::POLLED_EVENT_COUNT),
                filtered_out: count(lambda::FILTERED_OUT_EVENT_COUNT),
                invoked: count(lambda::INVOKED_EVENT_COUNT),
                failed_invoke: count(lambda::FAILED_INVOKE_EVENT_COUNT),
                dropped: count(lambda::DROPPED_EVENT_COUNT),
                delivered: count(lambda::ON_FAILURE_DESTINATION_DELIVERED_EVENT_COUNT),
            }),
        }
    }

    /// Records were read, and some of them match no filter.
    pub(super) fn polled(&self, now: Timestamp, records: usize, filtered_out: usize) {
        if let Some(events) = &self.events {
            add(&events.polled, now, records);
            add(&events.filtered_out, now, filtered_out);
        }
    }

    /// A batch is sent.
    pub(super) fn invoked(&self, now: Timestamp, batch: &Batch) {
        if let Some(last) = batch.records().last() {
            let age = now.since(last.arrival).as_secs_f64() * 1000.0;
            self.iterator_age.iter().for_each(|series| series.record(now, age));
        }
        if let Some(events) = &self.events {
            add(&events.invoked, now, batch.records().len());
        }
    }

    /// A try ended.
    pub(super) fn ended(&self, entry: &BatchEntry) {
        let is_failed_invocation = entry.request_id.is_some() && entry.outcome != BatchOutcome::Succeeded;
        if let Some(events) = self.events.as_ref().filter(|_| is_failed_invocation) {
            add(&events.failed_invoke, entry.ended, entry.records);
        }
    }

    /// Records were given up: at the destination, or not.
    pub(super) fn discarded(&self, now: Timestamp, records: usize, is_delivered: bool) {
        if let Some(events) = &self.events {
            add(if is_delivered { &events.delivered } else { &events.dropped }, now, records);
        }
    }

    /// A failed batch was dropped, because its destination failed too often.
    pub(super) fn delivery_failed(&self, now: Timestamp) {
        self.delivery_failures.iter().for_each(|series| series.record_count(now, 1));
    }
}

fn add(series: &Series, now: Timestamp, count: usize) {
    series.record_count(now, count as u64);
}
