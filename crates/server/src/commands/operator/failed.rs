//! `millstream failed`: the batches that were given up, and sending them again.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::find::uuid;
use super::own::{Own, millis, moment, number, text};
use super::paint::{Paint, count, table};
use crate::commands::print;
use crate::commands::streams::connection::Connection;

/// A function runs 15 minutes at most, and a batch may need several invocations.
const REDRIVE_TIMEOUT: Duration = Duration::from_hours(1);
/// Characters of a record's data that are shown.
const DATA_CHARACTERS_MAX: usize = 200;

/// Show the batches that were given up, and send them again.
#[derive(Args, Debug)]
#[command(
    after_help = "A mapping is named by its UUID, the beginning of it, or by its function when that has just one.\n\n\
    Examples:\n  \
    millstream failed list                     # of all mappings\n  \
    millstream failed list orders\n  \
    millstream failed show orders 001767168000000-shardId-000000000000-42 --records\n  \
    millstream failed redrive orders 001767168000000-shardId-000000000000-42\n  \
    millstream failed redrive orders --all     # in the order in which they were given up, to the first that fails\n  \
    millstream failed forget orders 001767168000000-shardId-000000000000-42"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
    /// As JSON, with the members of the server's answers
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List failed batches, of one mapping or of all; the oldest first
    List {
        /// UUID, beginning of a UUID, or function
        mapping: Option<String>,
    },
    /// Show one failed batch
    Show {
        #[command(flatten)]
        named: Named,
        /// With those of its records that are still in the stream
        #[arg(long)]
        records: bool,
    },
    /// Invoke the function with the batch again; it leaves the list when the function succeeds with all of it
    Redrive {
        /// UUID, beginning of a UUID, or function
        mapping: String,
        /// The failed batch, as it is listed
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        id: Option<String>,
        /// All of them, to the first that fails again
        #[arg(long)]
        all: bool,
    },
    /// Take a batch off the list; its records stay in the stream
    Forget(Named),
}

#[derive(Args, Debug)]
struct Named {
    /// UUID, beginning of a UUID, or function
    mapping: String,
    /// The failed batch, as it is listed
    id: String,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let own = Own::new(&arguments.connection)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(act(arguments, &own))
}

