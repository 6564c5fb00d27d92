//! Carrying out work on the disk, off the lock.

use std::io;
use std::sync::Arc;

use millstream_env::{Access, DiskFile};

use super::super::buffer::Frozen;
use super::super::order::{self, Layout};
use super::super::pipeline::{Event, Failure};
use super::super::segment_index::SegmentIndex;
use super::lone::SpaceAhead;
use super::{Counters, Engine, Index, Life, Segment, Work};

impl Engine {
    /// The next piece of work, if there is one: for those who work without threads.
    pub(in crate::disk) fn take_work(&self) -> Option<Work> {
        self.lock().work.pop_front()
    }

    /// Waits for work; `None` when the engine stops.
    pub(in crate::disk) fn wait_for_work(&self) -> Option<Work> {
        let mut state = self.lock();
        loop {
            if let Some(work) = state.work.pop_front() {
                return Some(work);
            }
            if state.life == Life::Stopping {
                return None;
            }
            state = self.work_ready.wait(state).expect("no code panics while holding this lock");
        }
    }

    /// Does a piece of work and tells the pipeline.
    pub(in crate::disk) fn perform(&self, work: Work) {
        let event = match work {
            Work::Create { segment, bytes, direct } => {
                let created = self.create_segment(segment, bytes, direct);
                let result = created.map(|(file, direct)| self.register(segment, bytes, file, direct));
                Event::Created { segment, result: result.map_err(|error| failure("create", segment, &error)) }
            }
            Work::Write { segment, number, offset, file, bytes, layout, zeros } => {
                let bytes = self.with_zeros(self.in_order(number, bytes, layout), zeros);
                Counters::add(&self.counters.written_bytes, bytes.as_ref().len() as u64);
                let small = zeros > 0 || bytes.as_ref().len() <= self.options.durable_write_bytes_max;
                let result = if small {
                    Counters::add(&self.counters.syncs, 1);
                    file.write_all_durably_at(bytes.as_ref(), offset)
                } else {
                    file.write_all_at(bytes.as_ref(), offset)
                };
                let result = result.map_err(|error| failure("write", segment, &error));
                if small {
                    Event::Synced { segment, number, result }
                } else {
                    Event::Written { segment, number, result }
                }
            }
            Work::Sync { segment, number, file } => {
                Counters::add(&self.counters.syncs, 1);
                let result = file.sync();
                Event::Synced { segment, number, result: result.map_err(|error| failure("sync", segment, &error)) }
            }
        };
        self.tell(event);
    }

    /// The block with zeros behind it.
    fn with_zeros(&self, block: Frozen, zeros: u64) -> Frozen {
        if zeros == 0 {
            return block;
        }
        let length = block.as_ref().len();
        let all = length + usize::try_from(zeros).expect("a part of a segment");
        let mut arena = self.pool.arena(all);
        let mut region = arena.carve(all).expect("as large as asked for");
        region.bytes_mut()[..length].copy_from_slice(block.as_ref());
        region.bytes_mut()[length..].fill(0);
        drop(region);
        arena.freeze().unwrap_or_else(|_| unreachable!("its only region is dropped"))
    }

    /// The block in the order of shards, when that is worth it.
    fn in_order(&self, number: u64, bytes: Frozen, layout: Option<Layout>) -> Frozen {
        let ordered = layout.and_then(|layout| order::by_shard(&self.pool, &bytes, &layout));
        let Some((ordered, effects)) = ordered else { return bytes };
        if let Some(block) = self.lock().blocks.get_mut(&number) {
            block.reorder(&bytes, ordered.clone(), effects);
        }
        ordered
    }

    pub(in crate::disk) fn tell(&self, event: Event) {
        let state = &mut *self.lock();
        let commands = state.pipeline.step(event);
        self.carry_out(state, commands);
    }

    /// Makes the file, with its space, and makes its name durable.
    fn create_segment(&self, segment: u64, bytes: u64, direct: bool) -> io::Result<(Arc<dyn DiskFile>, bool)> {
        let path = self.folder.segment(segment);
        let (file, direct) = match self.disk.open(&path, Access::CreateNew, direct) {
            Err(error) if direct && error.kind() == io::ErrorKind::InvalidInput => {
                tracing::warn!("the file system cannot by-pass the page cache; writing through it, which is slower");
                (self.disk.open(&path, Access::OpenOrCreate, false)?, false)
            }
            other => (other?, direct),
        };
        let made = match file.allocate(bytes) {
            // Some file systems cannot reserve space; a full disk is then met when writing.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
            other => other,
        };
        let made = made.and_then(|()| file.sync()).and_then(|()| self.disk.sync_dir(self.folder.path()));
        if let Err(error) = made {
            // What was made of it is of no use; opening again would clean it up as well.
            if let Err(error) = self.disk.remove_file(&path) {
                tracing::warn!(segment, %error, "a segment that could not be made is left behind");
            }
            return Err(error);
        }
        Ok((file, direct))
    }

    fn register(&self, segment: u64, allocated: u64, file: Arc<dyn DiskFile>, direct: bool) {
        let mut state = self.lock();
        state.space_ahead = SpaceAhead::new(segment, allocated);
        state.direct = direct;
        let path = self.folder.segment(segment);
        let index = Index::Active(SegmentIndex::default());
        state.segments.insert(
            segment,
            Segment { path, file: Some(file), index, end: 0, begun_ms: 0, dead_bytes: 0, rewritable: true },
        );
    }
}

fn failure(what: &str, segment: u64, error: &io::Error) -> Failure {
    let no_space = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    tracing::error!(what, segment, %error, "the log cannot store");
    if no_space { Failure::NoSpace } else { Failure::Broken }
}
