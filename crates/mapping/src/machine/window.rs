//! When batches that are not full are sent.

use std::time::Duration;

use millstream_env::Timestamp;

/// The batching windows of a lane.
///
/// They follow each other without a gap from the moment the shard begins or the previous invocation ends (not from
/// the first record: event source mapping reference, section 5). An empty window costs nothing, not even a timer.
#[derive(Debug)]
pub(super) struct BatchingWindow {
    started: Timestamp,
    length: Duration,
}

impl BatchingWindow {
    pub(super) fn new(now: Timestamp, length: Duration) -> Self {
        Self { started: now, length }
    }

    /// A batch is finished: the next window begins.
    pub(super) fn restart(&mut self, now: Timestamp) {
        self.started = now;
    }

    /// Records came into an empty intake at `now`: finds the window they belong to.
    pub(super) fn first_records(&mut self, now: Timestamp) {
        let length = u64::try_from(self.length.as_millis()).expect("a window has at most 300 s");
        let passed = now.millis().saturating_sub(self.started.millis());
        let windows_passed = passed.checked_div(length).unwrap_or(0);
        self.started = self.started.plus(Duration::from_millis(windows_passed * length));
    }

    /// Whether the window has ended.
    pub(super) fn is_over(&mut self, now: Timestamp) -> bool {
        // A clock that was set back must not make a window longer.
        self.started = self.started.min(now);
        self.end() <= now
    }

    /// When the window ends.
    pub(super) fn end(&self) -> Timestamp {
        self.started.plus(self.length)
    }
}
