//! `bench get`: how fast a reader catches up with everything that is stored.
//!
//! Fills a stream, starts the server again so that nothing is in its memory, and reads every shard from its oldest record
//! on: a first time from the disk, then once more.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::Method;
use memchr::{memchr, memmem};
use millstream_client::{Client, Credentials};
use serde_json::json;
use tokio::sync::Mutex;

use super::load::Progress;
use super::put::{STREAM, drive, prepare};
use super::report::{self, Figures};
use super::target::Target;
use super::{ReadShape, World};
use crate::commands::histogram::Histogram;
use crate::commands::{api, print};

const SHARDS_DEFAULT: u32 = 256;
/// What each record of an answer has once.
const RECORD_SIGN: &[u8] = b"\"PartitionKey\":";

pub(crate) async fn run(world: &World, read: &ReadShape) -> anyhow::Result<()> {
    let shape = &read.shape;
    let shards = shape.shards.unwrap_or(SHARDS_DEFAULT);
    let mut target = Target::start(world, shape).await?;
    let load = prepare(world, shape, &target, vec![STREAM.to_owned()], shards).await?;
    let progress = Arc::new(Progress::default());
    drive(world, shape, &load, &progress, 0).await?;
    let stored = progress.records.load(Ordering::Relaxed);
    if !shape.ephemeral {
        target = target.restarted(world).await?;
    }
    let first = pass(world, read, &target, &load.credentials, shards, stored).await?;
    let second = pass(world, read, &target, &load.credentials, shards, stored).await?;
    target.stop(world).await?;
    if shape.json {
        return print(&format!("{}\n", json!({ "first": first.json(), "second": second.json() })));
    }
    print(&format!(
        "get: {} readers, {shards} shards, {} bytes a record\nfirst pass, after a start\n{}second pass\n{}",
        read.readers,
        shape.record_bytes,
        first.table(),
        second.table()
    ))
}

/// What the readers of one pass share.
struct Pass {
    client: Client,
    shards: Mutex<VecDeque<u32>>,
    records: AtomicU64,
    latencies: Mutex<Histogram>,
}

async fn pass(
    world: &World,
    read: &ReadShape,
    target: &Target,
    credentials: &Credentials,
    shards: u32,
    stored: u64,
) -> anyhow::Result<Figures> {
    let endpoint = format!("http://{}", target.address);
    let client = Client::new(&endpoint, credentials.clone(), api::REGION, world.clock.clone())?;
    let pass = Arc::new(Pass {
        client,
        shards: Mutex::new((0..shards).collect()),
        records: AtomicU64::new(0),
        latencies: Mutex::default(),
    });
    let meter = target.meter()?;
    let started = world.clock.monotonic();
    let readers: Vec<_> =
        (0..read.readers).map(|_| world.tasks.spawn(read_shards(world.clone(), Arc::clone(&pass)))).collect();
    while !read.shape.json && readers.iter().any(|reader| !reader.is_finished()) {
        world.clock.sleep(Duration::from_millis(500)).await;
        report::progress(&format!("{} of {stored} records read", pass.records.load(Ordering::Relaxed)));
    }
    for reader in readers {
        reader.await??;
    }
    report::progress_done();
    let records = pass.records.load(Ordering::Relaxed);
    anyhow::ensure!(records >= stored, "{records} records were read, but {stored} were acknowledged");
    let (server_cpu, client_cpu) = meter.spent()?;
    Ok(Figures {
        elapsed: world.clock.monotonic().saturating_sub(started),
        records,
        failed: 0,
        bytes: records * u64::from(read.shape.record_bytes),
        latencies: pass.latencies.lock().await.clone(),
        latency_of: "request answered",
        server_cpu,
        client_cpu,
        batches: None,
        bare: None,
    })
}

/// Takes shard after shard and reads each to its tip.
async fn read_shards(world: World, pass: Arc<Pass>) -> anyhow::Result<()> {
    loop {
        let Some(shard) = pass.shards.lock().await.pop_front() else { return Ok(()) };
        let shard = format!("shardId-{shard:012}");
        let begin = json!({ "StreamName": STREAM, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON" });
        let answer = pass.client.json("kinesis", "Kinesis_20131202.GetShardIterator", &begin).await?;
        let mut iterator = answer["ShardIterator"].as_str().context("no iterator")?.to_owned();
        loop {
            let started = world.clock.monotonic();
            let body = get_records(&pass.client, &iterator).await?;
            let took = world.clock.monotonic().saturating_sub(started);
            pass.latencies.lock().await.record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
            // Counted without parsing: a client's own work is not what is measured.
            let count = memmem::find_iter(&body, RECORD_SIGN).count() as u64;
            pass.records.fetch_add(count, Ordering::Relaxed);
            iterator = text_after(&body, b"\"NextShardIterator\":\"").context("no next iterator")?.to_owned();
            if behind(&body) == Some(0) {
                break;
            }
        }
    }
}

async fn get_records(client: &Client, iterator: &str) -> anyhow::Result<Bytes> {
    let body = json!({ "ShardIterator": iterator, "Limit": 10_000 }).to_string();
    let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "Kinesis_20131202.GetRecords")];
    Ok(client.send("kinesis", &Method::POST, "/", &headers, body.into()).await?.body)
}

fn behind(body: &[u8]) -> Option<u64> {
    let at = memmem::find(body, b"\"MillisBehindLatest\":")? + b"\"MillisBehindLatest\":".len();
    let digits = body[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&body[at..at + digits]).ok()?.parse().ok()
}

fn text_after<'a>(body: &'a [u8], sign: &[u8]) -> Option<&'a str> {
    let at = memmem::find(body, sign)? + sign.len();
    let length = memchr(b'"', &body[at..])?;
    std::str::from_utf8(&body[at..at + length]).ok()
}
