//! The metrics of functions and mappings for Prometheus: totals since the process started.

use std::fmt::Write;

use super::Unit;
use super::series::{BUCKETS_MS, Totals};
use super::store::{Key, Metrics};

/// How a metric is told to Prometheus.
struct Family {
    /// The metric's name in `AWS/Lambda`.
    metric: &'static str,
    name: &'static str,
    form: Form,
    help: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The sum of all values.
    Counter,
    /// Values in milliseconds, told in seconds.
    Histogram,
    /// The newest value.
    Gauge,
}

const NAMESPACE: &str = "AWS/Lambda";
/// The one dimension of the series that are told, and its label. Others would count the same invocations again.
const LABELS: [(&str, &str); 2] = [("FunctionName", "function"), ("EventSourceMappingUUID", "mapping")];

const fn counter(metric: &'static str, name: &'static str, help: &'static str) -> Family {
    Family { metric, name, form: Form::Counter, help }
}

const FAMILIES: [Family; 13] = [
    counter("Invocations", "millstream_function_invocations_total", "Times that functions ran."),
    counter("Errors", "millstream_function_errors_total", "Invocations that ended with an error of the function."),
    counter("Throttles", "millstream_function_throttles_total", "Invocations refused for lack of concurrency."),
    Family {
        metric: "Duration",
        name: "millstream_function_duration_seconds",
        form: Form::Histogram,
        help: "Time that functions took.",
    },
    Family {
        metric: "ConcurrentExecutions",
        name: "millstream_function_concurrent_executions",
        form: Form::Gauge,
        help: "Executions at the same time, when the last one began.",
    },
    Family {
        metric: "IteratorAge",
        name: "millstream_function_iterator_age_seconds",
        form: Form::Histogram,
        help: "Age of the last record of each batch.",
    },
    counter(
        "DestinationDeliveryFailures",
        "millstream_function_destination_delivery_failures_total",
        "Events that a destination did not take.",
    ),
    counter("PolledEventCount", "millstream_mapping_polled_events_total", "Records that mappings read."),
    counter("FilteredOutEventCount", "millstream_mapping_filtered_out_events_total", "Records that filters dropped."),
    counter("InvokedEventCount", "millstream_mapping_invoked_events_total", "Records sent to functions."),
    counter(
        "FailedInvokeEventCount",
        "millstream_mapping_failed_invoke_events_total",
        "Records whose invocation failed.",
    ),
    counter("DroppedEventCount", "millstream_mapping_dropped_events_total", "Records given up without a destination."),
    counter(
        "OnFailureDestinationDeliveredEventCount",
        "millstream_mapping_on_failure_destination_delivered_events_total",
        "Records given up that a destination took.",
    ),
];

impl Metrics {
    /// The metrics of functions and mappings in the text format of Prometheus. A series that was idle for a day begins
    /// anew at zero.
    pub fn prometheus(&self) -> String {
        let series: Vec<_> = self.all().into_iter().filter(|(key, _)| key.namespace == NAMESPACE).collect();
        let mut text = String::new();
        for family in &FAMILIES {
            let mut has_head = false;
            for (key, series) in series.iter().filter(|(key, _)| key.name == family.metric) {
                let Some(labels) = labels(key) else { continue };
                if !std::mem::replace(&mut has_head, true) {
                    family.write_head(&mut text);
                }
                family.write(&mut text, &labels, key.unit, &series.totals());
            }
        }
        text
    }
}

impl Family {
    fn write_head(&self, text: &mut String) {
        let kind = match self.form {
            Form::Counter => "counter",
            Form::Histogram => "histogram",
            Form::Gauge => "gauge",
        };
        let Self { name, help, .. } = self;
        line(text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    fn write(&self, text: &mut String, labels: &str, unit: Unit, totals: &Totals) {
        let name = self.name;
        match self.form {
            Form::Counter => line(text, format_args!("{name}{{{labels}}} {}", totals.sum)),
            Form::Gauge => line(text, format_args!("{name}{{{labels}}} {}", totals.last)),
            Form::Histogram if unit == Unit::Milliseconds => write_histogram(text, name, labels, totals),
            // Nothing of ours; a user cannot write to this namespace.
            Form::Histogram => {}
        }
    }
}

fn write_histogram(text: &mut String, name: &str, labels: &str, totals: &Totals) {
    let mut below = 0.0;
    for (limit, count) in BUCKETS_MS.iter().zip(&totals.buckets) {
        below += count;
        line(text, format_args!("{name}_bucket{{{labels},le=\"{}\"}} {below}", limit / 1000.0));
    }
    line(text, format_args!("{name}_bucket{{{labels},le=\"+Inf\"}} {}", totals.count));
    line(text, format_args!("{name}_sum{{{labels}}} {}", totals.sum / 1000.0));
    line(text, format_args!("{name}_count{{{labels}}} {}", totals.count));
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a string succeeds");
}

/// The labels of a series that has one of the [`LABELS`] as its only dimension.
fn labels(key: &Key) -> Option<String> {
    let [(dimension, value)] = key.dimensions.as_slice() else { return None };
    let (_, label) = LABELS.iter().find(|(name, _)| name == dimension)?;
    Some(format!("account=\"{}\",region=\"{}\",{label}=\"{}\"", key.scope.account, key.scope.region, escaped(value)))
}

/// A label's value as the text format wants it.
pub(super) fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
