//! What a shard machine is told and what it asks for.

use std::sync::Arc;

use millstream_env::Timestamp;
use millstream_functions::{InvokeReport, Outcome};
use millstream_log::{Position, ReadBatch, ReadFrom, ReadLimit};

use super::Batch;
use crate::result::ProcessingResult;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The machine may begin. Sent once, first.
    Start,
    /// The read that the machine asked for gave this.
    Read(ReadBatch),
    /// The read that the machine asked for failed.
    ReadFailed(ProcessingResult),
    /// Something was stored in the shard, or it was sealed. Only needed while [`super::ShardMachine::wants_tail`].
    Tail,
    /// The invocation that the machine asked for ended.
    Invoked(InvokeReport),
    /// [`super::ShardMachine::deadline`] has passed. `horizon` is the oldest position that has not expired.
    Time {
        horizon: Position,
    },
    /// Begin nothing new until [`Event::Resume`]; what runs goes on to its end.
    Suspend,
    Resume,
    /// Begin nothing new ever. Answered with [`Command::Stopped`] once nothing runs.
    Stop,
}

/// Something to do. Commands of one step are carried out in their order.
#[derive(Clone, Debug)]
pub enum Command {
    /// Answer with [`Event::Read`] or [`Event::ReadFailed`]. One read at a time.
    Read { from: ReadFrom, limit: ReadLimit },
    /// Answer with [`Event::Invoked`]. One invocation at a time.
    Invoke(Arc<Batch>),
    /// The outcome of every record below this position is final. Strictly increasing.
    Checkpoint(Position),
    /// The last thing that happened to a batch or a read.
    Result(ProcessingResult),
    /// An invocation ended, or a batch without one.
    History(BatchEntry),
    /// The shard has ended and the outcome of its last record is final: its children may begin. Sent once.
    Drained,
    /// The answer to [`Event::Stop`]. Sent once, last.
    Stopped,
}

/// One line of a shard's batch history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchEntry {
    pub first: Position,
    pub last: Position,
    pub records: usize,
    pub event_bytes: usize,
    /// Counts invocations of this batch, from 1; 0 when it was never sent.
    pub attempt: u32,
    pub started: Timestamp,
    pub ended: Timestamp,
    pub request_id: Option<String>,
    pub outcome: BatchOutcome,
}

/// How one try of a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum BatchOutcome {
    Succeeded,
    FunctionFailed,
    /// The function was not reached; the try is repeated and uses up no retry.
    NotDelivered,
    /// The records left the stream before they were processed.
    Expired,
    /// The record is larger than an event may be.
    TooLarge,
}

/// What the end of an invocation means for its batch and for `LastProcessingResult`.
pub(super) fn judge(outcome: &Outcome) -> (BatchOutcome, ProcessingResult) {
    match outcome {
        Outcome::Ok(_) => (BatchOutcome::Succeeded, ProcessingResult::Ok),
        Outcome::FunctionError { .. } => (BatchOutcome::FunctionFailed, ProcessingResult::FunctionFailed),
        Outcome::Throttled { .. } => (BatchOutcome::NotDelivered, ProcessingResult::Throttled),
        Outcome::NotPermitted(_) => (BatchOutcome::NotDelivered, ProcessingResult::NotPermitted),
        Outcome::NotFound(_) => (BatchOutcome::NotDelivered, ProcessingResult::FunctionMissing),
        Outcome::NotReady(_) => (BatchOutcome::NotDelivered, ProcessingResult::NotReady),
        Outcome::ServiceError(_) => (BatchOutcome::NotDelivered, ProcessingResult::ServiceError),
    }
}
