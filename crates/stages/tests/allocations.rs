//! What a `PutRecords` request allocates on its way in, from the pieces of its body to the durable records and the
//! answer, and what reading them allocates: exact counts, so a record that begins to cost an allocation is seen at once.
#![expect(clippy::print_stdout, reason = "the figures are worth to be seen")]

use std::sync::Arc;

use millstream_env::Random;
use millstream_stages::load::PutRequest;
use millstream_stages::services::{World, disk_log};
use millstream_testkit::cost::{Allocations, CountingAllocator};
use millstream_wire::direct::Format;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const RUNS: usize = 9;
/// Of a request with few records: its head, its signature, its policies, its answer.
const OF_REQUEST_MAX: u64 = 220;
/// More for ten times the records: lists that double as they grow, and the body's later pieces.
const OF_GROWTH_MAX: u64 = 24;

/// The fewest allocations of several runs: without what happens once in a while, as a map that grows.
async fn allocations(world: &World, format: Format, records: usize) -> u64 {
    let request = PutRequest::new("stream", format, records, &Random::seeded(1));
    let mut fewest = u64::MAX;
    for _ in 0..RUNS {
        let head = request.signed(&world.credentials, &world.clock).unwrap();
        let request = head.map(|()| request.pieces());
        let before = Allocations::of_thread();
        let answer = world.answer(request).await.unwrap();
        fewest = fewest.min((Allocations::of_thread() - before).count);
        assert!(answer.len() > records * 60, "every record has its number in the answer");
    }
    fewest
}

#[test]
fn a_record_costs_no_allocation_on_its_way_in() {
    let folder = tempfile::tempdir().unwrap();
    // Requests run on this one thread; the log's own threads are not counted.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let log = disk_log(folder.path()).unwrap();
        let world = World::new(Arc::new(log.clone())).await.unwrap();
        world.stream("stream", 16).await.unwrap();
        for format in [Format::Json, Format::Cbor] {
            let (few, many) = (allocations(&world, format, 50).await, allocations(&world, format, 500).await);
            println!("{format:?}: {few} allocations for 50 records, {many} for 500");
            assert!(few <= OF_REQUEST_MAX, "{format:?}: a request costs {few} allocations");
            assert!(many <= few + OF_GROWTH_MAX, "{format:?}: 50 records cost {few} allocations, 500 cost {many}");
        }
        log.close().await;
    });
}
