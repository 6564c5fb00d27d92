//! The tumbling window of a shard: which records belong to it, its state, and when it is over
//! (event source mapping reference, section 9).

use std::time::Duration;

use millstream_env::Timestamp;
use millstream_log::Record;

use super::progress::{WindowProgress, WindowState};
use super::response::WINDOW_STATE_BYTES_MAX;
use crate::event::{EventFormat, WindowMembers};

/// How long after its end a window without further records stays open. Arrival times of a shard never go back, and a
/// record is readable at most this long after it was given one. (AWS waits up to two minutes.)
pub(super) const LATE_RECORDS: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct TumblingWindow {
    length: Duration,
    open: Option<WindowProgress>,
}

impl TumblingWindow {
    pub(super) fn new(length: Duration, open: Option<WindowProgress>) -> Self {
        assert!(!length.is_zero(), "a window has a length");
        Self { length, open }
    }

    pub(super) fn open(&self) -> Option<&WindowProgress> {
        self.open.as_ref()
    }

    /// Opens the window that `record` belongs to, unless one is open.
    pub(super) fn open_for(&mut self, record: &Record) {
        if self.open.is_none() {
            self.open = Some(WindowProgress { start: self.start_of(record), state: WindowState::empty() });
        }
    }

    /// Whether `record` belongs to the open window.
    pub(super) fn holds(&self, record: &Record) -> bool {
        self.open.as_ref().is_some_and(|open| open.start == self.start_of(record))
    }

    /// The state has outgrown its bound: the window ends before its time.
    pub(super) fn is_overfull(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.state.text().len() > WINDOW_STATE_BYTES_MAX)
    }

    /// When the open window may be closed if nothing more comes.
    pub(super) fn closing_time(&self) -> Option<Timestamp> {
        Some(self.open.as_ref()?.start.plus(self.length).plus(LATE_RECORDS))
    }

    pub(super) fn set_state(&mut self, state: WindowState) {
        if let Some(open) = &mut self.open {
            open.state = state;
        }
    }

    /// The last invocation succeeded: the state is dropped.
    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// What an event says of the open window.
    pub(super) fn members(&self, is_final: bool) -> Option<WindowMembers<'_>> {
        let open = self.open.as_ref()?;
        let is_terminated_early = is_final && self.is_overfull();
        let end = open.start.plus(self.length);
        Some(WindowMembers { start: open.start, end, state: open.state.text(), is_final, is_terminated_early })
    }

    /// Bytes that the window adds to an event.
    pub(super) fn members_bytes(&self, format: &EventFormat) -> usize {
        self.members(false).map_or(0, |members| format.window_members(&members).len())
    }

    /// Windows are aligned to the epoch, and with it to full minutes and hours.
    fn start_of(&self, record: &Record) -> Timestamp {
        let length = u64::try_from(self.length.as_millis()).expect("at most 900 s");
        Timestamp::from_millis(record.arrival.millis() / length * length)
    }
}
