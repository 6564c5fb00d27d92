//! Unpacking an uploaded archive, which may be hostile: nothing is written outside the folder, and nothing without bound.
//!
//! The files of the run directory are processes' files, not data: they are made with the modes that functions need, and
//! made again from the blob when they are gone, so this works on the real file system and does not sync.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Cursor, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use zip::ZipArchive;

/// Largest content of an archive (Lambda quotas).
pub(crate) const UNZIPPED_BYTES_MAX: u64 = 262_144_000;
/// Entries of an archive. AWS names no bound; this one holds any real package and keeps its table small.
const ENTRIES_MAX: usize = 100_000;
/// Longest path of an entry.
const PATH_BYTES_MAX: usize = 1024;
/// Longest target of a symbolic link.
const TARGET_BYTES_MAX: u64 = 1024;
const FOLDER_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o444;
const PROGRAM_MODE: u32 = 0o555;

/// An archive that was not unpacked. What was written by then is the caller's to remove.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// Not an archive, damaged, or with entries that have no place here; says which.
    #[error("the archive is not usable: {0}")]
    Invalid(String),
    #[error("the archive holds more than {UNZIPPED_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the archive cannot be unpacked: {0}")]
    Io(#[from] io::Error),
}

/// Unpacks into an existing, empty folder: files readable by all and writable by none, programs executable.
pub(crate) fn unpack(archive: &Bytes, folder: &Path) -> Result<(), ArchiveError> {
    if count_entries(archive) > ENTRIES_MAX {
        return Err(invalid(format!("more than {ENTRIES_MAX} entries")));
    }
    let mut archive = ZipArchive::new(Cursor::new(archive)).map_err(invalid)?;
    if archive.is_empty() {
        return Err(invalid("it is empty"));
    }
    if archive.has_duplicate_names() {
        return Err(invalid("two entries have the same name"));
    }
    let mut unpacking =
        Unpacking { root: folder, folders: HashSet::new(), links: Vec::new(), bytes_left: UNZIPPED_BYTES_MAX };
    for index in 0..archive.len() {
        unpacking.entry(archive.by_index(index).map_err(invalid)?)?;
    }
    unpacking.make_links()
}

struct Unpacking<'a> {
    root: &'a Path,
    /// Folders made so far, relative.
    folders: HashSet<PathBuf>,
    /// Links are made last: no entry can be written through one.
    links: Vec<(PathBuf, String)>,
    bytes_left: u64,
}

impl Unpacking<'_> {
    fn entry<R: Read>(&mut self, mut entry: zip::read::ZipFile<'_, R>) -> Result<(), ArchiveError> {
        let name = entry.name().map_err(invalid)?.into_owned();
        let path = safe_path(&name)?;
        if entry.is_dir() {
            return self.make_folder(&path);
        }
        if path.as_os_str().is_empty() {
            return Err(invalid(format!("{name:?} names no file")));
        }
        self.make_folder(path.parent().unwrap_or(Path::new("")))?;
        if entry.is_symlink() {
            let mut target = String::new();
            entry.take(TARGET_BYTES_MAX + 1).read_to_string(&mut target).map_err(invalid)?;
            check_target(&path, &target)?;
            self.links.push((path, target));
            return Ok(());
        }
        let is_program = entry.unix_mode().is_some_and(|mode| mode & 0o111 != 0);
        self.write_file(&path, &mut entry, if is_program { PROGRAM_MODE } else { FILE_MODE })
    }

    fn write_file(&mut self, path: &Path, content: &mut dyn Read, mode: u32) -> Result<(), ArchiveError> {
        let path = self.root.join(path);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path).map_err(placed)?;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = content.read(&mut buffer).map_err(invalid)?;
            if read == 0 {
                break;
            }
            // The declared size may lie; what really comes out counts.
            self.bytes_left = self.bytes_left.checked_sub(read as u64).ok_or(ArchiveError::TooLarge)?;
            file.write_all(&buffer[..read])?;
        }
        // The process's mask may have taken bits away.
        Ok(file.set_permissions(Permissions::from_mode(mode))?)
    }

    fn make_folder(&mut self, path: &Path) -> Result<(), ArchiveError> {
        if path.as_os_str().is_empty() || self.folders.contains(path) {
            return Ok(());
        }
        self.make_folder(path.parent().unwrap_or(Path::new("")))?;
        let full = self.root.join(path);
        DirBuilder::new().mode(FOLDER_MODE).create(&full).map_err(placed)?;
        fs::set_permissions(&full, Permissions::from_mode(FOLDER_MODE))?;
        self.folders.insert(path.to_owned());
        if self.folders.len() > ENTRIES_MAX {
            return Err(invalid(format!("more than {ENTRIES_MAX} folders")));
        }
        Ok(())
    }

    fn make_links(self) -> Result<(), ArchiveError> {
        for (path, target) in self.links {
            symlink(target, self.root.join(path)).map_err(placed)?;
        }
        Ok(())
    }
}

/// The entry's place below the folder: relative, without `..`.
fn safe_path(name: &str) -> Result<PathBuf, ArchiveError> {
    if name.len() > PATH_BYTES_MAX || name.starts_with('/') || name.contains('\0') {
        return Err(invalid(format!("{name:?} is no relative path of at most {PATH_BYTES_MAX} bytes")));
    }
    let mut path = PathBuf::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(invalid(format!("{name:?} leads out of the archive"))),
            part => path.push(part),
        }
    }
    Ok(path)
}

/// A link may climb only at the start of its target, and not out of the folder. Then it ends inside, because its own
/// folder is a real one and any link it passes through obeys the same rule.
fn check_target(link: &Path, target: &str) -> Result<(), ArchiveError> {
    let depth = link.components().count() - 1;
    let mut climbed = 0;
    let mut descended = false;
    let mut safe = !target.is_empty() && target.len() as u64 <= TARGET_BYTES_MAX;
    safe &= !target.starts_with('/') && !target.contains('\0');
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                climbed += 1;
                safe &= !descended && climbed <= depth;
            }
            _ => descended = true,
        }
    }
    if safe { Ok(()) } else { Err(invalid(format!("the link {} leads out of the archive", link.display()))) }
}

/// At most how many entries the archive's table has: each begins with these bytes, which may also occur elsewhere.
fn count_entries(archive: &[u8]) -> usize {
    memchr::memmem::find_iter(archive, b"PK\x01\x02").count()
}

/// Two entries that want one place, or a file where a folder must be, are the archive's fault.
fn placed(error: io::Error) -> ArchiveError {
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => invalid(error),
        _ => ArchiveError::Io(error),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err calls")]
fn invalid(reason: impl ToString) -> ArchiveError {
    ArchiveError::Invalid(reason.to_string())
}

#[cfg(test)]
mod tests;
