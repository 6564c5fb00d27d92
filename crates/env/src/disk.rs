//! Files by position, with the operations that durable storage needs.
//!
//! [`Disk`] is small on purpose: the simulated disk of the tests implements it whole, with lost and torn sectors, full
//! disks and failing syncs. Calls block; callers run them on threads of their own or through [`crate::Tasks::blocking`].
#![expect(clippy::disallowed_methods, reason = "this module is where files are opened")]

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

mod scattered;

/// Alignment of direct access.
const PAGE_BYTES: usize = 4096;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// An existing file, to read.
    Read,
    /// An existing file, to read and write.
    Write,
    /// A new file, to read and write; an error when it exists.
    CreateNew,
    /// A file to read and write, made when it does not exist, kept as it is when it does.
    OpenOrCreate,
}

/// A tree of files. Paths are used as given. New files have mode 0600, new folders 0700.
pub trait Disk: Send + Sync + Debug {
    /// Opens a file. With `direct`, reads and writes by-pass the page cache and must be aligned to 4 KiB (offset, length
    /// and address); a file system that cannot do that answers `InvalidInput`.
    fn open(&self, path: &Path, access: Access, direct: bool) -> io::Result<Arc<dyn DiskFile>>;
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// The names in a folder, in no particular order.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Durable only after [`Disk::sync_dir`] of the folder.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Durable only after [`Disk::sync_dir`] of the folder.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Bytes that an unprivileged process may still write on the file system of `path`.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;

    /// Reads several places of any files of this disk, as many at once as it can. Places in files with direct access must be
    /// aligned.
    fn read_parts(&self, parts: &mut [ReadPart<'_>]) -> io::Result<()> {
        parts.iter_mut().try_for_each(ReadPart::read_rest)
    }

    /// The whole content of a small file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path, Access::Read, false)?;
        let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Replaces a small file as a whole, durably: written beside it, synced, renamed over it, folder synced.
    fn write_atomically(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        name.push(".tmp");
        let temporary = folder.join(name);
        if self.exists(&temporary)? {
            self.remove_file(&temporary)?;
        }
        let file = self.open(&temporary, Access::CreateNew, false)?;
        file.write_all_at(bytes, 0)?;
        file.sync()?;
        self.rename(&temporary, path)?;
        self.sync_dir(folder)
    }
}

/// One of several places to read.
#[derive(Debug)]
pub struct ReadPart<'b> {
    pub file: &'b dyn DiskFile,
    pub offset: u64,
    pub bytes: &'b mut [u8],
    /// How many bytes were read: fewer than asked for at the end of the file only.
    pub got: usize,
}

impl ReadPart<'_> {
    /// Reads what is still missing, up to the end of the file.
    fn read_rest(&mut self) -> io::Result<()> {
        while self.got < self.bytes.len() {
            match self.file.read_at(&mut self.bytes[self.got..], self.offset + self.got as u64)? {
                0 => break,
                count => self.got += count,
            }
            // Only the end of a file lies within a page, and direct reads may not begin there.
            if !self.got.is_multiple_of(PAGE_BYTES) {
                break;
            }
        }
        Ok(())
    }
}

/// An open file. All methods may be called from several threads at once.
pub trait DiskFile: Send + Sync + Debug {
    /// Reads up to `bytes.len()` bytes; 0 at the end of the file.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes everything written so far durable (fdatasync). After an error nothing is known about any earlier write.
    fn sync(&self) -> io::Result<()>;
    /// Writes and makes durable what it wrote, not what was written before. For a small piece this takes one request where
    /// writing and syncing take two.
    fn write_all_durably_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)?;
        self.sync()
    }
    /// Reserves disk space for the first `length` bytes, so that writing there cannot meet a full disk.
    fn allocate(&self, length: u64) -> io::Result<()>;
    fn set_len(&self, length: u64) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Takes the file's exclusive lock without waiting; `false` when another process (or open file) holds it.
    fn try_lock(&self) -> io::Result<bool>;
    /// Tells the kernel that reads come from random places, so that it does not read ahead. Only advice.
    fn advise_random(&self) {}
    /// The file in the operating system, and whether access is direct; for [`Disk::read_parts`].
    fn descriptor(&self) -> Option<(BorrowedFd<'_>, bool)> {
        None
    }

    fn read_exact_at(&self, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.read_at(bytes, offset)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => {
                    bytes = &mut bytes[n..];
                    offset += n as u64;
                }
            }
        }
        Ok(())
    }
}

