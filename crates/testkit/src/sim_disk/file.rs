//! An open file of the simulated disk.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use millstream_env::DiskFile;

use super::BLOCK_BYTES;
use super::state::State;

pub(super) struct SimFile {
    state: Arc<Mutex<State>>,
    inode: usize,
    epoch: u64,
    direct: bool,
    writable: bool,
    locks: Mutex<bool>,
}

impl SimFile {
    pub(super) fn new(state: Arc<Mutex<State>>, inode: usize, epoch: u64, direct: bool, writable: bool) -> Self {
        Self { state, inode, epoch, direct, writable, locks: Mutex::new(false) }
    }

    fn live(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state.lock().expect("no code panics while holding this lock");
        state.check_power()?;
        if state.epoch == self.epoch { Ok(state) } else { Err(io::Error::other("opened before the simulated restart")) }
    }

    fn writable(&self) -> io::Result<MutexGuard<'_, State>> {
        if self.writable { self.live() } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }

    fn check_alignment(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let aligned = bytes.as_ptr().addr().is_multiple_of(BLOCK_BYTES)
            && bytes.len().is_multiple_of(BLOCK_BYTES)
            && offset.is_multiple_of(BLOCK_BYTES as u64);
        if self.direct && !aligned { Err(io::ErrorKind::InvalidInput.into()) } else { Ok(()) }
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.check_alignment(bytes, offset)?;
        let mut state = self.live()?;
        let content = &state.inodes[self.inode].written;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let count = bytes.len().min(content.len() - start);
        bytes[..count].copy_from_slice(&content[start..start + count]);
        state.counters.bytes_read += count as u64;
        Ok(count)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.check_alignment(bytes, offset)?;
        self.writable()?.write(self.inode, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.live()?.sync(self.inode)
    }

    fn write_all_durably_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.check_alignment(bytes, offset)?;
        self.writable()?.write_durably(self.inode, bytes, offset)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.writable()?.allocate(self.inode, length)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.writable()?.set_len(self.inode, length)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.live()?.inodes[self.inode].written.len() as u64)
    }

    fn try_lock(&self) -> io::Result<bool> {
        let mut state = self.live()?;
        let mine = &mut *self.locks.lock().expect("no code panics while holding this lock");
        let file = &mut state.inodes[self.inode];
        if file.locked && !*mine {
            return Ok(false);
        }
        file.locked = true;
        *mine = true;
        Ok(true)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mine = *self.locks.get_mut().expect("no code panics while holding this lock");
        // While a test unwinds the state may be poisoned; the lock no longer matters then.
        if let (true, Ok(mut state)) = (mine, self.state.lock())
            && state.epoch == self.epoch
        {
            state.inodes[self.inode].locked = false;
        }
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimFile({})", self.inode)
    }
}
