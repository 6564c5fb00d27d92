//! Counters of the gateway, in the text format that Prometheus reads.

use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use millstream_streams::ShardMetric;
use millstream_wire::kinesis::MetricsName;

/// Upper bounds of the request duration's buckets, in seconds.
const BUCKETS: [f64; 8] = [0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0];

/// What is counted per service, in the order of this table.
pub(crate) const SERVICES: [&str; 11] =
    ["kinesis", "lambda", "sqs", "sns", "s3", "iam", "sts", "logs", "monitoring", "millstream", "other"];

/// A number that something behind the gateway tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// As Prometheus names it, with unit, and `_total` when it only grows. Figures of one name follow each other.
    pub name: &'static str,
    pub help: &'static str,
    /// Name and value of a label.
    pub label: Option<(&'static str, &'static str)>,
    pub value: u64,
}

/// Everything the gateway counts. Counters only grow; they start at zero with the process.
#[derive(Debug, Default)]
pub struct Metrics {
    services: [ServiceCounters; SERVICES.len()],
    in_flight: AtomicI64,
    pub(crate) records_in: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) records_out: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) refused_origin: AtomicU64,
    pub(crate) refused_overload: AtomicU64,
}

#[derive(Debug, Default)]
struct ServiceCounters {
    succeeded: AtomicU64,
    client_errors: AtomicU64,
    server_errors: AtomicU64,
    buckets: [AtomicU64; BUCKETS.len()],
    duration_micros: AtomicU64,
}

