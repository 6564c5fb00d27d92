//! How much readers of old records slow writers down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use millstream_env::{HostClock, Tasks};
use millstream_log::{DiskLog, SharedLog};

use super::support::{Folder, Meter, open, put, read};

const SHARDS: u32 = 256;
const WRITERS: u32 = 8;
const READERS: u32 = 8;
const ROUND: Duration = Duration::from_secs(4);
const ROUNDS: u32 = 3;

/// In turns, so that what else goes on meets both.
pub(crate) async fn measure(folder: &Folder, gib: u64) {
    let folder = folder.fresh();
    let log = open(folder.path(), SHARDS).await;
    let each = (gib << 30) / u64::from(WRITERS);
    write(&log, |_| Box::new(move |bytes| bytes < each)).await;
    log.close().await;
    drop(log);
    let log = open(folder.path(), 0).await;
    for _ in 0..ROUNDS {
        round(&log, 0).await;
        round(&log, READERS).await;
    }
    log.close().await;
}

type GoOn = Box<dyn Fn(u64) -> bool + Send>;

async fn write(log: &Arc<DiskLog>, go_on: impl Fn(u32) -> GoOn) -> u64 {
    let tasks = Tasks::new();
    let log: SharedLog = log.clone();
    let running: Vec<_> =
        (0..WRITERS).map(|writer| tasks.spawn(put(log.clone(), writer, SHARDS, go_on(writer)))).collect();
    let mut bytes = 0;
    for task in running {
        bytes += task.await.expect("writers do not panic").0;
    }
    bytes
}

async fn round(log: &Arc<DiskLog>, readers: u32) {
    let clock = HostClock::real();
    let until = clock.monotonic() + ROUND;
    let (tasks, stop, got) = (Tasks::new(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let reading: Vec<_> = (0..readers)
        .map(|reader| {
            let (log, stop, got): (SharedLog, _, _) = (log.clone(), Arc::clone(&stop), Arc::clone(&got));
            tasks.spawn(async move {
                for shard in (0..SHARDS).filter(|shard| shard % READERS == reader).cycle() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    got.fetch_add(read(log.clone(), shard).await, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let meter = Meter::new();
    let there = clock.clone();
    let bytes = write(log, move |_| {
        let clock = there.clone();
        Box::new(move |_| clock.monotonic() < until)
    });
    let bytes = bytes.await;
    let (text, read) = (meter.text(bytes), meter.text(got.load(Ordering::Relaxed)));
    stop.store(true, Ordering::Relaxed);
    for task in reading {
        task.await.expect("readers do not panic");
    }
    println!("{WRITERS} writers beside {readers} readers: {text}; read: {read}");
}