async fn act(arguments: &Arguments, own: &Own) -> anyhow::Result<ExitCode> {
    let paint = Paint::of_stdout();
    let mut broken_off = None;
    let (answer, words, is_done) = match &arguments.action {
        Action::List { mapping } => {
            let input = match mapping {
                Some(name) => json!({ "UUID": uuid(own, name).await? }),
                None => json!({}),
            };
            let batches = own.list("ListFailedBatches", input, "FailedBatches", usize::MAX).await?;
            let words = list(&batches, mapping.is_none(), paint);
            (json!({ "FailedBatches": batches }), words, true)
        }
        Action::Show { named, records } => {
            let mut input = named.input(own).await?;
            input["IncludeRecords"] = (*records).into();
            let answer = own.call("GetFailedBatch", &input).await?;
            let words = show(&answer, paint);
            (answer, words, true)
        }
        Action::Redrive { mapping, id: Some(id), .. } => redrive(own, mapping, id).await?,
        Action::Redrive { mapping, id: None, .. } => {
            let all = redrive_all(own, mapping).await?;
            broken_off = all.broken_off;
            (json!({ "Redriven": all.answers }), all.words, all.is_done)
        }
        Action::Forget(named) => {
            let answer = own.call("ForgetFailedBatch", &named.input(own).await?).await?;
            (answer, format!("{} is off the list\n", named.id), true)
        }
    };
    print(&if arguments.json { serde_json::to_string_pretty(&answer)? + "\n" } else { words })?;
    if let Some(error) = broken_off {
        return Err(error);
    }
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Named {
    async fn input(&self, own: &Own) -> anyhow::Result<Value> {
        Ok(json!({ "UUID": uuid(own, &self.mapping).await?, "FailedBatchId": self.id }))
    }
}

/// Sends one failed batch again.
async fn redrive(own: &Own, mapping: &str, id: &str) -> anyhow::Result<(Value, String, bool)> {
    let uuid = uuid(own, mapping).await?;
    let own = own.patient(REDRIVE_TIMEOUT);
    let answer = own.call("RedriveFailedBatch", &json!({ "UUID": uuid, "FailedBatchId": id })).await?;
    let (words, is_done) = (redriven(id, &answer), answer["Done"] == true);
    Ok((answer, words, is_done))
}

/// What sending all of them again gave.
struct All {
    answers: Vec<Value>,
    words: String,
    is_done: bool,
    /// Why the last one could not be sent: told after what was done.
    broken_off: Option<anyhow::Error>,
}

/// Sends all failed batches again, until one fails or cannot be sent.
async fn redrive_all(own: &Own, mapping: &str) -> anyhow::Result<All> {
    let uuid = uuid(own, mapping).await?;
    let own = own.patient(REDRIVE_TIMEOUT);
    let batches = own.list("ListFailedBatches", json!({ "UUID": uuid }), "FailedBatches", usize::MAX).await?;
    let ids: Vec<&str> = batches.iter().map(|batch| text(batch, "FailedBatchId")).collect();
    let call = async |id: &str| own.call("RedriveFailedBatch", &json!({ "UUID": uuid, "FailedBatchId": id })).await;
    Ok(until_one_fails(&ids, call).await)
}

async fn until_one_fails(ids: &[&str], call: impl AsyncFn(&str) -> anyhow::Result<Value>) -> All {
    let mut all = All { answers: Vec::new(), words: String::new(), is_done: true, broken_off: None };
    for id in ids {
        let answer = match call(id).await {
            Ok(answer) => answer,
            Err(error) => {
                all.broken_off = Some(error.context(format!("{id} cannot be sent")));
                break;
            }
        };
        all.words += &redriven(id, &answer);
        all.is_done = answer["Done"] == true;
        all.answers.push(answer);
        if !all.is_done {
            break;
        }
    }
    if ids.is_empty() {
        all.words += "no failed batches\n";
    }
    all
}

fn redriven(id: &str, answer: &Value) -> String {
    let records = count(number(answer, "RecordCount"), "record", "records");
    let became =
        if answer["Done"] == true { "processed; it is off the list" } else { "sent, and it stays on the list" };
    let mut words = format!("{id}: {records} {became}\n");
    for event in answer["Events"].as_array().into_iter().flatten() {
        if text(event, "Outcome") != "SUCCEEDED" {
            let outcome = text(event, "Outcome").to_lowercase().replace('_', " ");
            // What a function says may hold anything, also what moves a terminal's cursor.
            let error: String = text(event, "Error").chars().filter(|c| !c.is_control()).collect();
            let request_id = text(event, "RequestId");
            words.extend([format!("  {outcome}: {error}\n"), format!("  request id {request_id}\n")]);
        }
    }
    words
}

fn list(batches: &[Value], with_mapping: bool, paint: Paint) -> String {
    if batches.is_empty() {
        return "no failed batches\n".to_owned();
    }
    let mut lines = Vec::new();
    let mut rows = vec![["FAILED BATCH", "RECORDS", "TRIES", "WHY", "DESTINATION"].map(str::to_owned).to_vec()];
    for batch in batches {
        rows.push(vec![
            text(batch, "FailedBatchId").to_owned(),
            number(batch, "RecordCount").to_string(),
            number(batch, "ApproximateInvokeCount").to_string(),
            why(batch).to_owned(),
            delivery(batch).to_owned(),
        ]);
    }
    let mut uuid = "";
    for (index, line) in table(&rows).into_iter().enumerate() {
        let Some(batch) = index.checked_sub(1).map(|index| &batches[index]) else {
            lines.push(paint.bold(&line));
            continue;
        };
        if with_mapping && text(batch, "UUID") != uuid {
            uuid = text(batch, "UUID");
            lines.push(format!("of {uuid}:"));
        }
        lines.push(line);
    }
    lines.join("\n") + "\n"
}

fn why(batch: &Value) -> &'static str {
    match text(batch, "Condition") {
        "RetryAttemptsExhausted" => "retries used up",
        "RecordAgeExceeded" => "too old",
        "TooLarge" => "too large",
        "Skipped" => "skipped",
        _ => "unknown",
    }
}

fn delivery(batch: &Value) -> &'static str {
    match text(batch, "Delivery") {
        "DELIVERED" => "delivered",
        "NOT_DELIVERED" => "not yet",
        "FAILED" => "failed",
        _ => "none",
    }
}

