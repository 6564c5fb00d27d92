//! The history of batches in words.

use serde_json::Value;

use super::own::{millis, moment, number, text};
use super::paint::{Paint, count, span};

/// Two lines at most for each batch: what happened, and what followed.
pub(super) fn lines(batches: &[Value], paint: Paint) -> Vec<String> {
    batches.iter().flat_map(|batch| line(batch, paint)).collect()
}

fn line(batch: &Value, paint: Paint) -> Vec<String> {
    let attempt = match number(batch, "Attempt") {
        0 => "not sent".to_owned(),
        attempt => format!("try {attempt}"),
    };
    let facts = format!(
        "{}  {}  {:>12}  {attempt:<8}  {:>6}",
        moment(millis(batch, "EndTime").unwrap_or_default()),
        text(batch, "ShardId"),
        count(number(batch, "RecordCount"), "record", "records"),
        span(number(batch, "DurationMilliseconds"))
    );
    let words = words(batch);
    let fits = facts.chars().count() + 2 + words.chars().count() <= paint.columns;
    let painted = match text(batch, "Outcome") {
        "SUCCEEDED" => paint.green(&words),
        "SKIPPED" | "NOT_DELIVERED" => paint.yellow(&words),
        _ => paint.red(&words),
    };
    if fits { vec![format!("{facts}  {painted}")] } else { vec![facts, format!("    {painted}")] }
}

/// Outcome and decision, such as `failed, split in two: BisectBatchOnFunctionError`.
pub(super) fn words(batch: &Value) -> String {
    let outcome = match text(batch, "Outcome") {
        "SUCCEEDED" => "succeeded",
        "FUNCTION_FAILED" => "failed",
        "PARTLY_FAILED" => "failed in part",
        "NOT_DELIVERED" => "function not reached",
        "EXPIRED" => "left the stream unprocessed",
        "TOO_LARGE" => "too large for an event",
        "TOO_OLD" => "too old",
        "SKIPPED" => "skipped by an operator",
        other => other,
    };
    let decision = match text(batch, "Decision") {
        "CHECKPOINT" => "done",
        "RETRY" => "tried again",
        "RETRY_NOT_COUNTED" => "tried again without using up a retry",
        "BISECT" => "split in two",
        "RETRY_REST" => "tried again from the first failed record",
        "DISCARD_RETRIES_EXHAUSTED" | "DISCARD_TOO_OLD" | "DISCARD_TOO_LARGE" | "DISCARD_SKIPPED" => "given up",
        "FORGET" => "passed over",
        other => other,
    };
    match text(batch, "Setting") {
        "" => format!("{outcome}, {decision}"),
        setting => format!("{outcome}, {decision}: {setting}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_happened_and_what_followed_is_told_in_words() {
        let batch = json!({
            "ShardId": "shardId-000000000000", "RecordCount": 1, "Attempt": 2, "EndTime": 1_767_168_000.25,
            "DurationMilliseconds": 12, "Outcome": "FUNCTION_FAILED", "Decision": "BISECT",
            "Setting": "BisectBatchOnFunctionError",
        });
        let facts = "2025-12-31T08:00:00Z  shardId-000000000000      1 record  try 2       12ms";
        let words = "failed, split in two: BisectBatchOnFunctionError";
        assert_eq!(lines(std::slice::from_ref(&batch), Paint::plain(80)), [facts.to_owned(), format!("    {words}")]);
        assert_eq!(lines(&[batch], Paint::plain(140)), [format!("{facts}  {words}")]);
        let done = json!({ "Outcome": "SUCCEEDED", "Decision": "CHECKPOINT" });
        assert_eq!(super::words(&done), "succeeded, done");
    }
}
