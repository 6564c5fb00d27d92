//! A writer that comes alone writes for itself.
//!
//! A commit usually changes threads twice: a committer is woken to write, and the caller when it is written. Where many
//! callers share a block that is what makes groups of them; one that is alone waits for it as long as for the disk. So when
//! the last blocks were each of one caller, with nobody else waiting, the next such caller writes its small block on its own
//! thread. That ends with the first company, and when the disk does not answer at once: others may need the thread.
//!
//! Space that a file system has reserved and never written costs each small write another one, of where the file's data is. So
//! now and then such a block takes zeros along for the ones that will follow it. Nothing else is in flight meanwhile, which
//! the pipeline sees to: the zeros would fall on it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::format::PAGE_BYTES;
use super::super::options::Options;
use super::{Engine, State, Work};

/// Whether the caller that holds the lock would write its block itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::disk) enum Offer {
    #[default]
    No,
    Yes,
}

/// How long a caller may be kept: its thread may be an asynchronous one.
const PATIENCE: Duration = Duration::from_micros(500);

#[derive(Debug)]
pub(super) struct Lone {
    after: u32,
    bytes_max: usize,
    ahead: u64,
    /// Blocks in a row that were of one caller alone.
    streak: u32,
    offer: Offer,
}

impl Lone {
    pub(super) fn new(options: &Options) -> Self {
        let (after, bytes_max) = (options.lone_writer_after, options.durable_write_bytes_max);
        let ahead = options.write_ahead_bytes.next_multiple_of(PAGE_BYTES as u64);
        Self { after, bytes_max, ahead, streak: 0, offer: Offer::No }
    }

    pub(super) fn offer(&mut self, offer: Offer) {
        self.offer = offer;
    }
}

/// What of a segment's space was written once, behind its last block.
#[derive(Debug, Default)]
pub(super) struct SpaceAhead {
    segment: u64,
    allocated: u64,
    written_to: u64,
}

impl SpaceAhead {
    pub(super) fn new(segment: u64, allocated: u64) -> Self {
        Self { segment, allocated, written_to: 0 }
    }
}

impl Engine {
    /// Does work that was left for a caller. The one that offered comes here last of all, so none stays behind.
    pub(super) fn write_alone(&self) {
        if !self.left_to_caller.swap(false, Ordering::Relaxed) {
            return;
        }
        let work = {
            let state = &mut *self.lock();
            // A committer may have come by, and what waits now be another's.
            if state.small_write_waits() { state.work.pop_front() } else { None }
        };
        let Some(work) = work else { return self.work_ready.notify_one() };
        // What is written ahead takes longer, and says nothing of the next one.
        let with_zeros = matches!(work, Work::Write { zeros, .. } if zeros > 0);
        let start = self.host_clock.monotonic();
        self.perform(work);
        if !with_zeros && self.host_clock.monotonic().saturating_sub(start) > PATIENCE {
            self.lock().lone.streak = 0;
        }
    }
}

impl State {
    /// Whether the one piece of work that waits is left for the caller, who has offered to do it.
    pub(super) fn leaves_it_to_caller(&self) -> bool {
        let Lone { after, streak, offer, .. } = self.lone;
        let alone = self.open.is_none() && self.blocks.len() == 1;
        offer == Offer::Yes && streak >= after && alone && self.small_write_waits()
    }

    fn small_write_waits(&self) -> bool {
        let bytes_max = self.lone.bytes_max;
        matches!(self.work.front(), Some(Work::Write { bytes, .. }) if bytes.as_ref().len() <= bytes_max)
    }

    /// Lets the block that is left to the caller take a piece of the space behind it along, when that was never written.
    pub(super) fn write_ahead(&mut self) {
        let SpaceAhead { segment: newest, allocated, written_to } = &mut self.space_ahead;
        let Some(Work::Write { segment, number, offset, bytes, zeros, .. }) = self.work.front_mut() else { return };
        let end = *offset + bytes.as_ref().len() as u64;
        if self.lone.ahead == 0 || newest != segment || end <= *written_to {
            return;
        }
        // As far as the file has space of its own: the rest is met by the next segment.
        let until = (end + self.lone.ahead).min(*allocated / PAGE_BYTES as u64 * PAGE_BYTES as u64);
        *zeros = until.saturating_sub(end);
        if *zeros > 0 {
            *written_to = until;
            self.pipeline.keep_alone(*number);
        }
    }

    /// A block of so many callers was stored.
    pub(super) fn note_company(&mut self, callers: usize) {
        let alone = callers == 1 && self.open.is_none() && self.blocks.is_empty();
        self.lone.streak = if alone { self.lone.streak.saturating_add(1) } else { 0 };
    }
}
