//! What has to be known of a shard after a restart.

use std::str::FromStr;
use std::sync::Arc;

use millstream_env::Timestamp;
use millstream_log::Position;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// How far a shard is: enough to go on after a crash with the same batches, retries and window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// One for each lane; as many as `ParallelizationFactor` says.
    pub lanes: Vec<LaneProgress>,
    /// The tumbling window that is open.
    pub window: Option<WindowProgress>,
}

impl Progress {
    /// Everything below `next` is final, nothing of the rest was begun.
    pub fn at(next: Position) -> Self {
        Self { lanes: vec![LaneProgress { next, failed: Vec::new() }], window: None }
    }

    /// The position below which everything is final.
    pub fn floor(&self) -> Position {
        self.lanes.iter().map(|lane| lane.next).min().unwrap_or(Position(0))
    }

    /// The same for another number of lanes: keys go to other lanes then, so all of them begin at the floor. What was
    /// finished beyond it is delivered again; retries are counted anew.
    #[must_use]
    pub fn with_lanes(self, lanes: usize) -> Self {
        if self.lanes.len() == lanes {
            return self;
        }
        let next = self.floor();
        Self { lanes: vec![LaneProgress { next, failed: Vec::new() }; lanes], window: self.window }
    }
}

/// How far a lane is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneProgress {
    /// The first position whose outcome is not final.
    pub next: Position,
    /// The batches that failed, and the rests of what was split, in order from `next`; at most
    /// [`FAILED_BATCHES_MAX`].
    pub failed: Vec<FailedOutline>,
}

/// Each split of a batch of at most 10,000 leaves one more rest behind; age and partial failures may leave another.
pub(crate) const FAILED_BATCHES_MAX: usize = 32;

/// A batch that will be sent again, as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedOutline {
    /// Position of its last record; it begins after the one before.
    pub last: Position,
    /// How many records it has.
    pub records: usize,
    /// Failures that `MaximumRetryAttempts` counts.
    pub failures: u32,
}

/// An open tumbling window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowProgress {
    pub start: Timestamp,
    pub state: WindowState,
}

/// What the function returned as `state`, as JSON.
#[derive(Clone, Debug)]
pub struct WindowState(Arc<RawValue>);

impl WindowState {
    /// `{}`: what a window begins with.
    pub fn empty() -> Self {
        "{}".parse().expect("valid JSON")
    }

    pub fn text(&self) -> &str {
        self.0.get()
    }
}

impl FromStr for WindowState {
    type Err = serde_json::Error;

    fn from_str(json: &str) -> Result<Self, Self::Err> {
        RawValue::from_string(json.to_owned()).map(|value| Self(value.into()))
    }
}

impl PartialEq for WindowState {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.text() == other.text()
    }
}

impl Eq for WindowState {}

impl Serialize for WindowState {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for WindowState {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|value| Self(value.into()))
    }
}
