//! What a person looks at when something is stuck.

use serde_json::Value;

use super::batches;
use super::find::{function, source};
use super::own::{millis, moment, number, text};
use super::paint::{Paint, count, span, table};

/// Shards that are shown; those that are blocked come first.
const SHARDS_MAX: usize = 50;

/// A mapping with its shards and its last batches. `now` is the server's clock in milliseconds.
pub(super) fn mapping(mapping: &Value, last_batches: &[Value], now: u64, paint: Paint) -> String {
    let mut lines = head(mapping, paint);
    let mut shards: Vec<&Value> = mapping["Shards"].as_array().into_iter().flatten().collect();
    shards.sort_by_key(|shard| !is_blocked(shard));
    lines.push(String::new());
    lines.extend(shard_table(&shards, mapping["Paused"] == true, paint));
    if shards.len() > SHARDS_MAX {
        lines.push(format!("and {} more; --json tells of all", shards.len() - SHARDS_MAX));
    }
    let blocked: Vec<String> = shards.iter().take(SHARDS_MAX).flat_map(|shard| suspects(shard, now, paint)).collect();
    if !blocked.is_empty() {
        lines.push(String::new());
        lines.push(paint.bold("BLOCKED"));
        lines.extend(blocked);
        lines.push(hint(&shards, text(mapping, "UUID")));
    }
    lines.push(String::new());
    lines.push(paint.bold("LAST BATCHES"));
    if last_batches.is_empty() {
        lines.push("none since the server was started".to_owned());
    }
    lines.extend(batches::lines(last_batches, paint));
    lines.join("\n") + "\n"
}

fn head(mapping: &Value, paint: Paint) -> Vec<String> {
    let mut state = text(mapping, "State").to_owned();
    if mapping["Paused"] == true {
        state += &paint.yellow(", paused by an operator");
    }
    if mapping["Rewinding"] == true {
        state += &paint.yellow(", rewinding");
    }
    let result = text(mapping, "LastProcessingResult");
    let result = if result.starts_with("PROBLEM") { paint.red(result) } else { result.to_owned() };
    vec![
        format!("Mapping      {}", paint.bold(text(mapping, "UUID"))),
        format!("Function     {}", function(text(mapping, "FunctionArn"))),
        format!("Stream       {}", source(text(mapping, "EventSourceArn"))),
        format!("State        {state}"),
        format!("Last result  {result}"),
    ]
}

/// One line for each shard, and below it the record that it is at.
fn shard_table(shards: &[&Value], is_paused: bool, paint: Paint) -> Vec<String> {
    let mut rows = vec![["SHARD", "BEHIND", "RECORDS", "DOING"].map(str::to_owned).to_vec()];
    let shown = &shards[..shards.len().min(SHARDS_MAX)];
    for shard in shown {
        let behind = match number(shard, "LagRecords") {
            0 => "-".to_owned(),
            _ => span(number(shard, "LagMilliseconds")),
        };
        let records = number(shard, "LagRecords").to_string();
        rows.push(vec![text(shard, "ShardId").to_owned(), behind, records, doing(shard, is_paused)]);
    }
    let mut lines = Vec::new();
    for (index, line) in table(&rows).into_iter().enumerate() {
        let Some(shard) = index.checked_sub(1).map(|index| shown[index]) else {
            lines.push(paint.bold(&line));
            continue;
        };
        lines.push(if is_blocked(shard) { paint.red(&line) } else { line });
        if let Some(number) = shard["SequenceNumber"].as_str() {
            lines.push(format!("  at {number}"));
        }
    }
    lines
}

/// What the lanes of a shard are doing, such as `1 waits to try again, 2 idle`.
fn doing(shard: &Value, is_paused: bool) -> String {
    match text(shard, "Phase") {
        "WAITING_FOR_PARENTS" => return "waits for its parents".to_owned(),
        "STOPPED" => return "stopped".to_owned(),
        "DONE" => return "ended, all is processed".to_owned(),
        _ => {}
    }
    let lanes: Vec<&Value> = shard["Lanes"].as_array().into_iter().flatten().collect();
    let mut told: Vec<(&str, usize)> = Vec::new();
    for lane in &lanes {
        let word = match text(lane, "State") {
            "IDLE" => "idle",
            "INVOKING" => "invoking",
            "SETTLING" => "storing its progress",
            "WAITING" => "waiting to try again",
            "DISCARDING" => "giving a batch up",
            "DEFERRED" => "waiting for the destination",
            other => other,
        };
        match told.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += 1,
            None => told.push((word, 1)),
        }
    }
    let words =
        told.iter().map(|(word, count)| if lanes.len() == 1 { (*word).to_owned() } else { format!("{count} {word}") });
    let words = words.collect::<Vec<_>>().join(", ");
    match text(shard, "Phase") {
        "SUSPENDED" if is_paused => format!("paused, {words}"),
        "SUSPENDED" => format!("suspended, {words}"),
        _ => words,
    }
}

fn blocked_lanes(shard: &Value) -> impl Iterator<Item = &Value> {
    shard["Lanes"].as_array().into_iter().flatten().filter(|lane| lane["BlockedBy"].is_string())
}

