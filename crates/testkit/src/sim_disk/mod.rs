//! A disk in memory that behaves as badly as a real one may.
//!
//! It knows what was written from what was synced. A power cut ([`SimDisk::power_off_after`], [`SimDisk::restart`]) keeps
//! everything synced and, of everything else, any subset: each unsynced 512-byte sector, file length and change of a
//! folder's names survives or not by itself, drawn from the seed. Faults are set by the test: errors on the n-th write
//! or sync from now, a capacity, flipped bits, cut files. One seed and one sequence of calls give one outcome;
//! [`SimDisk::trace`] sums up all calls and their answers, so that two runs can be compared.
//!
//! What it does not simulate: access rights, links, several machines.

mod file;
mod names;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use millstream_env::{Access, Disk, DiskFile};

use file::SimFile;
use state::State;

/// Unit that survives a power cut whole or not at all.
pub const SECTOR_BYTES: usize = 512;
/// Alignment that direct access asks for, and the unit of allocation.
pub const BLOCK_BYTES: usize = 4096;

/// The disk. A cheap handle: clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    /// The life of the process that uses this handle, when it is bound to one.
    process: Option<u64>,
}

/// What was done to the disk so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub operations: u64,
    pub writes: u64,
    pub bytes_written: u64,
    pub bytes_read: u64,
    pub syncs: u64,
}

impl SimDisk {
    /// An empty disk of unlimited capacity.
    pub fn new(seed: u64) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(seed))), process: None }
    }

    /// The disk as a process sees it that runs from now on: after the next [`SimDisk::kill_process`] or
    /// [`SimDisk::restart`] every call fails, so that threads which outlive their killed process do no harm.
    #[must_use]
    pub fn process(&self) -> Self {
        Self { state: Arc::clone(&self.state), process: Some(self.lock().epoch) }
    }

    /// Bytes the disk holds at most; less than what is used now means full. `u64::MAX` is unlimited.
    pub fn set_capacity(&self, bytes: u64) {
        self.lock().capacity = bytes;
    }

    /// Refuses direct access as some file systems do.
    pub fn refuse_direct(&self, refuse: bool) {
        self.lock().refuse_direct = refuse;
    }

    /// The write that comes after `writes` more fails with an I/O error; part of it may be on the disk. Once.
    pub fn fail_write_after(&self, writes: u64) {
        self.lock().faults.write = Some(writes);
    }

    /// The sync that comes after `syncs` more fails with an I/O error. As on Linux, what was unsynced is then forgotten:
    /// some of it is on the disk, and no later sync tells. Once.
    pub fn fail_sync_after(&self, syncs: u64) {
        self.lock().faults.sync = Some(syncs);
    }

    /// All writes and syncs fail until this is called with `false`.
    pub fn fail_all_writes(&self, fail: bool) {
        self.lock().faults.all = fail;
    }

    /// Takes back all faults that were set and have not come.
    pub fn clear_faults(&self) {
        self.lock().faults = state::Faults::default();
    }

    /// The power goes off after `operations` more calls that change or sync something: that call and all later ones fail
    /// until [`SimDisk::restart`].
    pub fn power_off_after(&self, operations: u64) {
        self.lock().power_off_in = Some(operations);
    }

    pub fn is_off(&self) -> bool {
        self.lock().off
    }

    /// Cuts the power, draws what survives, and starts again. Files opened before answer errors for ever, their locks are
    /// free, pending faults are gone.
    pub fn restart(&self) {
        self.lock().restart();
    }

    /// Ends the process but not the machine: everything written stays, open files answer errors, locks are free.
    pub fn kill_process(&self) {
        self.lock().kill_process();
    }

    /// Flips one bit of a file, durably.
    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u8) {
        self.damage(path, |bytes| {
            bytes[usize::try_from(offset).expect("files are in memory")] ^= 1 << (bit % 8);
        });
    }

    /// Cuts a file, durably.
    pub fn truncate(&self, path: &Path, length: u64) {
        self.damage(path, |bytes| bytes.truncate(usize::try_from(length).expect("files are in memory")));
    }

    /// Changes the bytes of a file behind its user's back, durably.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        self.lock().damage(path, change);
    }

    pub fn counters(&self) -> Counters {
        self.lock().counters
    }

    /// A hash over every call so far and what it answered.
    pub fn trace(&self) -> u64 {
        self.lock().trace
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while holding this lock")
    }

    fn enter(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.lock();
        match self.process {
            Some(epoch) if epoch != state.epoch => Err(io::Error::other("this process was killed")),
            _ => Ok(state),
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, access: Access, direct: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.enter()?;
        if direct && state.refuse_direct {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let inode = state.open(path, access)?;
        Ok(Arc::new(SimFile::new(Arc::clone(&self.state), inode, state.epoch, direct, access != Access::Read)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.enter()?.create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.enter()?.list(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.enter()?.exists(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.enter()?.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.enter()?.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.enter()?.remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.enter()?.sync_dir(path)
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        let state = self.enter()?;
        state.check_power()?;
        Ok(state.capacity.saturating_sub(state.used()))
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("SimDisk").field("off", &state.off).field("counters", &state.counters).finish_non_exhaustive()
    }
}
