//! `millstream put`: lines become records.

use std::io::{BufRead, BufReader};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use millstream_env::{HostClock, Random};
use millstream_types::HashKey;
use millstream_types::aggregation::{self, SubRecord};
use serde_json::{Value, json};

use super::connection::{Connection, Kinesis, ListedShard};
use crate::commands::print;

/// Records of one request, and their bytes.
const BATCH_RECORDS_MAX: usize = 500;
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Size at which an aggregated record is sent, as the Kinesis Producer Library does by default.
const AGGREGATE_BYTES_MAX: usize = 50 * 1024;
/// What is read of the standard input at once.
const INPUT_BYTES: usize = 1 << 17;
/// How often records that the service refuses for now are sent again, and the first wait, which doubles.
const TRIES_MAX: u32 = 8;
const RETRY_WAIT: Duration = Duration::from_millis(100);

/// Put records into a stream: each line of the standard input, or what --data says.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    millstream put orders --data '{\"id\":1}' --partition-key customer-7\n  \
    journalctl --follow --output json | millstream put journal\n  \
    seq 100000 | millstream put numbers --aggregate")]
pub(crate) struct Arguments {
    /// The stream's name
    stream: String,
    /// One record with this text, instead of the standard input's lines
    #[arg(long, value_name = "TEXT")]
    data: Option<String>,
    /// The partition key of all records [default: a random one for each]
    #[arg(long, value_name = "KEY")]
    partition_key: Option<String>,
    /// Pack many records into one, in the format of the Kinesis Producer Library
    #[arg(long)]
    aggregate: bool,
    /// Print where each record went, as a JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// A record on its way.
struct Outgoing {
    partition_key: String,
    explicit_hash_key: Option<String>,
    data: Vec<u8>,
    /// User records inside.
    count: usize,
}

#[derive(Default)]
struct Totals {
    records: usize,
    bytes: usize,
    stored: usize,
}

struct Sender<'a> {
    arguments: &'a Arguments,
    kinesis: Kinesis,
    clock: HostClock,
    batch: Vec<Outgoing>,
    totals: Totals,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let clock = HostClock::real();
    let kinesis = arguments.connection.kinesis(&clock)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sender = Sender { arguments, kinesis, clock, batch: Vec::new(), totals: Totals::default() };
    let totals = runtime.block_on(put(sender))?;
    if !arguments.json {
        let Totals { records, bytes, stored } = totals;
        let inside = if arguments.aggregate { format!(" in {stored} aggregated records") } else { String::new() };
        print(&format!("put {records} records{inside}, {bytes} bytes, into {}\n", arguments.stream))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn put(mut sender: Sender<'_>) -> anyhow::Result<Totals> {
    let arguments = sender.arguments;
    let random = Random::system();
    let mut packer = None;
    if arguments.aggregate {
        packer = Some(Packer::new(sender.kinesis.shards(&arguments.stream, "AT_LATEST").await?)?);
    }
    let key = || arguments.partition_key.clone().unwrap_or_else(|| random.uuid());
    if let Some(data) = &arguments.data {
        sender.take(key(), data.clone().into_bytes(), packer.as_mut()).await?;
    } else {
        // One task does nothing else, so waiting for a line holds up nobody.
        let mut lines = BufReader::with_capacity(INPUT_BYTES, std::io::stdin());
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).context("the standard input")? > 0 {
            let end = line.strip_suffix(b"\n").map_or(line.len(), <[u8]>::len);
            sender.take(key(), line[..end].to_vec(), packer.as_mut()).await?;
            // Someone who types waits for what was typed.
            if !lines.buffer().contains(&b'\n') {
                sender.finish(packer.as_mut()).await?;
            }
            line.clear();
        }
    }
    sender.finish(packer.as_mut()).await?;
    Ok(sender.totals)
}

impl Sender<'_> {
    async fn take(&mut self, partition_key: String, data: Vec<u8>, packer: Option<&mut Packer>) -> anyhow::Result<()> {
        self.totals.records += 1;
        self.totals.bytes += data.len();
        let ready = match packer {
            Some(packer) => packer.add(SubRecord { partition_key, explicit_hash_key: None, data }),
            None => Some(Outgoing { partition_key, explicit_hash_key: None, data, count: 1 }),
        };
        if let Some(record) = ready {
            self.push(record).await?;
        }
        Ok(())
    }

    async fn push(&mut self, record: Outgoing) -> anyhow::Result<()> {
        let bytes: usize = self.batch.iter().map(|record| record.data.len()).sum();
        if self.batch.len() == BATCH_RECORDS_MAX || bytes + record.data.len() > BATCH_BYTES_MAX {
            self.flush().await?;
        }
        self.batch.push(record);
        Ok(())
    }

