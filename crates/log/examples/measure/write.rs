//! Writing, and one reader of what was written.

use std::time::Duration;

use millstream_env::{HostClock, Tasks};
use millstream_log::SharedLog;

use super::support::{Folder, Meter, mega, open, put, read};

const SHARDS: u32 = 256;
const SECONDS: Duration = Duration::from_secs(5);

pub(crate) async fn measure(folder: &Folder, writers: u32, around: fn(SharedLog) -> SharedLog) {
    let folder = folder.fresh();
    let disk = open(folder.path(), SHARDS).await;
    let log = around(disk.clone());
    let clock = HostClock::real();
    let meter = Meter::new();
    let until = clock.monotonic() + SECONDS;
    let tasks = Tasks::new();
    let running: Vec<_> = (0..writers)
        .map(|writer| {
            let clock = clock.clone();
            tasks.spawn(put(log.clone(), writer, SHARDS, move |_| clock.monotonic() < until))
        })
        .collect();
    let (mut bytes, mut times) = (0, Vec::new());
    for task in running {
        let (written, taken) = task.await.expect("writers do not panic");
        bytes += written;
        times.extend(taken);
    }
    times.sort_unstable();
    let written = disk.stats().written_bytes;
    println!(
        "{writers:3} writers: {}, write amplification {:.3}, p50 {:?}, p99 {:?}",
        meter.text(bytes),
        mega(written) / mega(bytes),
        times[times.len() / 2],
        times[times.len() * 99 / 100],
    );
    let meter = Meter::new();
    let mut bytes = 0;
    for shard in 0..SHARDS {
        bytes += read(log.clone(), shard).await;
    }
    println!("    one reader: {}", meter.text(bytes));
    disk.close().await;
}
