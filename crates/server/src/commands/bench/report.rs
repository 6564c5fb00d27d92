//! What a person sees: a line of progress each second, and a summary.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use serde_json::{Value, json};

use crate::commands::histogram::Histogram;

/// Figures of a run, or of a part of it.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    pub(crate) elapsed: Duration,
    pub(crate) records: u64,
    pub(crate) failed: u64,
    pub(crate) bytes: u64,
    pub(crate) latencies: Histogram,
    /// What the latencies are of.
    pub(crate) latency_of: &'static str,
    pub(crate) server_cpu: Duration,
    pub(crate) client_cpu: Duration,
    /// Invocations, where there are any.
    pub(crate) batches: Option<u64>,
    /// A bare write and fdatasync each, to compare with.
    pub(crate) bare: Option<Histogram>,
}

impl Figures {
    pub(crate) fn records_per_second(&self) -> f64 {
        ratio(self.records, self.elapsed)
    }

    pub(crate) fn megabytes_per_second(&self) -> f64 {
        ratio(self.bytes, self.elapsed) / 1e6
    }

    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    pub(crate) fn cpu_seconds_per_gib(&self, cpu: Duration) -> f64 {
        let gib = self.bytes as f64 / f64::from(1 << 30);
        if gib > 0.0 { cpu.as_secs_f64() / gib } else { 0.0 }
    }

    /// CPU time of the server for each batch, in microseconds.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    fn cpu_micros_per_batch(&self) -> Option<f64> {
        let batches = self.batches.filter(|batches| *batches > 0)?;
        Some(self.server_cpu.as_secs_f64() * 1e6 / batches as f64)
    }

    /// The summary for people.
    pub(crate) fn table(&self) -> String {
        let mut lines = vec![
            ("records", format!("{} in {:.1} s, {} failed", self.records, self.elapsed.as_secs_f64(), self.failed)),
            (
                "rate",
                format!(
                    "{:.0} records/s, {:.1} MB/s of payload",
                    self.records_per_second(),
                    self.megabytes_per_second()
                ),
            ),
            (
                self.latency_of,
                format!(
                    "p50 {:.2} ms, p99 {:.2} ms",
                    self.latencies.percentile_ms(50),
                    self.latencies.percentile_ms(99)
                ),
            ),
        ];
        if let Some(bare) = &self.bare {
            let (own, disk) = (self.latencies.percentile_ms(50), bare.percentile_ms(50));
            lines.push(("bare write, fdatasync", format!("p50 {disk:.2} ms: {:.2} times that", own / disk)));
        }
        if let Some((batches, micros)) = self.batches.zip(self.cpu_micros_per_batch()) {
            let records = self.records / batches;
            lines.push(("batches", format!("{batches} of {records} records, {micros:.0} µs of the server's CPU each")));
        }
        let cpu = |cpu: Duration| {
            format!("{:.2} CPU-s, {:.2} per GiB of payload", cpu.as_secs_f64(), self.cpu_seconds_per_gib(cpu))
        };
        lines.push(("server", cpu(self.server_cpu)));
        lines.push(("load generator", cpu(self.client_cpu)));
        let mut table = String::new();
        for (name, value) in lines {
            let _infallible = writeln!(table, "  {name:<22} {value}");
        }
        table
    }

    /// The summary for scripts.
    pub(crate) fn json(&self) -> Value {
        json!({
            "seconds": self.elapsed.as_secs_f64(),
            "bare_write_p50_ms": self.bare.as_ref().map(|bare| bare.percentile_ms(50)),
            "records": self.records,
            "batches": self.batches,
            "server_cpu_micros_per_batch": self.cpu_micros_per_batch(),
            "failed": self.failed,
            "bytes": self.bytes,
            "records_per_second": self.records_per_second(),
            "megabytes_per_second": self.megabytes_per_second(),
            "latency_of": self.latency_of,
            "latency_p50_ms": self.latencies.percentile_ms(50),
            "latency_p99_ms": self.latencies.percentile_ms(99),
            "server_cpu_seconds": self.server_cpu.as_secs_f64(),
            "server_cpu_seconds_per_gib": self.cpu_seconds_per_gib(self.server_cpu),
            "client_cpu_seconds_per_gib": self.cpu_seconds_per_gib(self.client_cpu),
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn ratio(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
}

/// Shows a line in the place of the last one where a person looks on, else as a line of its own.
pub(crate) fn progress(line: &str) {
    let mut error = std::io::stderr().lock();
    let (before, after) = if error.is_terminal() { ("\r\x1b[2K", "") } else { ("", "\n") };
    // Progress that nobody can see is no reason to end.
    let _unseen = write!(error, "{before}{line}{after}").and_then(|()| error.flush());
}

/// Ends the line of progress.
pub(crate) fn progress_done() {
    if std::io::stderr().is_terminal() {
        progress("");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_rates_over_time_and_bytes() {
        let figures = Figures {
            elapsed: Duration::from_secs(2),
            records: 1000,
            failed: 0,
            bytes: 1 << 30,
            latencies: Histogram::default(),
            latency_of: "request",
            server_cpu: Duration::from_secs(3),
            client_cpu: Duration::ZERO,
            batches: Some(100),
            bare: None,
        };
        assert!((figures.records_per_second() - 500.0).abs() < 1e-9);
        assert!((figures.megabytes_per_second() - 536.870_912).abs() < 1e-6);
        assert!((figures.cpu_seconds_per_gib(figures.server_cpu) - 3.0).abs() < 1e-9);
        assert!(figures.table().contains("1000 in 2.0 s, 0 failed"));
        assert!(figures.table().contains("100 of 10 records, 30000 µs"));
    }
}
