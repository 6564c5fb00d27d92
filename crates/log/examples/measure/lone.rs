//! One writer, one record at a time, beside the disk's own time for the same bytes: written and synced, and written durably in
//! one request.

use std::time::Duration;

use millstream_env::{Access, Disk, HostClock, RealDisk, Tasks};

use super::support::{Folder, key, open};
use millstream_log::{Entry, ShardLog};
use millstream_types::Payload;

const ROUNDS: usize = 20;
const PUTS: u32 = 100;

/// 4 KiB at an address that is a multiple of it, as direct access asks for.
#[repr(align(4096))]
struct Page([u8; 4096]);

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// In turns, so that what else goes on meets both.
pub(crate) async fn measure(folder: &Folder) {
    let folder = folder.fresh();
    let log = open(folder.path(), 1).await;
    let clock = HostClock::real();
    let bare = RealDisk.open(&folder.path().join("bare"), Access::CreateNew, true).expect("made");
    bare.allocate(64 << 20).expect("there is room");
    let (mut bare_times, mut durable_times, mut put_times) = (Vec::new(), Vec::new(), Vec::new());
    let (tasks, mut first) = (Tasks::new(), 0);
    for _ in 0..ROUNDS {
        // On a thread of its own, as the log's.
        let (file, clock_there) = (bare.clone(), clock.clone());
        let times = tasks.blocking(move || {
            let page = Page([7; 4096]);
            let write = |index: u32, durably: bool| {
                let start = clock_there.monotonic();
                let offset = u64::from(first + index) * 4096;
                if durably {
                    file.write_all_durably_at(&page.0, offset).expect("written");
                } else {
                    file.write_all_at(&page.0, offset).expect("written");
                    file.sync().expect("synced");
                }
                clock_there.monotonic().saturating_sub(start)
            };
            let bare: Vec<_> = (0..PUTS).map(|index| write(index, false)).collect();
            (bare, (PUTS..2 * PUTS).map(|index| write(index, true)).collect::<Vec<_>>())
        });
        let (bare, durable) = times.await.expect("it does not panic");
        bare_times.extend(bare);
        durable_times.extend(durable);
        first += 2 * PUTS;
        for _ in 0..PUTS {
            let start = clock.monotonic();
            let entries = [Entry { shard: key(0), partition_key: "some-key", payload_bytes: 1024, tag: 0 }];
            let mut reservation = log.reserve(&entries).await;
            reservation.slots[0].as_mut().expect("there is room").fill(Payload::Raw(&[7; 1024]));
            assert!(reservation.commit().await[0].is_ok());
            put_times.push(clock.monotonic().saturating_sub(start));
        }
    }
    let (bare, durable, put) = (median(&mut bare_times), median(&mut durable_times), median(&mut put_times));
    println!(
        "one record at a time: p50 {put:?}, bare write and fdatasync {bare:?}, ratio {:.2}; bare durable write {durable:?}",
        put.as_secs_f64() / bare.as_secs_f64()
    );
    log.close().await;
}
