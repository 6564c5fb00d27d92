//! `millstream tail`: a stream's records as lines, as they come.

use std::collections::{HashMap, HashSet};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use millstream_env::HostClock;
use millstream_types::aggregation;
use serde_json::{Value, json};

use super::connection::{Connection, Kinesis};
use crate::commands::print;

/// Between two rounds over shards that have nothing new: AWS allows five reads of a shard a second.
const PAUSE: Duration = Duration::from_millis(200);
/// Records of one read.
const READ_RECORDS_MAX: usize = 1000;

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum From {
    /// With what is put from now on
    Latest,
    /// With the oldest record that is kept
    TrimHorizon,
}

/// Print the records of a stream as they come, those inside aggregated records one by one.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    millstream tail orders\n  \
    millstream tail orders --from trim-horizon --no-follow --json | jq -r .data")]
pub(crate) struct Arguments {
    /// The stream's name
    stream: String,
    /// Where to begin
    #[arg(long, value_enum, default_value_t = From::Latest)]
    from: From,
    /// End when there is nothing more, instead of waiting
    #[arg(long)]
    no_follow: bool,
    /// End after this many records
    #[arg(long, value_name = "N")]
    records: Option<usize>,
    /// Show aggregated records as they are stored
    #[arg(long)]
    no_deaggregate: bool,
    /// A JSON object for each record
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// The shards that are being read, and those that were.
struct Reading<'a> {
    arguments: &'a Arguments,
    kinesis: Kinesis,
    iterators: HashMap<String, String>,
    /// Children that wait until all their parents are read, with those parents.
    waiting: HashMap<String, Vec<String>>,
    begun: HashSet<String>,
    ended: HashSet<String>,
    left: usize,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let clock = HostClock::real();
    let kinesis = arguments.connection.kinesis(&clock)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            result = tail(arguments, kinesis, &clock) => result,
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn tail(arguments: &Arguments, kinesis: Kinesis, clock: &HostClock) -> anyhow::Result<()> {
    let (filter, position) = match arguments.from {
        From::Latest => ("AT_LATEST", "LATEST"),
        From::TrimHorizon => ("AT_TRIM_HORIZON", "TRIM_HORIZON"),
    };
    let shards = kinesis.shards(&arguments.stream, filter).await?;
    let left = arguments.records.unwrap_or(usize::MAX);
    let mut reading = Reading {
        arguments,
        kinesis,
        iterators: HashMap::new(),
        waiting: HashMap::new(),
        begun: HashSet::new(),
        ended: HashSet::new(),
        left,
    };
    for shard in &shards {
        reading.begin(&shard.id, position).await?;
    }
    while reading.left > 0 && !reading.iterators.is_empty() {
        let found = reading.round().await?;
        if !found {
            if arguments.no_follow {
                return Ok(());
            }
            clock.sleep(PAUSE).await;
        }
    }
    Ok(())
}

impl Reading<'_> {
    async fn begin(&mut self, shard: &str, position: &str) -> anyhow::Result<()> {
        if !self.begun.insert(shard.to_owned()) {
            return Ok(());
        }
        let input = json!({ "StreamName": self.arguments.stream, "ShardId": shard, "ShardIteratorType": position });
        let answer = self.kinesis.call("GetShardIterator", &input).await?;
        let iterator = answer["ShardIterator"].as_str().unwrap_or_default().to_owned();
        self.iterators.insert(shard.to_owned(), iterator);
        Ok(())
    }

    /// Reads each shard once; whether anything may follow at once.
    async fn round(&mut self) -> anyhow::Result<bool> {
        let mut found = false;
        let mut shards: Vec<String> = self.iterators.keys().cloned().collect();
        shards.sort_unstable();
        for shard in shards {
            let input = json!({ "ShardIterator": self.iterators[&shard], "Limit": READ_RECORDS_MAX });
            let page = self.kinesis.call("GetRecords", &input).await?;
            for record in page["Records"].as_array().into_iter().flatten() {
                self.show(&shard, record)?;
                if self.left == 0 {
                    return Ok(true);
                }
            }
            found |= page["MillisBehindLatest"].as_u64().is_some_and(|millis| millis > 0);
            if let Some(next) = page["NextShardIterator"].as_str() {
                self.iterators.insert(shard, next.to_owned());
            } else {
                self.end(&shard, &page["ChildShards"]).await?;
                found = true;
            }
        }
        Ok(found)
    }

    /// A shard is read to its end: children whose parents all are begin with their first record.
    async fn end(&mut self, shard: &str, children: &Value) -> anyhow::Result<()> {
        self.iterators.remove(shard);
        self.ended.insert(shard.to_owned());
        for child in children.as_array().into_iter().flatten() {
            let parents = child["ParentShards"].as_array().into_iter().flatten();
            let parents = parents.filter_map(|parent| Some(parent.as_str()?.to_owned())).collect();
            self.waiting.insert(child["ShardId"].as_str().unwrap_or_default().to_owned(), parents);
        }
        // A parent that was never begun ended before this reading did, so nothing of it is wanted.
        let is_done = |parent: &String| self.ended.contains(parent) || !self.begun.contains(parent);
        let ready: Vec<String> = self
            .waiting
            .iter()
            .filter(|(_, parents)| parents.iter().all(is_done))
            .map(|(child, _)| child.clone())
            .collect();
        for child in ready {
            self.waiting.remove(&child);
            self.begin(&child, "TRIM_HORIZON").await?;
        }
        Ok(())
    }

    fn show(&mut self, shard: &str, record: &Value) -> anyhow::Result<()> {
        let text = |name: &str| record[name].as_str().unwrap_or_default();
        let data = base64_simd::STANDARD.decode_to_vec(text("Data"))?;
        let inside = if self.arguments.no_deaggregate { None } else { aggregation::decode(&data) };
        let (number, arrival) = (text("SequenceNumber"), &record["ApproximateArrivalTimestamp"]);
        let Some(inside) = inside else {
            return self.line(shard, number, None, arrival, text("PartitionKey"), &data);
        };
        for (index, sub) in inside.iter().enumerate() {
            self.line(shard, number, Some(index), arrival, &sub.partition_key, &sub.data)?;
            if self.left == 0 {
                break;
            }
        }
        Ok(())
    }

    fn line(
        &mut self,
        shard: &str,
        number: &str,
        index: Option<usize>,
        arrival: &Value,
        key: &str,
        data: &[u8],
    ) -> anyhow::Result<()> {
        self.left -= 1;
        let text = std::str::from_utf8(data);
        if self.arguments.json {
            let mut shown = json!({
                "shardId": shard, "sequenceNumber": number, "partitionKey": key,
                "approximateArrivalTimestamp": arrival,
            });
            match text {
                Ok(text) => shown["data"] = json!(text),
                Err(_) => shown["dataBase64"] = json!(base64_simd::STANDARD.encode_to_string(data)),
            }
            if let Some(index) = index {
                shown["subSequenceNumber"] = json!(index);
            }
            return print(&format!("{shown}\n"));
        }
        let shard = shard.trim_start_matches("shardId-").trim_start_matches('0');
        let shard = if shard.is_empty() { "0" } else { shard };
        let shown = text.map_or_else(|_| format!("<{} bytes>", data.len()), |text| text.escape_debug().to_string());
        let index = index.map(|index| format!(".{index}")).unwrap_or_default();
        print(&format!("{shard:>4}  {number}{index}  {key}  {shown}\n"))
    }
}
