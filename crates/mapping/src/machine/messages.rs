//! What a shard machine is told and what it asks for.

use std::sync::Arc;

use millstream_functions::InvokeReport;
use millstream_log::{Position, ReadBatch, ReadFrom, ReadLimit};

use super::Batch;
use super::failed::{DiscardReason, FailedBatch};
use super::history::BatchEntry;
use super::progress::Progress;
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
    /// The invocation of this lane ended.
    Invoked {
        lane: usize,
        report: InvokeReport,
    },
    /// The failed batch of this lane is kept and at its destination, or it could not be brought there.
    Discarded {
        lane: usize,
        delivered: Result<(), DeliveryProblem>,
    },
    /// What [`Command::Keep`] told with this ticket, and everything before, is durable.
    Kept(u64),
    /// [`super::ShardMachine::deadline`] has passed. `horizon` is the oldest position that has not expired.
    Time {
        horizon: Position,
    },
    /// Begin nothing new until [`Event::Resume`]; what runs goes on to its end.
    Suspend,
    Resume,
    /// While suspended: each lane may begin one more invocation, without waiting for a window or a back-off.
    Step,
    /// Batches that wait to be tried again are given up: their records are kept as failed and passed over.
    Skip,
    /// Begin nothing new ever. Answered with [`Command::Stopped`] once nothing runs.
    Stop,
}

/// Why a failed batch did not reach its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryProblem {
    /// The failed batch itself could not be kept: nothing is given up before it is.
    NotKept,
    /// The destination refused or was not there.
    NotDelivered,
}

/// Something to do. Commands of one step are carried out in their order.
#[derive(Clone, Debug)]
pub enum Command {
    /// Answer with [`Event::Read`] or [`Event::ReadFailed`]. One read at a time.
    Read { from: ReadFrom, limit: ReadLimit },
    /// Answer with [`Event::Invoked`]. One invocation at a time for each lane.
    Invoke { lane: usize, batch: Arc<Batch> },
    /// Keep the failed batch and bring it to the destination; answer with [`Event::Discarded`]. After a failure it is
    /// asked for again, within bounds.
    Discard { lane: usize, failed: Arc<FailedBatch> },
    /// A discard has ended: its records are at the destination, if there is one, or could not be brought there.
    Discarded { lane: usize, records: usize, reason: DiscardReason, is_delivered: bool },
    /// What to remember of this shard. With a ticket it must become durable at once, and be answered with
    /// [`Event::Kept`]; otherwise soon. Positions never go back.
    Keep { progress: Progress, ticket: Option<u64> },
    /// Records were read: how many, and how many of them match no filter.
    Polled { records: usize, filtered_out: usize },
    /// The last thing that happened to a batch or a read.
    Result(ProcessingResult),
    /// An invocation ended, or a batch without one.
    History(BatchEntry),
    /// The shard has ended and the outcome of its last record is final: its children may begin. Sent once.
    Drained,
    /// The answer to [`Event::Stop`]. Sent once, last.
    Stopped,
}
