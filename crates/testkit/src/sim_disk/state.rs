//! What the simulated disk is made of, and everything that happens to it under its lock.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::Path;

use millstream_env::{Access, Random};

use super::names::{Names, Node};
use super::{BLOCK_BYTES, Counters, SECTOR_BYTES};

/// The content of a file.
#[derive(Debug, Default)]
pub(super) struct Inode {
    /// What reads see.
    pub(super) written: Vec<u8>,
    /// What a power cut keeps for certain.
    durable: Vec<u8>,
    /// Sectors whose two contents may differ.
    dirty: BTreeSet<usize>,
    /// The first bytes that have space of their own.
    allocated: u64,
    pub(super) locked: bool,
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) write: Option<u64>,
    pub(super) sync: Option<u64>,
    pub(super) all: bool,
}

pub(super) struct State {
    random: Random,
    pub(super) inodes: Vec<Inode>,
    names: Names,
    pub(super) capacity: u64,
    pub(super) refuse_direct: bool,
    pub(super) faults: Faults,
    pub(super) power_off_in: Option<u64>,
    pub(super) off: bool,
    /// Grows with every restart: files opened before are dead.
    pub(super) epoch: u64,
    pub(super) counters: Counters,
    pub(super) trace: u64,
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random::seeded(seed),
            inodes: Vec::new(),
            names: Names::default(),
            capacity: u64::MAX,
            refuse_direct: false,
            faults: Faults::default(),
            power_off_in: None,
            off: false,
            epoch: 0,
            counters: Counters::default(),
            trace: 0xcbf2_9ce4_8422_2325,
        }
    }

    /// Mixes a number into the trace (FNV-1a over its bytes).
    pub(super) fn note(&mut self, value: u64) {
        for byte in value.to_le_bytes() {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    pub(super) fn check_power(&self) -> io::Result<()> {
        if self.off { Err(io::Error::other("the simulated power is off")) } else { Ok(()) }
    }

    /// Counts a call that changes something; the one on which the power goes off fails.
    pub(super) fn operation(&mut self, kind: u64) -> io::Result<()> {
        self.check_power()?;
        self.counters.operations += 1;
        self.note(kind);
        match &mut self.power_off_in {
            Some(0) => {
                self.off = true;
                self.check_power()
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Bytes that files with a name occupy.
    pub(super) fn used(&self) -> u64 {
        let named: BTreeSet<usize> = self.names.inodes().collect();
        named.into_iter().map(|inode| self.inodes[inode].allocated).sum()
    }

    pub(super) fn open(&mut self, path: &Path, access: Access) -> io::Result<usize> {
        self.check_power()?;
        match (self.names.file(path), access) {
            (Ok(_), Access::CreateNew) => Err(io::ErrorKind::AlreadyExists.into()),
            (Err(error), Access::CreateNew | Access::OpenOrCreate) if error.kind() == io::ErrorKind::NotFound => {
                self.operation(1)?;
                self.inodes.push(Inode::default());
                let inode = self.inodes.len() - 1;
                self.names.put(path, Node::File(inode))?;
                Ok(inode)
            }
            (found, _) => found,
        }
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let missing: Vec<&Path> = path.ancestors().take_while(|folder| self.names.get(folder).is_none()).collect();
        for folder in missing.into_iter().rev() {
            self.operation(2)?;
            self.names.put(folder, Node::Folder)?;
        }
        self.names.folder(path)
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.check_power()?;
        self.names.folder(path)?;
        Ok(self.names.children(path))
    }

    pub(super) fn exists(&self, path: &Path) -> io::Result<bool> {
        self.check_power()?;
        Ok(self.names.get(path).is_some())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.operation(3)?;
        self.names.rename(from, to)
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        self.operation(4)?;
        self.names.file(path)?;
        self.names.remove(path);
        Ok(())
    }

    pub(super) fn remove_dir_all(&mut self, path: &Path) -> io::Result<()> {
        self.operation(5)?;
        self.names.folder(path)?;
        for inner in self.names.under(path).into_iter().rev() {
            self.names.remove(&inner);
        }
        self.names.remove(path);
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        self.operation(6)?;
        self.counters.syncs += 1;
        self.sync_fault()?;
        self.names.folder(path)?;
        self.names.sync(path);
        Ok(())
    }

    pub(super) fn write(&mut self, inode: usize, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.check_power()?;
        self.note(offset);
        self.note(bytes.len() as u64);
        if let Err(cut) = self.operation(7) {
            // The power went off in the middle of this very write: any of its sectors may be there.
            if self.grow(inode, offset + bytes.len() as u64).is_ok() {
                self.put(inode, bytes, offset);
            }
            return Err(cut);
        }
        self.counters.writes += 1;
        let end = offset + bytes.len() as u64;
        if self.faults.all || due(&mut self.faults.write) {
            let part = self.part_of(bytes);
            self.put(inode, &bytes[..part], offset);
            return Err(io::Error::other("simulated write error"));
        }
        if let Err(full) = self.grow(inode, end) {
            let room = self.inodes[inode].allocated.saturating_sub(offset).min(bytes.len() as u64);
            let room = usize::try_from(room).expect("not more than the bytes given");
            self.put(inode, &bytes[..room], offset);
            return Err(full);
        }
        self.counters.bytes_written += bytes.len() as u64;
        self.put(inode, bytes, offset);
        Ok(())
    }

    /// Everything else of the file is as durable as it was.
    pub(super) fn write_durably(&mut self, inode: usize, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write(inode, bytes, offset)?;
        let start = usize::try_from(offset).expect("files are in memory");
        self.sync_range(inode, start / SECTOR_BYTES..(start + bytes.len()).div_ceil(SECTOR_BYTES))
    }

    pub(super) fn sync(&mut self, inode: usize) -> io::Result<()> {
        self.sync_range(inode, 0..usize::MAX)
    }

    fn sync_range(&mut self, inode: usize, sectors: Range<usize>) -> io::Result<()> {
        self.operation(8)?;
        self.counters.syncs += 1;
        let fault = self.sync_fault();
        let random = &self.random;
        let file = &mut self.inodes[inode];
        if fault.is_err() {
            file.settle(sectors, || random.below(2) == 0);
        } else {
            file.settle(sectors, || true);
        }
        fault
    }

    pub(super) fn allocate(&mut self, inode: usize, length: u64) -> io::Result<()> {
        self.operation(9)?;
        self.note(length);
        self.grow(inode, length)?;
        if self.inodes[inode].written.len() < usize::try_from(length).expect("files are in memory") {
            self.inodes[inode].resize(length);
        }
        Ok(())
    }

    pub(super) fn set_len(&mut self, inode: usize, length: u64) -> io::Result<()> {
        self.operation(10)?;
        self.note(length);
        let file = &mut self.inodes[inode];
        file.resize(length);
        file.allocated = file.allocated.min(length.next_multiple_of(BLOCK_BYTES as u64));
        Ok(())
    }

    pub(super) fn damage(&mut self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let inode = self.names.file(path).expect("the test names a file that is there");
        let file = &mut self.inodes[inode];
        file.settle(0..usize::MAX, || true);
        change(&mut file.written);
        file.durable.clone_from(&file.written);
    }

    pub(super) fn restart(&mut self) {
        let random = self.random.clone();
        self.names.power_cut(&random);
        for file in &mut self.inodes {
            file.settle(0..usize::MAX, || random.below(2) == 0);
            file.written.clone_from(&file.durable);
        }
        let named: BTreeSet<usize> = self.names.inodes().collect();
        for (_, file) in self.inodes.iter_mut().enumerate().filter(|(inode, _)| !named.contains(inode)) {
            *file = Inode::default();
        }
        self.kill_process();
        self.faults = Faults::default();
        self.power_off_in = None;
        self.off = false;
    }

    pub(super) fn kill_process(&mut self) {
        for file in &mut self.inodes {
            file.locked = false;
        }
        self.epoch += 1;
    }

    fn sync_fault(&mut self) -> io::Result<()> {
        if self.faults.all || due(&mut self.faults.sync) {
            return Err(io::Error::other("simulated sync error"));
        }
        Ok(())
    }

    fn part_of(&self, bytes: &[u8]) -> usize {
        let sectors = u32::try_from(bytes.len() / SECTOR_BYTES).unwrap_or(u32::MAX);
        self.random.below(sectors.max(1)) as usize * SECTOR_BYTES
    }

    fn grow(&mut self, inode: usize, end: u64) -> io::Result<()> {
        let wanted = end.next_multiple_of(BLOCK_BYTES as u64);
        let have = self.inodes[inode].allocated;
        if wanted <= have {
            return Ok(());
        }
        if self.capacity != u64::MAX && self.used() + (wanted - have) > self.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inodes[inode].allocated = wanted;
        Ok(())
    }

    fn put(&mut self, inode: usize, bytes: &[u8], offset: u64) {
        let file = &mut self.inodes[inode];
        let start = usize::try_from(offset).expect("files are in memory");
        if file.written.len() < start + bytes.len() {
            file.resize((start + bytes.len()) as u64);
        }
        file.written[start..start + bytes.len()].copy_from_slice(bytes);
        if !bytes.is_empty() {
            file.dirty.extend(start / SECTOR_BYTES..=(start + bytes.len() - 1) / SECTOR_BYTES);
        }
    }
}

impl Inode {
    fn resize(&mut self, length: u64) {
        let length = usize::try_from(length).expect("files are in memory");
        if length < self.written.len() {
            // What was cut off must not come back when the file grows again.
            self.dirty.extend(length / SECTOR_BYTES..self.written.len().div_ceil(SECTOR_BYTES));
        }
        self.written.resize(length, 0);
    }

    /// Moves what was written in some sectors to the durable content where `keep` says so. None of them is dirty afterwards.
    fn settle(&mut self, sectors: Range<usize>, mut keep: impl FnMut() -> bool) {
        if self.durable.len() != self.written.len() && keep() {
            self.durable.resize(self.written.len(), 0);
        }
        let settled: Vec<usize> = self.dirty.range(sectors).copied().collect();
        for sector in settled {
            self.dirty.remove(&sector);
            if !keep() {
                continue;
            }
            let start = sector * SECTOR_BYTES;
            let end = (start + SECTOR_BYTES).min(self.durable.len());
            for at in start..end {
                self.durable[at] = self.written.get(at).copied().unwrap_or(0);
            }
        }
    }
}

/// Counts a fault down; true once, when its time has come.
fn due(fault: &mut Option<u64>) -> bool {
    match fault {
        Some(0) => {
            *fault = None;
            true
        }
        Some(left) => {
            *left -= 1;
            false
        }
        None => false,
    }
}
