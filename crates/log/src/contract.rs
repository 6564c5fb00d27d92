//! What every engine promises.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_env::{BoxFuture, Timestamp};
use millstream_types::Payload;

use crate::disk::DiskSlot;
use crate::encryption::{self, Sealing};
use crate::memory::MemorySlot;

/// A shard of one incarnation of a stream. `stream` is unique for ever: a stream deleted and created again under its old
/// name gets a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardKey {
    pub stream: u64,
    pub shard: u32,
}

/// The stream's number and the shard's index, as errors and commands name a shard: `12/0`.
impl fmt::Display for ShardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stream, self.shard)
    }
}

/// The place of a record in its shard: strictly increasing, below 2^63, the first is 0. In the embedded engines dense,
/// void records included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// A record to be stored: everything the log must know to make room for it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub shard: ShardKey,
    /// 1 to 256 Unicode characters.
    pub partition_key: &'a str,
    /// Exact number of bytes that [`Slot::fill`] will receive.
    pub payload_bytes: usize,
    /// Says what the payload is, to the layer that writes and reads it; 0 when there is nothing to say. Kept with the record.
    /// What goes through [`EncryptedLog`](crate::EncryptedLog) has 0: it gives the tag.
    pub tag: u8,
}

/// Why a record was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The shard is sealed, or unknown to the log.
    #[error("the shard is sealed")]
    Sealed,
    /// Too many bytes are admitted and not yet stored; the bounded wait has passed. Trying again helps.
    #[error("too much data is waiting to be stored")]
    Throttled,
    /// The disk is full. Trying again helps once space is there.
    #[error("the disk is full")]
    Full,
    /// The engine does not store at the moment. Trying again may help.
    #[error("the log is not available")]
    Unavailable,
    /// The record is stored or is not: it is not known. Callers answer with an internal failure.
    #[error("it is not known whether the record was stored")]
    Unknown,
}

/// Room for one batch of records, reserved in order. Fill every slot without awaiting anything in between, then
/// [`Reservation::commit`]. A reservation that is dropped uncommitted leaves void records, which no reader sees.
pub struct Reservation {
    /// One for each entry, in the entries' order.
    pub slots: Vec<Result<Slot, AppendError>>,
    pub(crate) finish: Finish,
}

/// The engine's half of [`Reservation::commit`]: settles the slots before it returns; its future waits for durability.
pub(crate) type Finish =
    Box<dyn FnOnce(Vec<Result<Slot, AppendError>>) -> BoxFuture<'static, Vec<Result<Stored, AppendError>>> + Send>;

impl Reservation {
    /// Nothing was reserved for any of `count` entries.
    pub(crate) fn refused(count: usize, error: AppendError) -> Self {
        let slots = (0..count).map(|_| Err(error)).collect();
        let finish: Finish = Box::new(move |slots| {
            let results = slots.into_iter().map(|slot| slot.map(|slot| slot.stored())).collect();
            Box::pin(async move { results })
        });
        Self { slots, finish }
    }

    /// Hands the slots over and waits until they are durable. One result for each entry, in order. A slot that was not
    /// filled gives [`AppendError::Unavailable`] and stays void.
    pub fn commit(self) -> BoxFuture<'static, Vec<Result<Stored, AppendError>>> {
        (self.finish)(self.slots)
    }
}

impl Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reservation({} slots)", self.slots.len())
    }
}

/// Where a record now is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    pub position: Position,
    pub arrival: Timestamp,
}

/// The reserved place of one record in the log's own memory.
pub struct Slot {
    pub(crate) memory: SlotMemory,
    /// How the payload is encrypted on its way into place.
    pub(crate) sealing: Option<Box<Sealing>>,
}

/// The engine's side of a [`Slot`]: one case for each engine, in place, so that a record costs no allocation. Dropped without
/// being settled it leaves a void record.
pub(crate) enum SlotMemory {
    Disk(DiskSlot),
    Memory(MemorySlot),
}

impl Slot {
    pub(crate) fn new(memory: SlotMemory) -> Self {
        Self { memory, sealing: None }
    }

    /// Decodes `payload` into place. Its decoded length must be the one reserved.
    pub fn fill(&mut self, payload: Payload<'_>) {
        match &self.sealing {
            None => self.memory.fill_with(|_, place| payload.decode_into(place)),
            Some(sealing) => {
                let position = self.memory.stored().position;
                self.memory.fill_with(|key, place| sealing.fill(position, key, payload, place));
            }
        }
    }

    /// Whether the record is encrypted where it is stored.
    pub fn is_encrypted(&self) -> bool {
        self.sealing.is_some()
    }

    pub fn stored(&self) -> Stored {
        self.memory.stored()
    }

    /// Hands the record to the engine: as it was filled, or void when it was not.
    pub(crate) fn settle(self) -> Result<Stored, AppendError> {
        match self.memory {
            SlotMemory::Disk(slot) => slot.settle(),
            SlotMemory::Memory(slot) => slot.settle(),
        }
    }
}

impl SlotMemory {
    /// Has the payload's place filled by `write`, which also sees the partition key.
    fn fill_with(&mut self, write: impl FnOnce(&[u8], &mut [u8])) {
        match self {
            Self::Disk(slot) => slot.fill_with(write),
            Self::Memory(slot) => slot.fill_with(write),
        }
    }

    fn stored(&self) -> Stored {
        match self {
            Self::Disk(slot) => slot.stored(),
            Self::Memory(slot) => slot.stored(),
        }
    }
}

impl Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slot({:?})", self.stored())
    }
}