    async fn finish(&mut self, packer: Option<&mut Packer>) -> anyhow::Result<()> {
        for record in packer.map(Packer::drain).unwrap_or_default() {
            self.push(record).await?;
        }
        self.flush().await
    }

    /// Sends the batch; what is refused for now is sent again, so that the order of a key holds only where it all went
    /// through at once, as with every producer.
    async fn flush(&mut self) -> anyhow::Result<()> {
        let mut wait = RETRY_WAIT;
        for _ in 0..TRIES_MAX {
            if self.batch.is_empty() {
                return Ok(());
            }
            let records: Vec<Value> = self.batch.iter().map(Outgoing::wire).collect();
            let input = json!({ "StreamName": self.arguments.stream, "Records": records });
            let answer = self.kinesis.call("PutRecords", &input).await?;
            let results = answer["Records"].as_array().cloned().unwrap_or_default();
            let mut refused = Vec::new();
            for (record, result) in self.batch.drain(..).zip(results) {
                if result["SequenceNumber"].is_null() {
                    refused.push((record, result));
                    continue;
                }
                self.totals.stored += 1;
                if self.arguments.json {
                    let shown = json!({
                        "ShardId": result["ShardId"], "SequenceNumber": result["SequenceNumber"],
                        "PartitionKey": record.partition_key, "UserRecords": record.count,
                    });
                    print(&format!("{shown}\n"))?;
                }
            }
            let Some((_, last)) = refused.last() else { return Ok(()) };
            let reason = last["ErrorMessage"].as_str().unwrap_or_default().to_owned();
            self.batch = refused.into_iter().map(|(record, _)| record).collect();
            tracing::debug!(refused = self.batch.len(), reason, "trying again");
            self.clock.sleep(wait).await;
            wait *= 2;
        }
        bail!("{} records were refused {TRIES_MAX} times; is the stream limited or the disk full?", self.batch.len())
    }
}

impl Outgoing {
    fn wire(&self) -> Value {
        let mut value = json!({
            "PartitionKey": self.partition_key,
            "Data": base64_simd::STANDARD.encode_to_string(&self.data),
        });
        if let Some(key) = &self.explicit_hash_key {
            value["ExplicitHashKey"] = json!(key);
        }
        value
    }
}

/// Collects records by shard: consumers drop an aggregate whose records belong to several.
struct Packer {
    /// In order of hash key, each with what it is to get.
    shards: Vec<(HashKey, Vec<SubRecord>, usize)>,
}

impl Packer {
    fn new(shards: Vec<ListedShard>) -> anyhow::Result<Self> {
        let mut shards: Vec<_> = shards.into_iter().map(|shard| (shard.range.start, Vec::new(), 0)).collect();
        shards.sort_by_key(|(start, ..)| *start);
        if shards.first().is_none_or(|(start, ..)| start.0 != 0) {
            bail!("the stream's open shards leave a hole just now; try again");
        }
        Ok(Self { shards })
    }

    /// An aggregate that is full, when `record` fills one.
    fn add(&mut self, record: SubRecord) -> Option<Outgoing> {
        let key = HashKey::of_partition_key(&record.partition_key);
        let place = self.shards.partition_point(|(start, ..)| *start <= key) - 1;
        let (_, records, bytes) = &mut self.shards[place];
        let more = record.data.len() + record.partition_key.len();
        let full = (!records.is_empty() && *bytes + more > AGGREGATE_BYTES_MAX).then(|| pack(std::mem::take(records)));
        *bytes = if full.is_some() { more } else { *bytes + more };
        records.push(record);
        full
    }

    fn drain(&mut self) -> Vec<Outgoing> {
        let filled = self.shards.iter_mut().filter(|(_, records, _)| !records.is_empty());
        filled
            .map(|(_, records, bytes)| {
                *bytes = 0;
                pack(std::mem::take(records))
            })
            .collect()
    }
}

/// A lone record goes as it is; others under the key `a` and the hash key of the first one, as the library does.
fn pack(mut records: Vec<SubRecord>) -> Outgoing {
    if records.len() == 1 {
        let SubRecord { partition_key, data, .. } = records.remove(0);
        return Outgoing { partition_key, explicit_hash_key: None, data, count: 1 };
    }
    let hash_key = HashKey::of_partition_key(&records[0].partition_key).to_string();
    Outgoing {
        partition_key: "a".to_owned(),
        explicit_hash_key: Some(hash_key),
        data: aggregation::encode(&records),
        count: records.len(),
    }
}
