//! The metrics of functions and mappings for Prometheus: totals since the process started.

use std::fmt::Write;

use super::series::{BUCKETS_MS, Series, Totals};
use super::store::{Key, Metrics};
use super::{Unit, lambda};

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
    /// How many there are now.
    Level,
}

/// The one dimension of the series that are told, and its label. Others would count the same invocations again.
const LABELS: [(&str, &str); 2] = [(lambda::FUNCTION_NAME, "function"), (lambda::EVENT_SOURCE_MAPPING_UUID, "mapping")];

const fn counter(metric: &'static str, name: &'static str, help: &'static str) -> Family {
    Family { metric, name, form: Form::Counter, help }
}

const FAMILIES: [Family; 13] = [
    counter(lambda::INVOCATIONS, "millstream_function_invocations_total", "Times that functions ran."),
    counter(
        lambda::ERRORS,
        "millstream_function_errors_total",
        "Invocations that ended with an error of the function.",
    ),
    counter(lambda::THROTTLES, "millstream_function_throttles_total", "Invocations refused for lack of concurrency."),
    Family {
        metric: lambda::DURATION,
        name: "millstream_function_duration_seconds",
        form: Form::Histogram,
        help: "Time that functions took.",
    },
    Family {
        metric: lambda::CONCURRENT_EXECUTIONS,
        name: "millstream_function_concurrent_executions",
        form: Form::Level,
        help: "Executions at this time.",
    },
    Family {
        metric: lambda::ITERATOR_AGE,
        name: "millstream_function_iterator_age_seconds",
        form: Form::Histogram,
        help: "Age of the last record of each batch.",
    },
    counter(
        lambda::DESTINATION_DELIVERY_FAILURES,
        "millstream_function_destination_delivery_failures_total",
        "Events that a destination did not take.",
    ),
    counter(lambda::POLLED_EVENT_COUNT, "millstream_mapping_polled_events_total", "Records that mappings read."),
    counter(
        lambda::FILTERED_OUT_EVENT_COUNT,
        "millstream_mapping_filtered_out_events_total",
        "Records that filters dropped.",
    ),
    counter(lambda::INVOKED_EVENT_COUNT, "millstream_mapping_invoked_events_total", "Records sent to functions."),
    counter(
        lambda::FAILED_INVOKE_EVENT_COUNT,
        "millstream_mapping_failed_invoke_events_total",
        "Records whose invocation failed.",
    ),
    counter(
        lambda::DROPPED_EVENT_COUNT,
        "millstream_mapping_dropped_events_total",
        "Records given up without a destination.",
    ),
    counter(
        lambda::ON_FAILURE_DESTINATION_DELIVERED_EVENT_COUNT,
        "millstream_mapping_on_failure_destination_delivered_events_total",
        "Records given up that a destination took.",
    ),
];

impl Metrics {
    /// The metrics of functions and mappings in the text format of Prometheus. A series is there while
    /// somebody holds it, as a running mapping does, and for a day after the last value; then it begins anew at zero.
    pub fn prometheus(&self) -> String {
        let mut found = FAMILIES.map(|_| Vec::new());
        self.visit(|key, series| {
            if key.namespace != lambda::NAMESPACE {
                return;
            }
            let family = FAMILIES.iter().position(|family| family.metric == key.name);
            if let (Some(family), Some(labels)) = (family, labels(key)) {
                found[family].push((labels, key.unit, series.clone()));
            }
        });
        let mut text = String::new();
        for (family, found) in FAMILIES.iter().zip(&found).filter(|(_, found)| !found.is_empty()) {
            family.write_head(&mut text);
            for (labels, unit, series) in found {
                family.write(&mut text, labels, *unit, series);
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
            Form::Level => "gauge",
        };
        let Self { name, help, .. } = self;
        line(text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    fn write(&self, text: &mut String, labels: &str, unit: Unit, series: &Series) {
        let (name, totals) = (self.name, series.totals());
        match self.form {
            Form::Counter => line(text, format_args!("{name}{{{labels}}} {}", totals.sum)),
            Form::Level => line(text, format_args!("{name}{{{labels}}} {}", series.level())),
            Form::Histogram if unit == Unit::Milliseconds => write_histogram(text, name, labels, &totals),
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
