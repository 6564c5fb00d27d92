//! Reading what is in no cache.

use std::path::Path;

use millstream_env::Tasks;

use super::support::{Folder, Meter, open, put, read};

/// Shards that are read one after the other, among all.
const LONE: u32 = 64;

pub(crate) async fn measure(folder: &Folder, gib: u64, wanted: Option<u32>) {
    for shards in [10_000, 256].into_iter().filter(|shards| wanted.is_none_or(|wanted| wanted == *shards)) {
        let folder = folder.fresh();
        let log = open(folder.path(), shards).await;
        let tasks = Tasks::new();
        let meter = Meter::new();
        let each = (gib << 30) / 8;
        let running: Vec<_> =
            (0..8).map(|writer| tasks.spawn(put(log.clone(), writer, shards, move |bytes| bytes < each))).collect();
        let mut bytes = 0;
        for task in running {
            bytes += task.await.expect("writers do not panic").0;
        }
        println!("{shards} shards filled: {}", meter.text(bytes));
        log.close().await;
        drop(log);
        one_shard(folder.path(), shards).await;
        if shards == 256 {
            one_after_another(folder.path(), shards).await;
        }
        all_shards(folder.path(), shards).await;
    }
}

/// Makes the kernel forget the files' pages.
#[expect(clippy::disallowed_methods, reason = "the page cache is no matter of the log's")]
fn evict(folder: &Path) {
    let segments = folder.join("log/default");
    for entry in segments.read_dir().expect("the folder is there") {
        let file = std::fs::File::open(entry.expect("an entry").path()).expect("it can be opened");
        file.sync_all().expect("synced");
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("advised");
    }
}

/// One shard at a time, far from each other.
async fn one_shard(folder: &Path, shards: u32) {
    evict(folder);
    let log = open(folder, 0).await;
    let count = LONE.min(shards / 32);
    let (mut meter, mut bytes) = (Meter::new(), 0);
    for number in 0..=count {
        let read = read(log.clone(), number * (shards / (count + 1))).await;
        if number == 0 {
            // Threads and indexes of the first one: a figure of its own.
            println!("    the first shard among {shards}: {}", meter.text(read));
            meter = Meter::new();
        } else {
            bytes += read;
        }
    }
    println!("    {count} shards among {shards}, one by one: {}", meter.text(bytes));
    log.close().await;
}

async fn one_after_another(folder: &Path, shards: u32) {
    evict(folder);
    let log = open(folder, 0).await;
    let meter = Meter::new();
    let mut bytes = 0;
    for shard in 0..shards {
        bytes += read(log.clone(), shard).await;
    }
    println!("    {shards} shards, one after another: {}", meter.text(bytes));
    log.close().await;
}

async fn all_shards(folder: &Path, shards: u32) {
    evict(folder);
    let log = open(folder, 0).await;
    let meter = Meter::new();
    let tasks = Tasks::new();
    let readers: Vec<_> = (0..256)
        .map(|reader| {
            let log = log.clone();
            tasks.spawn(async move {
                let mut bytes = 0;
                for shard in (reader..shards).step_by(256) {
                    bytes += read(log.clone(), shard).await;
                }
                bytes
            })
        })
        .collect();
    let mut bytes = 0;
    for reader in readers {
        bytes += reader.await.expect("readers do not panic");
    }
    println!("    {shards} shards, 256 at once: {}", meter.text(bytes));
    log.close().await;
}
