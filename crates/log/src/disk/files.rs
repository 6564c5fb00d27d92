//! Names of files and folders.

use std::path::{Path, PathBuf};

/// The only retention class so far.
const CLASS: &str = "default";

pub(super) fn segments_folder(folder: &Path) -> PathBuf {
    folder.join("log").join(CLASS)
}

pub(super) fn segment_path(folder: &Path, segment: u64) -> PathBuf {
    segments_folder(folder).join(format!("{segment:016x}.log"))
}

pub(super) fn index_path(folder: &Path, segment: u64) -> PathBuf {
    segments_folder(folder).join(format!("{segment:016x}.idx"))
}

/// The segment that a file name with this ending names.
pub(super) fn segment_of(name: &str, ending: &str) -> Option<u64> {
    let id = name.strip_suffix(ending)?;
    if id.len() == 16 { u64::from_str_radix(id, 16).ok() } else { None }
}
