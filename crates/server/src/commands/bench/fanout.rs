//! `bench fanout`: how fast records reach subscribers of enhanced fan-out.
//!
//! Each consumer subscribes to every shard over a connection of its own. A record holds the time of its put, so that the
//! time until the subscriber has it can be told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use base64_simd::STANDARD;
use memchr::memmem;
use millstream_env::HostClock;
use millstream_wire::event_stream;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::load::{self, Load, Progress};
use super::put::{STREAM, drive, prepare};
use super::report::Figures;
use super::target::Target;
use super::{FanoutShape, World};
use crate::commands::histogram::Histogram;
use crate::commands::print;

const SHARDS_DEFAULT: u32 = 4;
/// How long the last records may take to arrive.
const ARRIVAL_LIMIT: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(20);
const DATA_SIGN: &[u8] = b"\"Data\":\"";
/// Base64 of the eight bytes that hold the time of the put, and one more.
const TIME_TEXT_BYTES: usize = 12;

/// What all subscribers have received.
#[derive(Default)]
struct Received {
    records: AtomicU64,
    latencies: Mutex<Histogram>,
}

pub(crate) async fn run(world: &World, fanout: &FanoutShape) -> anyhow::Result<()> {
    let shape = &fanout.shape;
    let shards = shape.shards.unwrap_or(SHARDS_DEFAULT);
    let target = Target::start(world, shape).await?;
    let load = prepare(world, shape, &target, vec![STREAM.to_owned()], shards).await?;
    let received = Arc::new(Received::default());
    let api = target.api(world)?;
    for consumer in 0..fanout.consumers {
        let arn = api.consumer(STREAM, &format!("consumer-{consumer}")).await?;
        for shard in 0..shards {
            let subscription = subscribe(&load, &world.clock, &arn, shard).await?;
            let (received, clock) = (Arc::clone(&received), world.clock.clone());
            world.tasks.spawn_dropped_on_cancel(async move {
                // The end of the server ends the subscription too.
                if let Err(error) = receive(subscription, &received, &clock).await {
                    tracing::debug!(%error, "a subscription ended");
                }
            });
        }
    }
    let meter = target.meter()?;
    let progress = Arc::new(Progress::default());
    let started = world.clock.monotonic();
    drive(world, shape, &load, &progress, fanout.rate).await?;
    let stored = progress.records.load(Ordering::Relaxed);
    let expected = stored * u64::from(fanout.consumers);
    let until = world.clock.monotonic() + ARRIVAL_LIMIT;
    while received.records.load(Ordering::Relaxed) < expected {
        if world.clock.monotonic() > until {
            bail!("{} of {expected} records arrived", received.records.load(Ordering::Relaxed));
        }
        world.clock.sleep(PAUSE).await;
    }
    let (server_cpu, client_cpu) = meter.spent()?;
    let figures = Figures {
        elapsed: world.clock.monotonic().saturating_sub(started),
        records: expected,
        failed: progress.failed.load(Ordering::Relaxed),
        bytes: expected * u64::from(shape.record_bytes),
        latencies: received.latencies.lock().await.clone(),
        latency_of: "put → subscriber",
        server_cpu,
        client_cpu,
        batches: None,
        bare: None,
    };
    target.stop(world).await?;
    if shape.json {
        return print(&format!("{}\n", figures.json()));
    }
    print(&format!(
        "fanout: {} consumers of {shards} shards, {stored} records put; figures of what was delivered\n{}",
        fanout.consumers,
        figures.table()
    ))
}

/// Opens a subscription from the oldest record on.
async fn subscribe(
    load: &Arc<Load>,
    clock: &HostClock,
    consumer_arn: &str,
    shard: u32,
) -> anyhow::Result<BufReader<TcpStream>> {
    let body = json!({
        "ConsumerARN": consumer_arn, "ShardId": format!("shardId-{shard:012}"),
        "StartingPosition": { "Type": "TRIM_HORIZON" },
    });
    let body = body.to_string().into_bytes();
    let mut stream = BufReader::with_capacity(1 << 17, TcpStream::connect(load.address).await?);
    let head = load::signed_head(load, "SubscribeToShard", &body, clock)?;
    stream.get_mut().write_all(&head).await?;
    stream.get_mut().write_all(&body).await?;
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    ensure!(line.contains(" 200 "), "a subscription was refused: {}", line.trim_end());
    while line.trim_end() != "" {
        line.clear();
        stream.read_line(&mut line).await?;
    }
    Ok(stream)
}

async fn receive(mut stream: BufReader<TcpStream>, received: &Received, clock: &HostClock) -> anyhow::Result<()> {
    let (mut line, mut bytes) = (String::new(), Vec::new());
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let length = usize::from_str_radix(line.trim_end(), 16).context("the size of a chunk")?;
        if length == 0 {
            return Ok(());
        }
        let start = bytes.len();
        bytes.resize(start + length, 0);
        stream.read_exact(&mut bytes[start..]).await?;
        stream.read_exact(&mut [0; 2]).await?;
        let mut taken = 0;
        while let Some((message, length)) = event_stream::decode(&bytes[taken..])? {
            count(message.payload, received, clock).await;
            taken += length;
        }
        bytes.drain(..taken);
    }
}

/// Counts the records of one event, without parsing the rest of it.
async fn count(payload: &[u8], received: &Received, clock: &HostClock) {
    let now = clock.now_micros();
    let (mut latencies, mut records) = (Histogram::default(), 0);
    for at in memmem::find_iter(payload, DATA_SIGN) {
        records += 1;
        let text = payload[at + DATA_SIGN.len()..].get(..TIME_TEXT_BYTES).unwrap_or_default();
        if let Ok(data) = STANDARD.decode_to_vec(text)
            && let Some(time) = data.first_chunk()
        {
            latencies.record(now.saturating_sub(u64::from_le_bytes(*time)));
        }
    }
    if records > 0 {
        received.latencies.lock().await.merge(&latencies);
        received.records.fetch_add(records, Ordering::Relaxed);
    }
}
