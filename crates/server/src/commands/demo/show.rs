//! What the demo prints.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;

use crate::commands::print;

/// How many records were put so far; the lag is the distance to what is done.
static PRODUCED: AtomicU64 = AtomicU64::new(0);

/// What the function reports of one batch.
#[derive(Debug, Deserialize)]
pub(crate) struct Batch {
    #[serde(default)]
    pub(crate) run: u64,
    shard: String,
    pub(crate) numbers: Vec<u64>,
    latencies_ms: Vec<f64>,
    /// The record that made the batch fail.
    pub(crate) culprit: Option<u64>,
    attempt: Option<u64>,
}

impl Batch {
    /// `None` for a line that is no report: START, END, REPORT, an error's stack trace.
    pub(crate) fn parse(message: &str) -> Option<Self> {
        serde_json::from_str(message.trim_end().strip_prefix("demo ")?).ok()
    }
}

pub(crate) fn title() {
    say("Millstream demo: a Kinesis stream drives a Lambda function on this machine. Ctrl-C ends it.\n");
}

pub(crate) fn fact(name: &str, value: &str) {
    say(&format!("  {name:<9} {value}"));
}

pub(crate) fn heading() {
    say(&format!("\n{:>9}  {:<5}  {:<24}  {:>16}  {:>5}", "time", "shard", "batch", "put → handler", "lag"));
}

pub(crate) fn produced(number: u64) {
    PRODUCED.fetch_max(number, Ordering::Relaxed);
}

/// One line for one batch. `done` counts the records processed so far, this batch included.
pub(crate) fn batch(batch: &Batch, since_start: Duration, done: u64) {
    say(&line(batch, since_start, PRODUCED.load(Ordering::Relaxed).saturating_sub(done)));
}

fn line(batch: &Batch, since_start: Duration, lag: u64) -> String {
    let count = batch.numbers.len();
    let first = batch.numbers.first().copied().unwrap_or_default();
    let last = batch.numbers.last().copied().unwrap_or_default();
    let which =
        if count == 1 { format!("1 record, #{first}") } else { format!("{count} records, #{first} to #{last}") };
    let shard = batch.shard.rsplit('-').next().map_or("", |digits| digits.get(8..).unwrap_or(digits));
    let slowest = batch.latencies_ms.iter().copied().fold(0.0, f64::max);
    let start = format!("{:>7.2} s  {shard:<5}  {which:<24}", since_start.as_secs_f64());
    match (batch.culprit, batch.attempt) {
        (Some(culprit), Some(attempt)) => {
            format!("{start}  failed: record {culprit} is not ready (attempt {attempt}); the batch is retried")
        }
        _ => format!("{start}  {slowest:>13.1} ms  {lag:>5}"),
    }
}

/// What to try next, with a server that stays.
pub(crate) fn next_commands(folder: Option<&Path>) {
    let on_folder = folder.map(|folder| format!(" --data-dir {}", folder.display())).unwrap_or_default();
    say(&format!(
        "\nTry next, with a server that stays:\n  millstream serve{on_folder}\n  \
         eval \"$(millstream env)\"                # in a second terminal: the exports for AWS tools\n  \
         aws kinesis create-stream --stream-name first --shard-count 1\n  aws kinesis list-streams"
    ));
}

fn say(line: &str) {
    // The demo goes on without a reader until it is told to stop.
    let _unseen = print(&format!("{line}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(report: &str, expected: &str) {
        let batch = Batch::parse(report).unwrap();
        assert_eq!(line(&batch, Duration::from_millis(1500), 3), expected);
    }

    #[test]
    fn batches_become_lines() {
        check(
            r#"demo {"outcome":"done","shard":"shardId-000000000001","numbers":[4],"latencies_ms":[1.25],"culprit":null,"attempt":null}"#,
            "   1.50 s  0001   1 record, #4                        1.2 ms      3",
        );
        check(
            r#"demo {"outcome":"failed","shard":"shardId-000000000000","numbers":[7,8],"latencies_ms":[1,2],"culprit":7,"attempt":1}"#,
            "   1.50 s  0000   2 records, #7 to #8       failed: record 7 is not ready (attempt 1); the batch is retried",
        );
    }

    #[test]
    fn other_lines_of_the_log_are_no_reports() {
        assert!(Batch::parse("START RequestId: 1 Version: $LATEST\n").is_none());
        assert!(Batch::parse("demo of something else").is_none());
    }
}