impl Metrics {
    /// A request begins; it ends when the result is dropped.
    pub(crate) fn begin(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self)
    }

    /// A request to a service of [`SERVICES`] was answered.
    pub(crate) fn answered(&self, service: &str, status: u16, duration: Duration) {
        let index = SERVICES.iter().position(|name| *name == service).unwrap_or(SERVICES.len() - 1);
        let counters = &self.services[index];
        let outcome = match status {
            0..400 => &counters.succeeded,
            400..500 => &counters.client_errors,
            _ => &counters.server_errors,
        };
        outcome.fetch_add(1, Ordering::Relaxed);
        let seconds = duration.as_secs_f64();
        if let Some(bucket) = BUCKETS.iter().position(|limit| seconds <= *limit) {
            counters.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        counters.duration_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Records that a put stored.
    pub(crate) fn stored(&self, records: usize, bytes: usize) {
        self.records_in.fetch_add(records as u64, Ordering::Relaxed);
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Records that a read returned.
    pub(crate) fn read(&self, records: usize, bytes: usize) {
        self.records_out.fetch_add(records as u64, Ordering::Relaxed);
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// All counters as text. `body_bytes` are those that requests hold now; `shards` what enhanced monitoring shows.
    pub(crate) fn text(&self, body_bytes: usize, shards: &[ShardMetric], figures: &[Figure]) -> String {
        let mut text = String::with_capacity(8 * 1024);
        self.write(&mut text, body_bytes).expect("writing to a string does not fail");
        write_shards(&mut text, shards).expect("writing to a string does not fail");
        write_figures(&mut text, figures).expect("writing to a string does not fail");
        text
    }

    fn write(&self, text: &mut String, body_bytes: usize) -> std::fmt::Result {
        head(text, "millstream_requests_total", "counter", "Requests answered, by service and outcome.")?;
        for (service, counters) in SERVICES.iter().zip(&self.services) {
            let outcomes = [
                ("success", &counters.succeeded),
                ("client_error", &counters.client_errors),
                ("server_error", &counters.server_errors),
            ];
            for (outcome, count) in outcomes {
                let count = count.load(Ordering::Relaxed);
                writeln!(text, "millstream_requests_total{{service=\"{service}\",outcome=\"{outcome}\"}} {count}")?;
            }
        }
        head(text, "millstream_request_duration_seconds", "histogram", "Time from a request's headers to its answer.")?;
        for (service, counters) in SERVICES.iter().zip(&self.services) {
            counters.write_durations(text, service)?;
        }
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        gauge(text, "millstream_requests_in_flight", "Requests being handled.", in_flight)?;
        gauge(text, "millstream_request_body_bytes", "Bytes of bodies that requests hold.", body_bytes)?;
        let counters = [
            ("millstream_records_in_total", "Records stored by puts.", &self.records_in),
            ("millstream_record_bytes_in_total", "Bytes of data stored by puts.", &self.bytes_in),
            ("millstream_records_out_total", "Records returned by reads.", &self.records_out),
            ("millstream_record_bytes_out_total", "Bytes of data returned by reads.", &self.bytes_out),
            ("millstream_refused_origin_total", "Requests of web pages refused.", &self.refused_origin),
            ("millstream_refused_overload_total", "Requests refused for lack of memory.", &self.refused_overload),
        ];
        for (name, help, count) in counters {
            head(text, name, "counter", help)?;
            writeln!(text, "{name} {}", count.load(Ordering::Relaxed))?;
        }
        Ok(())
    }
}

/// The shard-level metrics that streams have enabled, each under a name of its own.
fn write_shards(text: &mut String, shards: &[ShardMetric]) -> std::fmt::Result {
    let kinds = [
        (MetricsName::IncomingBytes, "incoming_bytes_total", "counter", "Bytes stored in a shard."),
        (MetricsName::IncomingRecords, "incoming_records_total", "counter", "Records stored in a shard."),
        (MetricsName::OutgoingBytes, "outgoing_bytes_total", "counter", "Bytes read from a shard."),
        (MetricsName::OutgoingRecords, "outgoing_records_total", "counter", "Records read from a shard."),
        (
            MetricsName::WriteProvisionedThroughputExceeded,
            "write_throttled_total",
            "counter",
            "Records that the limits of a shard refused.",
        ),
        (
            MetricsName::ReadProvisionedThroughputExceeded,
            "read_throttled_total",
            "counter",
            "Reads that the limits of a shard refused.",
        ),
        (
            MetricsName::IteratorAgeMilliseconds,
            "iterator_age_milliseconds",
            "gauge",
            "Age of the last record that the newest read of a shard returned; 0 when it caught up.",
        ),
    ];
    for (kind, name, form, help) in kinds {
        let name = format!("millstream_shard_{name}");
        let mut of_kind = shards.iter().filter(|metric| metric.name == kind).peekable();
        if of_kind.peek().is_some() {
            head(text, &name, form, help)?;
        }
        for ShardMetric { stream, shard, value, .. } in of_kind {
            let (account, region) = (&stream.scope.account, &stream.scope.region);
            let stream = &stream.name;
            writeln!(
                text,
                "{name}{{account=\"{account}\",region=\"{region}\",stream=\"{stream}\",shard=\"{shard}\"}} {value}"
            )?;
        }
    }
    Ok(())
}

fn write_figures(text: &mut String, figures: &[Figure]) -> std::fmt::Result {
    let mut before = "";
    for Figure { name, help, label, value } in figures {
        if *name != before {
            let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
            head(text, name, kind, help)?;
            before = name;
        }
        match label {
            Some((label, of)) => writeln!(text, "{name}{{{label}=\"{of}\"}} {value}")?,
            None => writeln!(text, "{name} {value}")?,
        }
    }
    Ok(())
}

impl ServiceCounters {
    fn write_durations(&self, text: &mut String, service: &str) -> std::fmt::Result {
        let name = "millstream_request_duration_seconds";
        let mut below = 0;
        for (limit, count) in BUCKETS.iter().zip(&self.buckets) {
            below += count.load(Ordering::Relaxed);
            writeln!(text, "{name}_bucket{{service=\"{service}\",le=\"{limit}\"}} {below}")?;
        }
        let all = [&self.succeeded, &self.client_errors, &self.server_errors];
        let count: u64 = all.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        let sum = Duration::from_micros(self.duration_micros.load(Ordering::Relaxed)).as_secs_f64();
        writeln!(text, "{name}_bucket{{service=\"{service}\",le=\"+Inf\"}} {count}")?;
        writeln!(text, "{name}_sum{{service=\"{service}\"}} {sum}")?;
        writeln!(text, "{name}_count{{service=\"{service}\"}} {count}")
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) -> std::fmt::Result {
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

fn gauge(text: &mut String, name: &str, help: &str, value: impl std::fmt::Display) -> std::fmt::Result {
    head(text, name, "gauge", help)?;
    writeln!(text, "{name} {value}")
}

/// A request being handled.
#[derive(Debug)]
pub(crate) struct InFlight<'a>(&'a Metrics);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use millstream_streams::StreamName;
    use millstream_types::Scope;

    use super::*;

    #[test]
    fn counters_are_written_in_the_format_of_prometheus() {
        let metrics = Metrics::default();
        let request = metrics.begin();
        metrics.answered("kinesis", 200, Duration::from_millis(2));
        metrics.answered("kinesis", 400, Duration::from_secs(100));
        metrics.answered("no such service", 500, Duration::ZERO);
        metrics.stored(3, 30);
        let text = metrics.text(7, &[], &[]);
        for line in [
            "millstream_requests_total{service=\"kinesis\",outcome=\"success\"} 1",
            "millstream_requests_total{service=\"other\",outcome=\"server_error\"} 1",
            "millstream_request_duration_seconds_bucket{service=\"kinesis\",le=\"0.001\"} 0",
            "millstream_request_duration_seconds_bucket{service=\"kinesis\",le=\"0.005\"} 1",
            "millstream_request_duration_seconds_bucket{service=\"kinesis\",le=\"+Inf\"} 2",
            "millstream_requests_in_flight 1",
            "millstream_request_body_bytes 7",
            "millstream_records_in_total 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        drop(request);
        assert!(metrics.text(0, &[], &[]).contains("millstream_requests_in_flight 0\n"));
    }

    #[test]
    fn shard_metrics_carry_their_shard() {
        let stream = StreamName {
            scope: Scope { account: "000000000000".parse().unwrap(), region: "us-east-1".parse().unwrap() },
            name: "s".to_owned(),
        };
        let metric = |name, value| ShardMetric { stream: stream.clone(), shard: "shardId-0".to_owned(), name, value };
        let shards = [metric(MetricsName::IncomingBytes, 5), metric(MetricsName::IteratorAgeMilliseconds, 7)];
        let text = Metrics::default().text(0, &shards, &[]);
        let labels = r#"{account="000000000000",region="us-east-1",stream="s",shard="shardId-0"}"#;
        assert!(text.contains(&format!("\nmillstream_shard_incoming_bytes_total{labels} 5\n")), "{text}");
        assert!(text.contains(&format!("\nmillstream_shard_iterator_age_milliseconds{labels} 7\n")), "{text}");
        assert!(!text.contains("outgoing"));
    }

    #[test]
    fn figures_of_one_name_share_their_head() {
        let figure = |name, of, value| Figure { name, help: "Help.", label: of, value };
        let figures = [
            figure("log_bytes", Some(("class", "default")), 1),
            figure("log_bytes", Some(("class", "week")), 2),
            figure("syncs_total", None, 3),
        ];
        let text = Metrics::default().text(0, &[], &figures);
        let wanted = "# HELP log_bytes Help.\n# TYPE log_bytes gauge\nlog_bytes{class=\"default\"} 1\n\
                      log_bytes{class=\"week\"} 2\n# HELP syncs_total Help.\n# TYPE syncs_total counter\nsyncs_total 3\n";
        assert!(text.ends_with(wanted), "{text}");
    }
}