/// The machine's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, access: Access, direct: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).mode(0o600);
        match access {
            Access::Read => {}
            Access::Write => _ = options.write(true),
            Access::CreateNew => _ = options.write(true).create_new(true),
            Access::OpenOrCreate => _ = options.write(true).create(true).truncate(false),
        }
        if direct {
            options.custom_flags(libc::O_DIRECT);
        }
        Ok(Arc::new(RealFile { file: options.open(path)?, direct }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        fs::exists(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn read_parts(&self, parts: &mut [ReadPart<'_>]) -> io::Result<()> {
        if parts.len() > 1 {
            if let Some(read) = scattered::read(parts) {
                read?;
            }
            for part in parts.iter() {
                if let Some((file, false)) = part.file.descriptor() {
                    // The kernel fetches all of them into the page cache at once.
                    let length = NonZeroU64::new(part.bytes.len() as u64);
                    let _ = rustix::fs::fadvise(file, part.offset, length, rustix::fs::Advice::WillNeed);
                }
            }
        }
        parts.iter_mut().try_for_each(ReadPart::read_rest)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_bavail * stat.f_frsize)
    }
}

#[derive(Debug)]
struct RealFile {
    file: File,
    direct: bool,
}

impl DiskFile for RealFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(bytes, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write_all_durably_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        use rustix::io::{Errno, ReadWriteFlags, pwritev2};
        while !bytes.is_empty() {
            match pwritev2(&self.file, &[io::IoSlice::new(bytes)], offset, ReadWriteFlags::DSYNC) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    bytes = &bytes[count..];
                    offset += count as u64;
                }
                Err(Errno::INTR) => {}
                // Kernels and file systems that do not know the flag.
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                    self.write_all_at(bytes, offset)?;
                    return self.sync();
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(&self.file, rustix::fs::FallocateFlags::empty(), 0, length)?)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn try_lock(&self) -> io::Result<bool> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(fs::TryLockError::WouldBlock) => Ok(false),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn descriptor(&self) -> Option<(BorrowedFd<'_>, bool)> {
        Some((self.file.as_fd(), self.direct))
    }

    fn advise_random(&self) {
        // Only advice: a file system that does not know it loses nothing but speed.
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::Random);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_files_are_replaced_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        for content in [&b"first"[..], b"second, longer", b""] {
            RealDisk.write_atomically(&path, content).unwrap();
            assert_eq!(RealDisk.read(&path).unwrap(), content);
        }
        assert_eq!(RealDisk.list(folder.path()).unwrap(), ["state"]);
    }

    #[test]
    fn durable_writes_are_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pages");
        for direct in [false, true] {
            let Ok(file) = RealDisk.open(&path, Access::OpenOrCreate, direct) else { continue };
            for number in 0..3 {
                let page = Page([number; PAGE_BYTES]);
                file.write_all_durably_at(&page.0, u64::from(number) * PAGE_BYTES as u64).unwrap();
            }
            let content = RealDisk.read(&path).unwrap();
            assert_eq!(content, (0..3).flat_map(|number| [number; PAGE_BYTES]).collect::<Vec<u8>>());
        }
        let closed = RealDisk.open(&path, Access::Read, false).unwrap();
        assert!(closed.write_all_durably_at(b"x", 0).is_err());
    }

    /// As direct access asks for.
    #[repr(align(4096))]
    #[derive(Clone)]
    struct Page([u8; PAGE_BYTES]);

    #[test]
    fn scattered_parts_are_read_as_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pages");
        let content: Vec<u8> = (0..700_u32).flat_map(|page| [page.to_le_bytes(); 1024].concat()).collect();
        RealDisk.write_atomically(&path, &content[..content.len() - 1000]).unwrap();
        for direct in [false, true] {
            let Ok(file) = RealDisk.open(&path, Access::Read, direct) else { continue };
            for count in [0, 1, 2, 500] {
                let mut pages = vec![Page([1; PAGE_BYTES]); count];
                let number = |index: usize| (index * 37 + 699) % 701;
                let offset = |index| (number(index) * PAGE_BYTES) as u64;
                let mut parts: Vec<_> = pages
                    .iter_mut()
                    .enumerate()
                    .map(|(index, page)| ReadPart { file: &*file, offset: offset(index), bytes: &mut page.0, got: 0 })
                    .collect();
                RealDisk.read_parts(&mut parts).unwrap();
                for (index, part) in parts.iter().enumerate() {
                    // The last page is cut, and there is none behind it.
                    let expected = [PAGE_BYTES, PAGE_BYTES - 1000, 0][number(index).saturating_sub(698)];
                    assert_eq!(part.got, expected, "direct {direct}, part {index} of {count}");
                    let start = number(index) * PAGE_BYTES;
                    assert_eq!(&part.bytes[..part.got], &content[start..start + expected]);
                }
            }
        }
    }

    #[test]
    fn a_part_that_cannot_be_read_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        RealDisk.write_atomically(&folder.path().join("pages"), &[0; 3 * PAGE_BYTES]).unwrap();
        let Ok(file) = RealDisk.open(&folder.path().join("pages"), Access::Read, true) else { return };
        let mut pages = vec![Page([1; PAGE_BYTES]); 3];
        let mut parts: Vec<_> = (0..)
            .zip(&mut pages)
            .map(|(index, page)| ReadPart {
                file: &*file,
                offset: index * 4096 + u64::from(index == 1),
                bytes: &mut page.0,
                got: 0,
            })
            .collect();
        let error = RealDisk.read_parts(&mut parts).expect_err("direct reads must be aligned");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_second_opener_does_not_get_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("LOCK");
        let first = RealDisk.open(&path, Access::OpenOrCreate, false).unwrap();
        let second = RealDisk.open(&path, Access::OpenOrCreate, false).unwrap();
        assert!(first.try_lock().unwrap());
        assert!(!second.try_lock().unwrap());
        drop(first);
        assert!(second.try_lock().unwrap());
    }
}
