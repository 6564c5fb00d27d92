//! What the disk alone takes for a record: a write and an fdatasync, to space that is reserved as the log's is.

use std::io;
use std::path::Path;
use std::sync::Arc;

use millstream_env::{Access, Disk, DiskFile, HostClock, RealDisk};

use crate::commands::histogram::Histogram;

const WRITES: u64 = 500;
const PAGE_BYTES: usize = 4096;

/// At an address that is a multiple of its size, as access past the page cache asks for.
#[repr(align(4096))]
#[derive(Clone, Copy)]
struct Page([u8; PAGE_BYTES]);

/// Writes of one page each, to a file in `folder` that is removed again. Blocks.
pub(crate) fn measure(folder: &Path, clock: &HostClock) -> io::Result<Histogram> {
    let path = folder.join("bench-bare-writes");
    let file = match RealDisk.open(&path, Access::CreateNew, true) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            RealDisk.open(&path, Access::OpenOrCreate, false)?
        }
        other => other?,
    };
    let times = write(&file, clock);
    RealDisk.remove_file(&path)?;
    times
}

fn write(file: &Arc<dyn DiskFile>, clock: &HostClock) -> io::Result<Histogram> {
    match file.allocate(WRITES * PAGE_BYTES as u64) {
        Err(error) if error.kind() != io::ErrorKind::Unsupported => return Err(error),
        _ => file.sync()?,
    }
    let page = Box::new(Page([7; PAGE_BYTES]));
    let mut times = Histogram::default();
    for number in 0..WRITES {
        let start = clock.monotonic();
        file.write_all_at(&page.0, number * PAGE_BYTES as u64)?;
        file.sync()?;
        let passed = clock.monotonic().saturating_sub(start);
        times.record(u64::try_from(passed.as_micros()).unwrap_or(u64::MAX));
    }
    Ok(times)
}
