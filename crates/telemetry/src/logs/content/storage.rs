//! Where segments are: in files or in memory.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use millstream_env::{Access, Disk};

/// Where the events of all groups live.
#[derive(Clone, Debug)]
pub enum Storage {
    /// Gone with the process.
    Memory,
    /// In a folder of its own, made when it does not exist.
    Disk { disk: Arc<dyn Disk>, folder: PathBuf },
}

/// Segments by name: `<group id>/<segment>`. Calls block.
#[derive(Debug)]
pub(super) enum Files {
    Memory(Mutex<BTreeMap<String, Vec<u8>>>),
    Disk { disk: Arc<dyn Disk>, folder: PathBuf },
}

impl Files {
    pub(super) fn open(storage: Storage) -> io::Result<Self> {
        match storage {
            Storage::Memory => Ok(Self::Memory(Mutex::default())),
            Storage::Disk { disk, folder } => {
                disk.create_dir_all(&folder)?;
                Ok(Self::Disk { disk, folder })
            }
        }
    }

    /// The folders that there are: one for each group that ever held an event.
    pub(super) fn groups(&self) -> io::Result<Vec<String>> {
        match self {
            Self::Memory(files) => {
                let files = files.lock().expect("no code panics while holding this lock");
                let mut groups: Vec<String> =
                    files.keys().filter_map(|path| Some(path.split_once('/')?.0.to_owned())).collect();
                groups.dedup();
                Ok(groups)
            }
            Self::Disk { disk, folder } => disk.list(folder),
        }
    }

    /// The names of a group's segments and their lengths, in no particular order.
    pub(super) fn segments(&self, group: &str) -> io::Result<Vec<(String, u64)>> {
        match self {
            Self::Memory(files) => {
                let files = files.lock().expect("no code panics while holding this lock");
                let of_group = files.iter().filter_map(|(path, bytes)| {
                    let (folder, name) = path.split_once('/')?;
                    (folder == group).then(|| (name.to_owned(), bytes.len() as u64))
                });
                Ok(of_group.collect())
            }
            Self::Disk { disk, folder } => {
                let folder = folder.join(group);
                if !disk.exists(&folder)? {
                    return Ok(Vec::new());
                }
                let length = |name: String| {
                    let length = disk.open(&folder.join(&name), Access::Read, false)?.len()?;
                    Ok((name, length))
                };
                disk.list(&folder)?.into_iter().map(length).collect()
            }
        }
    }

    pub(super) fn read(&self, group: &str, name: &str) -> io::Result<Vec<u8>> {
        match self {
            Self::Memory(files) => {
                let files = files.lock().expect("no code panics while holding this lock");
                files.get(&format!("{group}/{name}")).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
            }
            Self::Disk { disk, folder } => disk.read(&folder.join(group).join(name)),
        }
    }

    /// Writes at an offset, making the segment when it does not exist.
    pub(super) fn write(&self, group: &str, name: &str, bytes: &[u8], offset: u64) -> io::Result<()> {
        match self {
            Self::Memory(files) => {
                let mut files = files.lock().expect("no code panics while holding this lock");
                let file = files.entry(format!("{group}/{name}")).or_default();
                file.truncate(usize::try_from(offset).map_err(io::Error::other)?);
                file.extend_from_slice(bytes);
                Ok(())
            }
            Self::Disk { disk, folder } => {
                let folder = folder.join(group);
                if offset == 0 {
                    disk.create_dir_all(&folder)?;
                }
                disk.open(&folder.join(name), Access::OpenOrCreate, false)?.write_all_at(bytes, offset)
            }
        }
    }

    /// Cuts a segment off.
    pub(super) fn truncate(&self, group: &str, name: &str, length: u64) -> io::Result<()> {
        match self {
            Self::Memory(files) => {
                let mut files = files.lock().expect("no code panics while holding this lock");
                if let Some(file) = files.get_mut(&format!("{group}/{name}")) {
                    file.truncate(usize::try_from(length).map_err(io::Error::other)?);
                }
                Ok(())
            }
            Self::Disk { disk, folder } => {
                disk.open(&folder.join(group).join(name), Access::Write, false)?.set_len(length)
            }
        }
    }

    /// Makes what was written to a segment durable, its name included.
    pub(super) fn sync(&self, group: &str, name: &str) -> io::Result<()> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Disk { disk, folder } => {
                let group = folder.join(group);
                match disk.open(&group.join(name), Access::Write, false) {
                    Ok(file) => file.sync()?,
                    // Expired or deleted meanwhile: nothing is left to be kept.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                    Err(error) => return Err(error),
                }
                disk.sync_dir(&group)?;
                disk.sync_dir(folder)
            }
        }
    }

    pub(super) fn remove(&self, group: &str, name: &str) -> io::Result<()> {
        match self {
            Self::Memory(files) => {
                files.lock().expect("no code panics while holding this lock").remove(&format!("{group}/{name}"));
                Ok(())
            }
            Self::Disk { disk, folder } => ignore_missing(disk.remove_file(&folder.join(group).join(name))),
        }
    }

    pub(super) fn remove_group(&self, group: &str) -> io::Result<()> {
        match self {
            Self::Memory(files) => {
                let prefix = format!("{group}/");
                let mut files = files.lock().expect("no code panics while holding this lock");
                files.retain(|path, _| !path.starts_with(&prefix));
                Ok(())
            }
            Self::Disk { disk, folder } => remove_folder(&**disk, &folder.join(group)),
        }
    }
}

fn remove_folder(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
    ignore_missing(disk.remove_dir_all(folder))
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
