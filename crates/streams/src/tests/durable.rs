//! The same operations over the log and the catalog on disk, with many producers at once and a restart in between.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use millstream_catalog::{RedbOptions, RedbStore, SharedStore};
use millstream_env::{Disk, HostClock, Random, RealDisk, ServiceClock, Tasks, VirtualTime};
use millstream_log::{DiskLog, SharedLog, disk};
use millstream_wire::kinesis::ShardIteratorType::{AfterSequenceNumber, TrimHorizon};
use millstream_wire::kinesis::StreamStatus;

use super::fixture::{Fixture, NOW, entry, target};
use crate::MasterKeys;

const PRODUCERS: usize = 8;
const CALLS: usize = 20;
const RECORDS: usize = 5;

/// Everything on a real disk.
pub(super) struct Machine {
    log: DiskLog,
    store: Arc<RedbStore>,
    pub(super) fixture: Fixture,
}

impl Machine {
    pub(super) async fn start(folder: &Path, clock: &ServiceClock, time: &VirtualTime) -> Self {
        let real: Arc<dyn Disk> = Arc::new(RealDisk);
        let options = disk::Options { disk_free_min: 0, direct: false, ..disk::Options::new(folder.join("log")) };
        let environment = disk::Environment {
            disk: Arc::clone(&real),
            service_clock: clock.clone(),
            host_clock: HostClock::real(),
            random: Random::system(),
            tasks: Tasks::new(),
        };
        let (log, _) = DiskLog::open(options, environment).unwrap();
        let store = Arc::new(RedbStore::open(&folder.join("catalog.redb"), &real, RedbOptions::default()).unwrap());
        let keys = MasterKeys::in_folder(real, &folder.join("keys"), Random::system()).unwrap();
        let shared_log: SharedLog = Arc::new(log.clone());
        let shared_store: SharedStore = Arc::<RedbStore>::clone(&store);
        let fixture = Fixture::over_with(clock.clone(), time.clone(), shared_log, shared_store, keys).await;
        Self { log, store, fixture }
    }

    pub(super) async fn stop(self) {
        self.fixture.tasks.stop(std::time::Duration::from_secs(10)).await;
        self.log.close().await;
        self.store.close().await;
    }
}

async fn produce(fixture: &Fixture, producer: usize) {
    let key = format!("producer-{producer}");
    for call in 0..CALLS {
        let texts: Vec<String> =
            (0..RECORDS).map(|record| format!("{producer} {:04}", call * RECORDS + record)).collect();
        let entries: Vec<_> = texts.iter().map(|text| entry(&key, text.as_bytes())).collect();
        let reply = fixture.streams.put_records(&fixture.context, target(), &entries).await.unwrap();
        assert_eq!(reply.failed_record_count, 0);
    }
}

/// All records of a shard, read in small pages, by producer.
async fn consume(fixture: &Fixture, shard: &str, seen: &mut HashMap<String, Vec<String>>) -> Option<String> {
    let mut iterator = fixture.iterator_of(shard, TrimHorizon, None, None).await.unwrap();
    let mut last = None;
    loop {
        let page = fixture.get_some(&iterator, Some(37)).await.unwrap();
        for record in &page.records {
            let key = String::from_utf8(record.partition_key.to_vec()).unwrap();
            seen.entry(key).or_default().push(String::from_utf8(record.data.to_vec()).unwrap());
            last = Some(page.shard.sequence_number(record).to_string());
        }
        if page.millis_behind_latest == 0 {
            return last;
        }
        iterator = page.next_shard_iterator.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_records_of_many_producers_are_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, time) = ServiceClock::virtual_at(NOW);
    let machine = Machine::start(folder.path(), &clock, &time).await;
    machine.fixture.create(4).await.unwrap();
    machine.fixture.until(StreamStatus::Active).await;
    let producers = (0..PRODUCERS).map(|producer| produce(&machine.fixture, producer));
    futures_util::future::join_all(producers).await;
    let kept = machine.fixture.iterator(TrimHorizon, None, None).await.unwrap();
    machine.stop().await;

    let machine = Machine::start(folder.path(), &clock, &time).await;
    machine.fixture.get(&kept).await.unwrap();
    let mut seen = HashMap::new();
    for shard in machine.fixture.describe().await.unwrap().shards {
        let last = consume(&machine.fixture, &shard.shard_id, &mut seen).await;
        if let Some(last) = last {
            let end =
                machine.fixture.iterator_of(&shard.shard_id, AfterSequenceNumber, Some(&last), None).await.unwrap();
            assert!(machine.fixture.get(&end).await.unwrap().records.is_empty());
        }
    }
    for producer in 0..PRODUCERS {
        let expected: Vec<String> = (0..CALLS * RECORDS).map(|record| format!("{producer} {record:04}")).collect();
        assert_eq!(seen[&format!("producer-{producer}")], expected);
    }
    machine.fixture.delete().await.unwrap();
    machine.fixture.until_gone().await;
    machine.stop().await;
}
