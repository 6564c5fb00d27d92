use std::time::Duration;

use millstream_env::{HostClock, ServiceClock};

use super::*;
use crate::conformance::support::{DAY, SHARD, START, append, put};
use crate::conformance::{Fixture, Settings};

async fn fixture(settings: Settings) -> Fixture {
    let (clock, time) = ServiceClock::virtual_at(START);
    let options = Options {
        admitted_bytes_max: settings.admitted_bytes_max,
        admission_wait_max: settings.admission_wait_max,
        ..Options::default()
    };
    Fixture { log: Arc::new(MemoryLog::new(options, clock, HostClock::real())), time, keep: Box::new(()) }
}

crate::conformance_suite!(fixture);

#[tokio::test]
async fn a_full_memory_refuses_until_records_expire() {
    let (clock, time) = ServiceClock::virtual_at(START);
    let options = Options { stored_bytes_max: 1_000, ..Options::default() };
    let log: crate::SharedLog = Arc::new(MemoryLog::new(options, clock, HostClock::real()));
    log.create(SHARD, DAY).await.unwrap();
    put(&log, SHARD, &[0; 900]).await;
    assert_eq!(append(&log, SHARD, &[&[0; 200]]).await, [Err(AppendError::Full)]);
    time.advance(Duration::from_hours(25));
    assert_eq!(put(&log, SHARD, &[0; 200]).await.position, Position(1));
}