fn is_blocked(shard: &Value) -> bool {
    blocked_lanes(shard).next().is_some()
}

/// Which records block a shard, why, and when they are tried again.
fn suspects(shard: &Value, now: u64, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    for lane in blocked_lanes(shard) {
        let failures = number(lane, "Failures");
        let why = match text(lane, "BlockedBy") {
            "FUNCTION_ERROR" if failures == 0 => "the function failed on the batch that this is a part of".to_owned(),
            "FUNCTION_ERROR" => format!("the function has failed {}", count(failures, "time", "times")),
            "FUNCTION_NOT_REACHED" => "the function is not reached".to_owned(),
            _ => "the destination of failed batches is not reached".to_owned(),
        };
        let records = count(number(lane, "RecordCount"), "record", "records");
        let several = shard["Lanes"].as_array().is_some_and(|lanes| lanes.len() > 1);
        let place = if several { format!(" lane {}", number(lane, "Lane")) } else { String::new() };
        lines.push(paint.red(&format!("{}{place}: {why}, with {records}", text(shard, "ShardId"))));
        let (first, last) = (text(lane, "FirstSequenceNumber"), text(lane, "LastSequenceNumber"));
        if first == last && !first.is_empty() {
            lines.push(format!("  record      {first}"));
        } else if !first.is_empty() {
            lines.push(format!("  first       {first}"));
            lines.push(format!("  last        {last}"));
        }
        if let Some(at) = millis(lane, "NextRetryTime") {
            let left = if at > now { format!(", in {}", span(at - now)) } else { ", which is now".to_owned() };
            lines.push(format!("  next retry  {}{left}", moment(at)));
        }
    }
    lines
}

/// What can be done about it.
fn hint(shards: &[&Value], uuid: &str) -> String {
    let reasons: Vec<&str> = shards.iter().flat_map(|s| blocked_lanes(s)).map(|lane| text(lane, "BlockedBy")).collect();
    if reasons.contains(&"FUNCTION_ERROR") {
        format!("Repair the function, or pass the batch over: millstream mappings skip {}", short(uuid))
    } else if reasons.contains(&"FUNCTION_NOT_REACHED") {
        "Look at the last result above: the function's state, its concurrency or its role.".to_owned()
    } else {
        "Look at the destination and the permissions of the function's role.".to_owned()
    }
}

fn short(uuid: &str) -> &str {
    uuid.split('-').next().unwrap_or(uuid)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stuck_shard_is_shown_with_its_suspects() {
        let described = json!({
            "UUID": "11110000-0000-4000-8000-000000000001", "State": "Enabled", "Paused": true, "Rewinding": false,
            "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:orders",
            "EventSourceArn": "arn:aws:kinesis:us-east-1:000000000000:stream/s",
            "LastProcessingResult": "PROBLEM: Function call failed",
            "Shards": [
                { "ShardId": "shardId-000000000000", "Phase": "RUNNING", "LagRecords": 0, "LagMilliseconds": 0,
                  "Lanes": [{ "Lane": 0, "State": "IDLE", "RecordCount": 0, "Failures": 0, "WaitingRecords": 0 }] },
                { "ShardId": "shardId-000000000001", "Phase": "SUSPENDED", "SequenceNumber": "4959", "LagRecords": 12,
                  "LagMilliseconds": 65_000, "Lanes": [
                    { "Lane": 0, "State": "WAITING", "RecordCount": 2, "Failures": 3, "WaitingRecords": 10,
                      "FirstSequenceNumber": "4959", "LastSequenceNumber": "4960", "BlockedBy": "FUNCTION_ERROR",
                      "NextRetryTime": 1_767_168_000.0 }] },
            ],
        });
        let told = mapping(&described, &[], 1_767_167_995_000, Paint::plain(80));
        let expected = "\
Mapping      11110000-0000-4000-8000-000000000001
Function     orders
Stream       s
State        Enabled, paused by an operator
Last result  PROBLEM: Function call failed

SHARD                 BEHIND  RECORDS  DOING
shardId-000000000001  1m 5s   12       paused, waiting to try again
  at 4959
shardId-000000000000  -       0        idle

BLOCKED
shardId-000000000001: the function has failed 3 times, with 2 records
  first       4959
  last        4960
  next retry  2025-12-31T08:00:00Z, in 5s
Repair the function, or pass the batch over: millstream mappings skip 11110000

LAST BATCHES
none since the server was started
";
        assert_eq!(told, expected);
    }

    #[test]
    fn a_shard_is_paused_only_when_somebody_paused_the_mapping() {
        let lane =
            json!({ "Lane": 0, "State": "WAITING", "RecordCount": 2, "Failures": 0, "BlockedBy": "FUNCTION_ERROR" });
        let shard = json!({ "ShardId": "s", "Phase": "SUSPENDED", "Lanes": [lane] });
        assert_eq!(doing(&shard, true), "paused, waiting to try again");
        assert_eq!(doing(&shard, false), "suspended, waiting to try again");
        let told = suspects(&shard, 0, Paint::plain(80));
        assert_eq!(told, ["s: the function failed on the batch that this is a part of, with 2 records"]);
    }
}
