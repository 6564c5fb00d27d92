//! What happens beside the commits: sealing, expiry, free space, the closing block.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use millstream_env::{Access, Timestamp};

use super::super::format::index;
use super::super::index_file::{IndexError, IndexFile};
use super::super::pipeline::Event;
use super::super::recovery::{self, End};
use super::super::segment_index::SegmentIndex;
use super::{Chore, Counters, Engine, Index, Life, State};

/// Memory and files that were not used for so long are given back.
const IDLE_AFTER: Duration = Duration::from_secs(30);

impl Engine {
    /// For those who work without threads.
    pub(in crate::disk) fn take_chore(&self) -> Option<Chore> {
        self.lock().chores.pop_front()
    }

    /// Waits for a chore, at most `limit`. The flag says whether the engine stops.
    pub(in crate::disk) fn wait_for_chore(&self, limit: Duration) -> (Option<Chore>, bool) {
        let state = self.lock();
        let idle = |state: &mut State| state.chores.is_empty() && state.life != Life::Stopping;
        let (mut state, _) =
            self.chores_ready.wait_timeout_while(state, limit, idle).expect("no code panics while holding this lock");
        (state.chores.pop_front(), state.life == Life::Stopping)
    }

    /// How long the housekeeper may rest.
    pub(in crate::disk) fn rest(&self) -> Duration {
        let closing = self.lock().pipeline.needs_closing();
        if closing { self.options.idle_after } else { self.options.housekeeping_every }
    }

    pub(in crate::disk) fn perform_chore(&self, chore: &Chore) {
        let (what, segment, result) = match chore {
            Chore::Seal { segment } => ("seal", *segment, self.seal_segment(*segment)),
            Chore::Remove { segment } => ("remove", *segment, self.remove_segment(*segment)),
        };
        if let Err(error) = result {
            // Nothing is lost: the index is kept in memory, the space is freed when the log is opened again.
            tracing::warn!(what, segment, %error, "housekeeping of a segment failed");
        }
    }

    /// Looks after everything that depends on time. Called about every [`Engine::rest`].
    pub(in crate::disk) fn tick(&self) {
        let now = self.clock.now();
        self.check_space();
        self.tell(Event::Retry);
        let quiet = now.since(self.lock().last_append);
        if quiet >= self.options.idle_after {
            self.tell(Event::Idle);
        }
        if self.block_cache.shrink(now.minus(IDLE_AFTER)) {
            self.index_cache.files.clear();
            if quiet >= IDLE_AFTER {
                self.pool.shrink();
            }
        }
        self.forget_departed(now);
        self.count_dead_bytes(now);
        while self.give_back_space(now) {}
        while let Some(segment) = self.expired_segment(now) {
            self.expire(segment);
        }
    }

    fn check_space(&self) {
        let Ok(free) = self.disk.free_bytes(&self.options.folder) else { return };
        let mut state = self.lock();
        let low = free < self.options.disk_free_min;
        if low != state.low_space {
            state.low_space = low;
            if low {
                tracing::error!(free, "little disk space is left: records are refused until there is more");
            } else {
                tracing::info!(free, "there is disk space again: records are taken");
            }
        }
    }

    fn seal_segment(&self, segment: u64) -> io::Result<()> {
        let (index, end, path) = {
            let state = self.lock();
            let Some(found) = state.segments.get(&segment) else { return Ok(()) };
            let Index::Memory(index) = &found.index else { return Ok(()) };
            (Arc::clone(index), found.end, found.path.clone())
        };
        let file = self.disk.open(&path, Access::Write, false)?;
        if file.len()? > end {
            file.set_len(end)?;
            file.sync()?;
        }
        let bytes = index::encode(&index, self.store, segment);
        Counters::add(&self.counters.written_bytes, bytes.len() as u64);
        let path = self.folder.index(segment);
        self.disk.write_atomically(&path, &bytes)?;
        let opened = IndexFile::open(Arc::clone(&self.disk), path, segment, Arc::clone(&self.index_cache));
        let opened = opened.map_err(io::Error::other)?;
        if let Some(found) = self.lock().segments.get_mut(&segment) {
            found.index = Index::File(Arc::new(opened));
        }
        Ok(())
    }

