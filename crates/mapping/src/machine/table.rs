//! What a lane may do: every transition, in one table.
//!
//! `docs/batch-states.md` is written from it, a lane refuses any other transition while tests run, and the simulation
//! must have gone each way.

use serde::{Deserialize, Serialize};

/// What a lane is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LaneState {
    /// No batch is in hand, or the next one has not begun.
    Idle,
    /// The function has the batch.
    Invoking,
    /// What happened is being made durable.
    Settling,
    /// A batch waits to be tried again.
    Waiting,
    /// A failed batch is on its way to the list of failed batches and to its destination.
    Discarding,
    /// That did not work and is tried again later.
    Deferred,
}

/// Why a lane changes its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    BatchDue,
    TooOld,
    TooLarge,
    NotYet,
    LeftStream,
    Succeeded,
    Failed,
    RetriesExhausted,
    NotDelivered,
    Kept,
    BackOffOver,
    Stepped,
    Skipped,
    WindowSkipped,
    Delivered,
    DeliveryFailed,
    DeliveryGivenUp,
}

/// A way from one state to another.
#[derive(Clone, Copy, Debug)]
pub struct Transition {
    pub from: LaneState,
    pub cause: Cause,
    pub to: LaneState,
    /// In words, for the documents.
    pub meaning: &'static str,
}

const fn row(from: LaneState, cause: Cause, to: LaneState, meaning: &'static str) -> Transition {
    Transition { from, cause, to, meaning }
}

/// All transitions of a lane.
pub const TRANSITIONS: &[Transition] = &[
    row(
        LaneState::Idle,
        Cause::BatchDue,
        LaneState::Invoking,
        "a batch is full, its batching window is over, or it is the next part of a split one; or a tumbling window is \
         over: its last invocation",
    ),
    row(
        LaneState::Idle,
        Cause::NotYet,
        LaneState::Waiting,
        "the batch failed and its back-off is not over, or the mapping is paused or suspended",
    ),
    row(
        LaneState::Idle,
        Cause::TooOld,
        LaneState::Discarding,
        "its first records are older than `MaximumRecordAgeInSeconds`; the others stay",
    ),
    row(LaneState::Idle, Cause::TooLarge, LaneState::Discarding, "one record alone exceeds an event of 6 MB"),
    row(LaneState::Idle, Cause::LeftStream, LaneState::Idle, "all its records have left the stream"),
    row(LaneState::Invoking, Cause::Succeeded, LaneState::Idle, "the function succeeded: the records are done with"),
    row(
        LaneState::Invoking,
        Cause::Failed,
        LaneState::Settling,
        "the function failed and the batch will be tried again: whole (`MaximumRetryAttempts`), in halves \
         (`BisectBatchOnFunctionError`), or from the first failed record on (`ReportBatchItemFailures`)",
    ),
    row(
        LaneState::Invoking,
        Cause::RetriesExhausted,
        LaneState::Discarding,
        "the function failed and `MaximumRetryAttempts` is used up",
    ),
    row(
        LaneState::Invoking,
        Cause::NotDelivered,
        LaneState::Waiting,
        "the function was not reached (throttled, not ready, not permitted, service error): no retry is used up",
    ),
    row(LaneState::Settling, Cause::Kept, LaneState::Idle, "it is durable"),
    row(LaneState::Waiting, Cause::BackOffOver, LaneState::Invoking, "the back-off is over"),
    row(LaneState::Waiting, Cause::Stepped, LaneState::Invoking, "an operator asked for one step"),
    row(
        LaneState::Waiting,
        Cause::TooOld,
        LaneState::Discarding,
        "its first records became older than `MaximumRecordAgeInSeconds`; the others stay",
    ),
    row(LaneState::Waiting, Cause::LeftStream, LaneState::Idle, "all its records have left the stream"),
    row(LaneState::Waiting, Cause::Skipped, LaneState::Discarding, "an operator passes over it"),
    row(
        LaneState::Waiting,
        Cause::WindowSkipped,
        LaneState::Settling,
        "an operator passes over the last invocation of a tumbling window: its state is dropped",
    ),
    row(
        LaneState::Discarding,
        Cause::Delivered,
        LaneState::Settling,
        "it is in the list of failed batches, and at the destination if there is one",
    ),
    row(LaneState::Discarding, Cause::DeliveryFailed, LaneState::Deferred, "the destination refused or was not there"),
    row(
        LaneState::Discarding,
        Cause::DeliveryGivenUp,
        LaneState::Settling,
        "the destination failed too often: the records are only in the list of failed batches",
    ),
    row(LaneState::Deferred, Cause::BackOffOver, LaneState::Discarding, "the delivery is tried again"),
];

/// Whether the table has this way.
pub(super) fn allows(from: LaneState, cause: Cause, to: LaneState) -> bool {
    TRANSITIONS.iter().any(|row| row.from == from && row.cause == cause && row.to == to)
}
