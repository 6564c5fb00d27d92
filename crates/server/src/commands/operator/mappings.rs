//! `millstream mappings`: how far mappings are, what blocks them, and what can be done about it.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::find::{function, source, uuid};
use super::own::{Own, number, text};
use super::paint::{Paint, count, table};
use super::rewind::{self, Target};
use super::{batches, confirm, show};
use crate::commands::print;
use crate::commands::streams::connection::Connection;

/// Batches below a mapping that is shown.
const LAST_BATCHES: usize = 5;
/// Mappings of a list that are asked whether they are paused.
const ASKED_MAX: usize = 200;

/// Show event source mappings: how far they are and what blocks them; pause, step, skip, rewind.
#[derive(Args, Debug)]
#[command(
    after_help = "A mapping is named by its UUID, the beginning of it, or by its function when that has just one.\n\n\
    Examples:\n  \
    millstream mappings list\n  \
    millstream mappings show orders            # what is it waiting for, and which records block it\n  \
    millstream mappings history orders --limit 50\n  \
    millstream mappings pause orders && millstream mappings step orders\n  \
    millstream mappings skip orders --shard shardId-000000000003\n  \
    millstream mappings rewind orders --to 2026-12-24T18:00:00Z\n  \
    millstream mappings rewind orders --to latest --yes"
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
    /// List the mappings of the account and region
    List,
    /// Show the state of a mapping, its shards, what blocks them, and its last batches
    Show(Named),
    /// List what happened to the last batches, the newest first
    History {
        #[command(flatten)]
        named: Named,
        /// Only this shard
        #[arg(long, value_name = "ID")]
        shard: Option<String>,
        /// How many batches at most
        #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// Begin nothing new; what runs goes on to its end
    Pause(Named),
    /// Go on after a pause
    Resume(Named),
    /// Let each lane of a paused mapping begin one more invocation
    Step {
        #[command(flatten)]
        named: Named,
        /// Only this shard
        #[arg(long, value_name = "ID")]
        shard: Option<String>,
    },
    /// Give up the batches that wait to be tried again, and pass them over; `millstream failed` keeps them
    Skip {
        #[command(flatten)]
        named: Named,
        /// Only this shard
        #[arg(long, value_name = "ID")]
        shard: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Go on from another position: records are delivered again, or passed over
    #[command(after_help = "Examples:\n  \
        millstream mappings rewind orders --to horizon       # everything that the stream still has\n  \
        millstream mappings rewind orders --to latest        # pass over what is there\n  \
        millstream mappings rewind orders --to 2026-12-24T18:00:00Z --shard shardId-000000000003\n  \
        millstream mappings rewind orders --to 49590338271490256608559692538361571095921575989136588898 --shard shardId-000000000000")]
    Rewind {
        #[command(flatten)]
        named: Named,
        /// horizon, latest, a moment such as 2026-12-24T18:00:00Z, or the sequence number of a record
        #[arg(long, value_name = "horizon|latest|TIME|SEQUENCE_NUMBER")]
        to: Target,
        /// Only this shard; may be given several times
        #[arg(long = "shard", value_name = "ID")]
        shards: Vec<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// How long to wait until it is done
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        timeout: u32,
    },
}

#[derive(Args, Debug)]
struct Named {
    /// UUID, beginning of a UUID, or function
    #[arg(value_name = "MAPPING")]
    mapping: String,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let own = Own::new(&arguments.connection)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(act(arguments, &own))
}

async fn act(arguments: &Arguments, own: &Own) -> anyhow::Result<ExitCode> {
    let paint = Paint::of_stdout();
    let (answer, words) = match &arguments.action {
        Action::List => list(own, paint).await?,
        Action::Show(named) => show_one(own, &named.mapping, paint).await?,
        Action::History { named, shard, limit } => {
            let input = on_shard(&uuid(own, &named.mapping).await?, shard.as_deref());
            let listed = own.list("ListBatches", input, "Batches", usize::try_from(*limit)?).await?;
            let lines = batches::lines(&listed, paint);
            let words = if lines.is_empty() {
                "no batch since the server was started\n".to_owned()
            } else {
                lines.join("\n") + "\n"
            };
            (json!({ "Batches": listed }), words)
        }
        Action::Pause(named) => {
            let uuid = uuid(own, &named.mapping).await?;
            let answer = own.call("PauseMapping", &json!({ "UUID": uuid })).await?;
            (answer, format!("{uuid} is paused; what runs goes on to its end\n"))
        }
        Action::Resume(named) => {
            let uuid = uuid(own, &named.mapping).await?;
            (own.call("ResumeMapping", &json!({ "UUID": uuid })).await?, format!("{uuid} goes on\n"))
        }
        Action::Step { named, shard } => {
            let input = on_shard(&uuid(own, &named.mapping).await?, shard.as_deref());
            let answer = own.call("StepMapping", &input).await?;
            let told = count(number(&answer, "ShardCount"), "shard takes", "shards take");
            (answer, format!("{told} one step\n"))
        }
        Action::Skip { named, shard, yes } => {
            let uuid = uuid(own, &named.mapping).await?;
            if !*yes && !confirm(&skip_question(own, &uuid, shard.as_deref()).await?, false)? {
                return Ok(ExitCode::FAILURE);
            }
            let answer = own.call("SkipBatches", &on_shard(&uuid, shard.as_deref())).await?;
            let words = skipped(&answer, &uuid);
            (answer, words)
        }
        Action::Rewind { named, to, shards, yes, timeout } => {
            let uuid = uuid(own, &named.mapping).await?;
            match rewind::rewind(own, &uuid, to, shards, *yes, *timeout).await? {
                Some(told) => told,
                None => return Ok(ExitCode::FAILURE),
            }
        }
    };
    print(&if arguments.json { serde_json::to_string_pretty(&answer)? + "\n" } else { words })?;
    Ok(ExitCode::SUCCESS)
}

async fn list(own: &Own, paint: Paint) -> anyhow::Result<(Value, String)> {
    let listed = own.listed().await?;
    let mut rows = vec![["UUID", "FUNCTION", "STREAM", "STATE"].map(str::to_owned).to_vec()];
    for (index, mapping) in listed.iter().enumerate() {
        let mut state = text(mapping, "State").to_owned();
        if index < ASKED_MAX {
            let asked = own.call("DescribeMapping", &json!({ "UUID": mapping["UUID"], "MaxResults": 1 })).await;
            // Whoever may list mappings need not be allowed to look into them.
            if asked.is_ok_and(|described| described["Paused"] == true) {
                state += ", paused";
            }
        }
        rows.push(vec![
            text(mapping, "UUID").to_owned(),
            function(text(mapping, "FunctionArn")).to_owned(),
            source(text(mapping, "EventSourceArn")),
            state,
        ]);
    }
    let mut lines = table(&rows);
    lines[0] = paint.bold(&lines[0]);
    let words =
        if listed.is_empty() { "there are no event source mappings\n".to_owned() } else { lines.join("\n") + "\n" };
    Ok((json!({ "EventSourceMappings": listed }), words))
}

async fn show_one(own: &Own, name: &str, paint: Paint) -> anyhow::Result<(Value, String)> {
    let uuid = uuid(own, name).await?;
    let mapping = own.mapping(&uuid).await?;
    let batches = own.list("ListBatches", json!({ "UUID": uuid }), "Batches", LAST_BATCHES).await?;
    // A virtual clock tells another time than ours. Whoever may not see it gets ours.
    let clock = own.call("GetClock", &json!({})).await.ok();
    let now = clock.and_then(|clock| super::own::millis(&clock, "Now"));
    let words = show::mapping(&mapping, &batches, now.unwrap_or_else(|| own.clock.now().millis()), paint);
    Ok((json!({ "Mapping": mapping, "LastBatches": batches }), words))
}

fn on_shard(uuid: &str, shard: Option<&str>) -> Value {
    let mut input = json!({ "UUID": uuid });
    if let Some(shard) = shard {
        input["ShardId"] = shard.into();
    }
    input
}

/// What a skip would pass over.
async fn skip_question(own: &Own, uuid: &str, shard: Option<&str>) -> anyhow::Result<String> {
    let mapping = own.mapping(uuid).await?;
    let mut lines = Vec::new();
    for of in mapping["Shards"].as_array().into_iter().flatten() {
        if shard.is_some_and(|shard| shard != text(of, "ShardId")) {
            continue;
        }
        for lane in of["Lanes"].as_array().into_iter().flatten().filter(|lane| lane["State"] == "WAITING") {
            let records = count(number(lane, "RecordCount"), "record", "records");
            let (first, last) = (text(lane, "FirstSequenceNumber"), text(lane, "LastSequenceNumber"));
            lines.push(format!("{}: {records}\n  first  {first}\n  last   {last}", text(of, "ShardId")));
        }
    }
    let list =
        if lines.is_empty() { "No batch waits to be tried again at the moment.".to_owned() } else { lines.join("\n") };
    Ok(format!("{list}\nPass over what waits to be tried again, without sending it to the destination?"))
}

fn skipped(answer: &Value, uuid: &str) -> String {
    let mut words = String::new();
    for batch in answer["Batches"].as_array().into_iter().flatten() {
        let (first, last) = (text(batch, "FirstSequenceNumber"), text(batch, "LastSequenceNumber"));
        words.extend([format!("skipped in {}:\n  first  {first}\n  last   {last}\n", text(batch, "ShardId"))]);
    }
    words + &format!("They are kept: millstream failed list {uuid}\n")
}
