//! What a `PutRecords` request allocates on its way in, from the pieces of its body to the durable records and the
//! answer, and what reading them allocates: exact counts, so a record that begins to cost an allocation is seen at once.
#![expect(clippy::print_stdout, reason = "the figures are worth to be seen")]

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use millstream_client::sigv4::sha256;
use millstream_env::Random;
use millstream_stages::load::{Pieces, PutRequest, RECORD_BYTES, content_type, signed};
use millstream_stages::services::{World, disk_log};
use millstream_testkit::cost::{Allocations, CountingAllocator};
use millstream_wire::direct::Format;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const RUNS: usize = 9;
/// Of a request with few records: its head, its signature, its policies, its answer.
const OF_REQUEST_MAX: u64 = 220;
/// More for ten times the records: lists that double as they grow, and the body's later pieces.
const OF_GROWTH_MAX: u64 = 24;

/// The fewest allocations of several runs: without what happens once in a while, as a map that grows.
async fn fewest(world: &World, request: impl Fn() -> Request<Pieces>, answer_bytes_min: usize) -> u64 {
    let mut fewest = u64::MAX;
    for _ in 0..RUNS {
        let request = request();
        let before = Allocations::of_thread();
        let answer = world.answer(request).await.unwrap();
        fewest = fewest.min((Allocations::of_thread() - before).count);
        assert!(answer.len() > answer_bytes_min, "every record is in the answer");
    }
    fewest
}

async fn put(world: &World, format: Format, records: usize) -> u64 {
    let request = PutRequest::new("stream", format, records, &Random::seeded(1));
    let signed = || request.signed(&world.credentials, &world.clock).unwrap().map(|()| request.pieces());
    fewest(world, signed, records * 60).await
}

async fn get(world: &World, iterator: &str, records: usize) -> u64 {
    let body = json!({ "ShardIterator": iterator, "Limit": records }).to_string();
    let (sha256, body) = (sha256(body.as_bytes()), Bytes::from(body));
    let kind = content_type(Format::Json);
    let signed = || {
        let head = signed(&world.credentials, &world.clock, "GetRecords", kind, &sha256).unwrap();
        head.map(|()| Pieces::new(body.clone()))
    };
    fewest(world, signed, records * RECORD_BYTES).await
}

/// Runs `test` over a log on the disk. Requests run on this one thread; the log's own threads are not counted.
fn with_world(test: impl AsyncFnOnce(&World)) {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let log = disk_log(folder.path()).unwrap();
        test(&World::new(Arc::new(log.clone())).await.unwrap()).await;
        log.close().await;
    });
}

fn check(what: &str, few: u64, many: u64) {
    println!("{what}: {few} allocations for 50 records, {many} for 500");
    assert!(few <= OF_REQUEST_MAX, "{what}: a request costs {few} allocations");
    assert!(many <= few + OF_GROWTH_MAX, "{what}: 50 records cost {few} allocations, 500 cost {many}");
}

#[test]
fn a_record_costs_no_allocation_on_its_way_in() {
    with_world(async |world| {
        world.stream("stream", 16).await.unwrap();
        for format in [Format::Json, Format::Cbor] {
            let (few, many) = (put(world, format, 50).await, put(world, format, 500).await);
            check(&format!("PutRecords, {format:?}"), few, many);
        }
    });
}

#[test]
fn a_record_costs_no_allocation_on_its_way_out() {
    with_world(async |world| {
        world.stream("stream", 1).await.unwrap();
        put(world, Format::Json, 500).await;
        let first = json!({
            "StreamName": "stream", "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON",
        });
        let answer = world.kinesis("GetShardIterator", &first).await.unwrap();
        let iterator = answer["ShardIterator"].as_str().unwrap();
        let (few, many) = (get(world, iterator, 50).await, get(world, iterator, 500).await);
        check("GetRecords", few, many);
    });
}