fn show(answer: &Value, paint: Paint) -> String {
    let batch = &answer["FailedBatch"];
    let at = |member: &str| moment(millis(batch, member).unwrap_or_default());
    let records = number(batch, "RecordCount");
    let left = number(answer, "AvailableRecordCount");
    let mut lines = vec![
        format!("Failed batch  {}", paint.bold(text(batch, "FailedBatchId"))),
        format!("Mapping       {}", text(batch, "UUID")),
        format!("Shard         {}", text(batch, "ShardId")),
        format!("Records       {records}, of which {left} still in the stream"),
        format!("  first       {}", text(batch, "StartSequenceNumber")),
        format!("  last        {}", text(batch, "EndSequenceNumber")),
        format!("  put         {} to {}", at("ApproximateArrivalOfFirstRecord"), at("ApproximateArrivalOfLastRecord")),
        format!("Given up      {}: {}", at("FailedTime"), paint.red(why(batch))),
        format!("Invocations   {}", number(batch, "ApproximateInvokeCount")),
        format!("Request id    {}", text(batch, "RequestId")),
    ];
    if let Some(version) = batch["ExecutedVersion"].as_str() {
        lines.push(format!("Version       {version}"));
    }
    let error = batch["DeliveryError"].as_str().map(|error| format!(": {error}")).unwrap_or_default();
    lines.push(format!("Destination   {}{error}", delivery(batch)));
    for record in answer["Records"].as_array().into_iter().flatten() {
        lines.push(String::new());
        lines.push(format!("{}  key {:?}", text(record, "SequenceNumber"), text(record, "PartitionKey")));
        lines.push(format!("  {}", data(text(record, "Data"))));
    }
    lines.join("\n") + "\n"
}

/// A record's data where it is text, with nothing that moves a terminal's cursor.
fn data(base64: &str) -> String {
    let bytes = base64_simd::STANDARD.decode_to_vec(base64).unwrap_or_default();
    match std::str::from_utf8(&bytes) {
        Ok(text) => {
            let shown: String = text.chars().take(DATA_CHARACTERS_MAX).collect();
            let cut = if shown.len() < text.len() { "…" } else { "" };
            format!("{}{cut}", shown.escape_debug())
        }
        Err(_) => {
            format!("{} that are no text; --json shows them in base64", count(bytes.len() as u64, "byte", "bytes"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_shown_as_far_as_it_is_text() {
        assert_eq!(data("aGkKG1szMW0="), r"hi\n\u{1b}[31m");
        assert_eq!(data("/w=="), "1 byte that are no text; --json shows them in base64");
    }

    #[test]
    fn failed_batches_are_listed_below_their_mapping() {
        let batch = |uuid: &str, id: &str| {
            json!({ "UUID": uuid, "FailedBatchId": id, "RecordCount": 3, "ApproximateInvokeCount": 4,
                    "Condition": "RetryAttemptsExhausted", "Delivery": "DELIVERED" })
        };
        let told = list(
            &[batch("u-1", "1-shardId-000000000000-1"), batch("u-2", "2-shardId-000000000000-1")],
            true,
            Paint::plain(80),
        );
        let expected = "\
FAILED BATCH              RECORDS  TRIES  WHY              DESTINATION
of u-1:
1-shardId-000000000000-1  3        4      retries used up  delivered
of u-2:
2-shardId-000000000000-1  3        4      retries used up  delivered
";
        assert_eq!(told, expected);
    }

    #[tokio::test]
    async fn what_was_sent_before_an_error_is_told() {
        let call = async |id: &str| match id {
            "3" => Err(anyhow::anyhow!("none of its records is in the stream any more")),
            _ => Ok(json!({ "RecordCount": 1, "Done": true, "Events": [] })),
        };
        let all = until_one_fails(&["1", "2", "3", "4"], call).await;
        assert_eq!(all.answers.len(), 2);
        assert_eq!(all.words, "1: 1 record processed; it is off the list\n2: 1 record processed; it is off the list\n");
        assert!(format!("{:#}", all.broken_off.unwrap()).contains("3 cannot be sent: none of its records"));
    }

    #[test]
    fn a_batch_that_fails_again_says_why() {
        let answer = json!({ "RecordCount": 1, "Done": false,
            "Events": [{ "RequestId": "r", "Outcome": "FUNCTION_FAILED", "Error": "{\"errorMessage\":\"no\"}" }] });
        let told = redriven("1-x-2", &answer);
        assert_eq!(
            told,
            "1-x-2: 1 record sent, and it stays on the list\n  function failed: {\"errorMessage\":\"no\"}\n  request id r\n"
        );
    }
}
