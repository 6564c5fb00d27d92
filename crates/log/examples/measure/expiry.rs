//! What it costs that half of a log expires.

use std::time::Duration;

use millstream_env::{HostClock, ServiceClock, Timestamp};

use super::support::{Folder, Meter, mega, open_at, put};

const SHARDS: u32 = 256;
const HOUR: Duration = Duration::from_hours(1);

pub(crate) async fn measure(folder: &Folder, gib: u64) {
    let folder = folder.fresh();
    let (service_clock, time) = ServiceClock::virtual_at(Timestamp::from_seconds(1_700_000_000));
    let log = open_at(folder.path(), SHARDS, service_clock).await;
    let half = (gib << 30) / 2;
    for number in 0..2 {
        put(log.clone(), number, SHARDS, move |bytes| bytes < half).await;
        time.advance(HOUR);
    }
    let before = log.stats();
    // The first half is just too old, the second is not.
    time.advance(HOUR * 23);
    let meter = Meter::new();
    let clock = HostClock::real();
    while log.stats().bytes > before.bytes * 11 / 20 {
        clock.sleep(Duration::from_millis(5)).await;
    }
    let after = log.stats();
    println!(
        "half of {:.0} MB expired: {}, {} bytes written for it",
        mega(before.bytes),
        meter.text(before.bytes - after.bytes),
        after.written_bytes - before.written_bytes
    );
    log.close().await;
}
