//! Bounds. Those without a source are our own.

use std::time::Duration;

/// Largest content of one request: an object, or a part of an upload. AWS takes 5 GiB; here a content stands in memory
/// while it is put.
pub const PUT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Smallest part but the last (S3 guide, "Amazon S3 multipart upload limits").
pub const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;
/// Most parts, and their highest number (same page).
pub const PARTS_MAX: u32 = 10_000;
/// Contents that one part may have had before its present one.
pub(super) const PART_VERSIONS_MAX: usize = 100;
/// Uploads that a bucket may have at a time.
pub const UPLOADS_MAX: usize = 1000;
/// Names and values of user metadata together, and of other kept headers likewise (S3 guide, "Working with object
/// metadata").
pub const METADATA_BYTES_MAX: usize = 2048;
/// Most entries of one page of any listing, and most keys of one `DeleteObjects` (API reference).
pub const LISTED_MAX: usize = 1000;
/// Most buckets of an account (S3 guide, "General purpose buckets quotas").
pub(super) const BUCKETS_MAX: usize = 10_000;
/// How often a change is tried when others change the same.
pub(super) const ATTEMPTS_MAX: usize = 32;
/// Contents that are being sent to readers.
pub(super) const DOWNLOAD_BYTES_MAX: usize = 256 * 1024 * 1024;
/// How long a read waits for others to give back enough of it.
pub(super) const DOWNLOAD_WAIT: Duration = Duration::from_secs(2);
/// How often it is tried to take off a mark that could not be.
pub(super) const UNMARK_INTERVAL: Duration = Duration::from_secs(1);