    /// The oldest segment, when nothing in it is wanted any more.
    fn expired_segment(&self, now: Timestamp) -> Option<u64> {
        let (segment, extents) = {
            let state = self.lock();
            let segment = state.oldest_sealed()?;
            if self.over_size(&state) {
                tracing::warn!(segment, "the log is larger than its maximum: the oldest records are removed early");
                Counters::add(&self.counters.removed_early, 1);
                return Some(segment);
            }
            if now < state.expiry_due {
                return None;
            }
            (segment, state.extents_source(segment)?)
        };
        let extents = extents.read().ok()?;
        let mut state = self.lock();
        let mut due = Timestamp::EPOCH;
        for (ordinal, extent) in extents.iter().filter(|(_, extent)| extent.next > extent.first) {
            let Some(shard) = state.shards.get(ordinal) else { continue };
            let newest = Timestamp::from_millis(extent.last_arrival_ms);
            if newest >= shard.cutoff(now) {
                due = due.max(newest.plus(shard.config.retention));
            }
        }
        if due > Timestamp::EPOCH {
            // Until then, or until a setting changes, the answer is the same.
            state.expiry_due = due;
            return None;
        }
        for (ordinal, extent) in extents {
            if let Some(shard) = state.shards.get_mut(&ordinal) {
                shard.expired(extent.next);
            }
        }
        Some(segment)
    }

    pub(super) fn over_size(&self, state: &State) -> bool {
        let Some(max) = self.options.log_bytes_max else { return false };
        let bytes = state.segments.values().map(|segment| segment.end).sum();
        let oldest = state.oldest_sealed().and_then(|oldest| state.segments.get(&oldest)).map(|found| found.begun_ms);
        self.space.is_over(max, self.class(), bytes, oldest)
    }

    /// One at a time, each made durable before the next: what is left is always an unbroken row of segments.
    fn expire(&self, segment: u64) {
        self.lock().segments.remove(&segment);
        tracing::info!(segment, "all records of a segment have expired: it is removed");
        self.perform_chore(&Chore::Remove { segment });
    }

    fn remove_segment(&self, segment: u64) -> io::Result<()> {
        for path in [self.folder.segment(segment), self.folder.index(segment)] {
            match self.disk.remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.index_cache.files.forget(segment);
        self.disk.sync_dir(self.folder.path())
    }

    /// Makes the index of a sealed segment again from its records.
    pub(in crate::disk) fn rebuild_index(&self, segment: u64) -> Result<Arc<SegmentIndex>, IndexError> {
        tracing::warn!(segment, "the index of a segment is missing or damaged: it is made again");
        let (path, end) = {
            let state = self.lock();
            let gone = || IndexError::Disk(io::ErrorKind::NotFound.into());
            let found = state.segments.get(&segment).ok_or_else(gone)?;
            (found.path.clone(), found.end)
        };
        let index = Arc::new(recovery::index_of(&*self.disk, &path, segment, End::Offset(end))?);
        let mut state = self.lock();
        if let Some(found) = state.segments.get_mut(&segment) {
            found.index = Index::Memory(Arc::clone(&index));
        }
        state.chores.push_back(Chore::Seal { segment });
        drop(state);
        self.chores_ready.notify_all();
        Ok(index)
    }

    /// Ends the log: takes nothing more, waits for what was taken, ends the active segment. Bounded by `limit`.
    pub(in crate::disk) fn finish(&self, limit: Duration) {
        // A segment that is wanted to make something durable is made now.
        self.tell(Event::Retry);
        let mut state = self.lock();
        state.life = Life::Closing;
        let busy = |state: &mut State| !state.pipeline.is_idle() && !state.pipeline.is_dead();
        let (mut waited, _) =
            self.at_rest.wait_timeout_while(state, limit, busy).expect("no code panics while holding this lock");
        if waited.pipeline.is_idle() && !waited.pipeline.is_dead() {
            let commands = waited.pipeline.finish();
            self.carry_out(&mut waited, commands.into_iter().collect());
        }
        waited.life = Life::Stopping;
        drop(waited);
        self.readers.stop();
        self.work_ready.notify_all();
        self.chores_ready.notify_all();
    }

    /// Ends the threads without waiting for anything: what is unfinished is found again when opening.
    pub(in crate::disk) fn abandon(&self) {
        let mut state = self.lock();
        state.life = Life::Stopping;
        drop(state);
        self.readers.stop();
        self.work_ready.notify_all();
        self.chores_ready.notify_all();
    }
}

impl State {
    fn oldest_sealed(&self) -> Option<u64> {
        let (oldest, found) = self.segments.first_key_value()?;
        // The facts of the live shards must be in a durable checkpoint behind it.
        let followed = self.segments.values().skip(1).any(|later| later.end > 0);
        if matches!(found.index, Index::Active(_)) || !followed { None } else { Some(*oldest) }
    }
}
