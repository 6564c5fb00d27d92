//! What an operator may set, and how opening can fail.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::format::store::FormatError;

/// Sizes and limits of a [`super::DiskLog`]. Sizes are rounded up to 16 KiB.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder that holds everything; made when missing.
    pub folder: PathBuf,
    /// Bytes reserved and not yet stored, beyond which reservations wait. Default 64 MiB.
    pub admitted_bytes_max: usize,
    /// How long a reservation waits for admission before it is throttled. Default 1 s.
    pub admission_wait_max: Duration,
    /// Usual size of a commit block; a larger record gets a block of its own. Default 4 MiB.
    pub block_bytes: usize,
    /// Data in the first segment after opening; each further one takes twice as much. Default 8 MiB.
    pub segment_bytes_min: u64,
    /// Where the doubling ends. Default 256 MiB.
    pub segment_bytes_max: u64,
    /// Newest blocks kept in memory for readers. Default 64 MiB.
    pub tail_cache_bytes_max: usize,
    /// Older blocks kept in memory while several readers catch up at about the same place. Default 64 MiB.
    pub block_cache_bytes_max: usize,
    /// Memory that readers may hold beyond the caches before records are copied for them. Default 64 MiB.
    pub pinned_bytes_max: usize,
    /// Pages of segment indexes kept in memory. Default 8 MiB.
    pub index_cache_bytes_max: usize,
    /// Appends are refused while the file system has less free space. Default 2 GiB.
    pub disk_free_min: u64,
    /// Oldest segments are removed beyond this size. It breaks the retention promise. Default none.
    pub log_bytes_max: Option<u64>,
    /// By-pass the page cache when reading and writing, where the file system can. Default true.
    pub direct: bool,
    /// A block up to this size is written and made durable in one request to the disk, which is faster; a larger one is
    /// written and then synced. Default 64 KiB.
    pub durable_write_bytes_max: usize,
    /// After so many blocks in a row that were of one caller alone, the next such caller writes its block itself, if that is
    /// not larger than `durable_write_bytes_max`. Default 16.
    pub lone_writer_after: u32,
    /// So much of a segment is written with zeros ahead of such callers, with one of their blocks: where a file was never
    /// written, each small write costs the file system one more of its own. Default 256 KiB; 0 for none.
    pub write_ahead_bytes: u64,
    /// Pause after which an empty block vouches for the last ones. Default 100 ms.
    pub idle_after: Duration,
    /// How often expiry and free space are looked at. Default 1 s.
    pub housekeeping_every: Duration,
}

impl Options {
    /// Defaults for a log in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            admitted_bytes_max: 64 << 20,
            admission_wait_max: Duration::from_secs(1),
            block_bytes: 4 << 20,
            segment_bytes_min: 8 << 20,
            segment_bytes_max: 256 << 20,
            tail_cache_bytes_max: 64 << 20,
            block_cache_bytes_max: 64 << 20,
            pinned_bytes_max: 64 << 20,
            index_cache_bytes_max: 8 << 20,
            disk_free_min: 2 << 30,
            log_bytes_max: None,
            direct: true,
            durable_write_bytes_max: 64 << 10,
            lone_writer_after: 16,
            write_ahead_bytes: 256 << 10,
            idle_after: Duration::from_millis(100),
            housekeeping_every: Duration::from_secs(1),
        }
    }
}

/// The log could not be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path}: {source}; hint: check that the folder exists and that this user may write it")]
    Disk { path: PathBuf, source: io::Error },
    #[error("{folder} is in use by another process; hint: stop it, or give this one another data folder")]
    Locked { folder: PathBuf },
    #[error("{path}: {source}; hint: use the program version that wrote the folder, or a newer one")]
    Format { path: PathBuf, source: FormatError },
    #[error("{path} belongs to another log; hint: segments cannot be moved between folders")]
    ForeignSegment { path: PathBuf },
    #[error("{path} has segment format {version}; hint: use the program version that wrote it, or a newer one")]
    SegmentFormat { path: PathBuf, version: u32 },
}