/// Where a read begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// The first record at or after this position that is still there.
    Position(Position),
    /// The first record that arrived at or after this moment; with none yet, the tip.
    Time(Timestamp),
    /// After the last record stored now: returns no records, but `next` says where to go on.
    Tip,
}

/// Bounds of one read; at least one record is returned when there is one, however large.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimit {
    pub records: usize,
    /// Counts data and partition keys.
    pub bytes: usize,
}

/// A stored record. The bytes share the log's blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub position: Position,
    pub arrival: Timestamp,
    /// UTF-8, checked when it was stored.
    pub partition_key: Bytes,
    pub data: Bytes,
    /// What [`Entry::tag`] was.
    pub tag: u8,
}

impl Record {
    /// Whether the record is encrypted where it is stored. Its data here is not, when it was read through
    /// [`EncryptedLog`](crate::EncryptedLog).
    pub fn is_encrypted(&self) -> bool {
        self.tag == encryption::TAG
    }
}

/// The result of a read.
#[derive(Clone, Debug)]
pub struct ReadBatch {
    pub records: Vec<Record>,
    /// Where the next read goes on. Moves past void and expired records also when `records` is empty.
    pub next: Position,
    /// Arrival of the shard's newest record when `next` has not reached the tip; `None` when caught up.
    pub behind: Option<Timestamp>,
    /// The shard is sealed and `next` is past its last record: nothing will ever follow.
    pub ended: bool,
}

/// Why a read gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("the log has no shard {0:?}")]
    NoShard(ShardKey),
    /// Stored data is damaged; these positions of the shard cannot be served. Never answered by silence, unless the operator
    /// has accepted the loss.
    #[error("records {} to {} of shard {shard} are damaged", first.0, last.0)]
    Damaged { shard: ShardKey, first: Position, last: Position },
    #[error("the log cannot be read: {0}")]
    Unavailable(String),
}

/// An operation on a shard as a whole failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    #[error("the log has no shard {0:?}")]
    NoShard(ShardKey),
    #[error("the log is not available: {0}")]
    Unavailable(String),
}

/// What a shard holds now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Nothing before this position is readable any more. A lower bound: retention may already hide more, which a read
    /// finds out. Never beyond `next`.
    pub horizon: Position,
    /// One past the newest settled position: where [`ReadFrom::Tip`] points. Records being stored come at or after it.
    pub next: Position,
    /// Arrival of the newest record ever stored.
    pub last_arrival: Option<Timestamp>,
    pub sealed: Option<Sealed>,
}

/// How a sealed shard ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    pub closed_at: Timestamp,
    /// The last position given out; `None` when the shard never held a record.
    pub last: Option<Position>,
}

/// Settings of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardConfig {
    /// Records older than this are not read any more and their space is freed in time.
    pub retention: Duration,
}

/// A subscription to one shard: completes after something was stored, or the shard was sealed or deleted. May wake
/// without cause and may merge several causes, but never loses one that came after the subscription was made or after
/// the last [`Tail::changed`] returned.
pub struct Tail(pub(crate) tokio::sync::watch::Receiver<u64>);

impl Tail {
    pub async fn changed(&mut self) {
        // A closed sender is a deleted shard; the next read says so, and there must be no busy loop.
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether something has come since the last [`Tail::changed`] returned, without taking notice of it.
    pub fn has_changed(&self) -> bool {
        self.0.has_changed().unwrap_or(false)
    }

    /// A subscription that has seen what this one has.
    #[must_use]
    pub fn glimpse(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tail")
    }
}

/// A log of many shards.
///
/// ```text
///            horizon                       durable            reserved
///   expired  |   readable                  |   being stored   |
///  ----------+-----------------------------+------------------+----> position
/// ```
///
/// A position is handed out by `reserve`, durable and readable once `commit` returned it, and never used twice, also
/// across crashes. Readers see records in order of position and never a position whose predecessors are not settled.
/// After a crash every acknowledged record is read back byte for byte; records that were not acknowledged may appear
/// only as a suffix of their shard.
pub trait ShardLog: Send + Sync + Debug {
    /// Makes an empty shard, durably. Does nothing when it exists. A deleted key is never created again.
    fn create(&self, shard: ShardKey, config: ShardConfig) -> BoxFuture<'_, Result<(), ShardError>>;

    /// Changes the settings of a shard. A shorter retention hides records at once; a longer one brings none back.
    fn configure(&self, shard: ShardKey, config: ShardConfig) -> BoxFuture<'_, Result<(), ShardError>>;

    /// Waits a bounded time for admission, then reserves room for all entries under one short lock, in order.
    fn reserve<'a>(&'a self, entries: &'a [Entry<'a>]) -> BoxFuture<'a, Reservation>;

    /// Ends a shard, durably: nothing is reserved afterwards. Repeating it gives the first answer.
    fn seal(&self, shard: ShardKey) -> BoxFuture<'_, Result<Sealed, ShardError>>;

    fn read(&self, shard: ShardKey, from: ReadFrom, limit: ReadLimit) -> BoxFuture<'_, Result<ReadBatch, ReadError>>;

    fn bounds(&self, shard: ShardKey) -> Result<Bounds, ShardError>;

    /// Forgets a shard and its records, durably. Does nothing when it does not exist.
    fn delete(&self, shard: ShardKey) -> BoxFuture<'_, Result<(), ShardError>>;

    /// Subscribes to a shard. `None` when it does not exist.
    fn tail(&self, shard: ShardKey) -> Option<Tail>;
}

/// A log by any engine.
pub type SharedLog = Arc<dyn ShardLog>;
