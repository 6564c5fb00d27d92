//! Names of files and folders.

use std::path::{Path, PathBuf};

use super::class::RetentionClass;

/// How the name of a segment ends that is to replace another.
pub(super) const REWRITTEN: &str = ".new";

/// Where the segments of one class are.
#[derive(Clone, Debug)]
pub(super) struct ClassFolder {
    pub(super) class: RetentionClass,
    path: PathBuf,
}

impl ClassFolder {
    /// `folder`: that of the whole log.
    pub(super) fn new(folder: &Path, class: RetentionClass) -> Self {
        Self { class, path: folder.join("log").join(class.name()) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn segment(&self, segment: u64) -> PathBuf {
        self.path.join(format!("{segment:016x}.log"))
    }

    /// What is to replace a segment, while it is being written.
    pub(super) fn rewritten(&self, segment: u64) -> PathBuf {
        self.path.join(format!("{segment:016x}{REWRITTEN}"))
    }

    pub(super) fn index(&self, segment: u64) -> PathBuf {
        self.path.join(format!("{segment:016x}.idx"))
    }
}

/// The segment that a file name with this ending names.
pub(super) fn segment_of(name: &str, ending: &str) -> Option<u64> {
    let id = name.strip_suffix(ending)?;
    if id.len() == 16 { u64::from_str_radix(id, 16).ok() } else { None }
}
