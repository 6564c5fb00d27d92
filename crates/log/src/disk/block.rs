//! A block on its way: open, closed, in flight.

use std::sync::{Arc, Weak};

use millstream_env::Timestamp;
use tokio::sync::watch;

use crate::admission::Admitted;
use crate::contract::{AppendError, Sealed, ShardConfig};

use super::buffer::{Arena, Frozen, Region};
use super::class::RetentionClass;
use super::engine::Engine;
use super::format::block::{BlockHeader, Kind};
use super::format::fact::ShardFacts;
use super::format::record::{self, RecordHeader};
use super::order::{Layout, Place};
use super::unsettled::Unsettled;

/// What became of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Pending,
    Published,
    Failed(AppendError),
}

/// What slots and waiting commits share with a block.
#[derive(Debug)]
pub(super) struct BlockTicket {
    pub(super) number: u64,
    /// Told when the last slot of the closed block is settled.
    pub(super) engine: Weak<Engine>,
    unsettled: Unsettled,
    pub(super) outcome: watch::Sender<Outcome>,
}

impl BlockTicket {
    /// Takes one away; true when it was the last: the block is closed and can be written.
    pub(super) fn settle_one(&self) -> bool {
        self.unsettled.settle_one()
    }

    /// Waits until the block is published or has failed.
    pub(super) async fn outcome(&self) -> Result<(), AppendError> {
        let mut outcome = self.outcome.subscribe();
        let decided = outcome.wait_for(|outcome| *outcome != Outcome::Pending).await;
        match decided.map(|outcome| *outcome) {
            Ok(Outcome::Published) => Ok(()),
            Ok(Outcome::Failed(error)) => Err(error),
            Ok(Outcome::Pending) | Err(_) => Err(AppendError::Unknown),
        }
    }
}

/// What becomes true when the block is published.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    /// Adjacent records of one shard; the offset is within the block.
    Run {
        ordinal: u32,
        first: u64,
        next: u64,
        arrival: Timestamp,
        last_arrival: Timestamp,
        offset: u32,
        length: u32,
    },
    Created {
        ordinal: u32,
    },
    Configured {
        ordinal: u32,
        config: ShardConfig,
        hidden_before: Timestamp,
    },
    Sealed {
        ordinal: u32,
        sealed: Sealed,
    },
    Deleted {
        ordinal: u32,
    },
    /// The shard goes on in another class.
    Left {
        ordinal: u32,
        to: RetentionClass,
    },
    /// The shard comes back from another class, where it came to position `next`.
    Entered {
        ordinal: u32,
        next: u64,
        facts: ShardFacts,
    },
}

impl Effect {
    pub(super) fn ordinal(&self) -> u32 {
        match self {
            Self::Run { ordinal, .. }
            | Self::Created { ordinal }
            | Self::Configured { ordinal, .. }
            | Self::Sealed { ordinal, .. }
            | Self::Deleted { ordinal }
            | Self::Left { ordinal, .. }
            | Self::Entered { ordinal, .. } => *ordinal,
        }
    }

    /// Takes `later` in, when both are runs of one shard and it lies right behind. True when it did.
    pub(super) fn extend(&mut self, later: &Self) -> bool {
        let (
            Self::Run { ordinal, next, last_arrival, offset, length, .. },
            Self::Run { ordinal: of, next: end, last_arrival: newest, offset: start, length: more, .. },
        ) = (self, later)
        else {
            return false;
        };
        if ordinal != of || *offset + *length != *start {
            return false;
        }
        *next = *end;
        *last_arrival = *newest;
        *length += *more;
        true
    }
}

/// A block that takes reservations, or waits to be written.
#[derive(Debug)]
pub(super) struct PendingBlock {
    pub(super) ticket: Arc<BlockTicket>,
    arena: Option<Arena>,
    header: Option<Region>,
    capacity: usize,
    pub(super) effects: Vec<Effect>,
    /// The effects once a committer may look at them.
    shared: Option<Arc<Vec<Effect>>>,
    /// What lies where, in order.
    places: Vec<Place>,
    records: u32,
    pub(super) payload_bytes: u64,
    /// Given back when the block is decided.
    admitted: Vec<Arc<Admitted>>,
    pub(super) frozen: Option<Frozen>,
}

impl PendingBlock {
    pub(super) fn open(engine: &Engine, number: u64, capacity: usize) -> Self {
        let mut arena = engine.pool.arena(capacity);
        let header = arena.carve(BlockHeader::BYTES).expect("a block is larger than its header");
        let (outcome, _) = watch::channel(Outcome::Pending);
        Self {
            ticket: Arc::new(BlockTicket {
                number,
                engine: engine.me.clone(),
                unsettled: Unsettled::of_open_block(),
                outcome,
            }),
            arena: Some(arena),
            header: Some(header),
            capacity,
            effects: Vec::new(),
            shared: None,
            places: Vec::new(),
            records: 0,
            payload_bytes: 0,
            admitted: Vec::new(),
            frozen: None,
        }
    }

    fn arena(&mut self) -> &mut Arena {
        self.arena.as_mut().expect("there until frozen")
    }

    pub(super) fn has_room(&self, bytes: usize) -> bool {
        let arena = self.arena.as_ref().expect("there until frozen");
        arena.remaining() >= bytes && arena.used() + bytes <= self.capacity
    }

    /// Takes `bytes`, which must be there, for a record of the shard `ordinal`. Returns the place and its offset in the
    /// block.
    pub(super) fn carve(&mut self, ordinal: u32, bytes: usize) -> (Region, u32) {
        let offset = u32::try_from(self.arena().used()).expect("blocks are below 4 GiB");
        let length = u32::try_from(bytes).expect("blocks are below 4 GiB");
        Place::add(&mut self.places, Place { ordinal, offset, length });
        let region = self.arena().carve(bytes).expect("the caller made sure of the room");
        self.records += 1;
        self.ticket.unsettled.add_one();
        (region, offset)
    }

    /// Writes a record that says something about a shard.
    pub(super) fn put_fact(&mut self, header: FactHeader, body: &[u8]) {
        let length = RecordHeader::BYTES + body.len();
        let (mut region, _) = self.carve(header.ordinal, length);
        encode_fact(region.bytes_mut(), header, body, self.ticket.number);
        drop(region);
        self.ticket.settle_one();
    }

    pub(super) fn admit(&mut self, admitted: &Arc<Admitted>) {
        self.admitted.push(Arc::clone(admitted));
    }

    /// With padding.
    pub(super) fn length(&mut self) -> u64 {
        (self.arena().used() as u64).next_multiple_of(super::format::PAGE_BYTES as u64)
    }

    /// Completes the settled block.
    pub(super) fn freeze(&mut self, kind: Kind, segment: u64, durable_upto: u64, now: Timestamp) -> Frozen {
        let length = u32::try_from(self.length()).expect("blocks are below 4 GiB");
        let arena = self.arena.take().expect("frozen once");
        let header = BlockHeader {
            kind,
            length,
            used: u32::try_from(arena.used()).expect("blocks are below 4 GiB"),
            records: self.records,
            more_numbers: 0,
            segment,
            number: self.ticket.number,
            durable_upto,
            time_ms: now.millis(),
        };
        let mut place = self.header.take().expect("frozen once");
        header.encode(place.bytes_mut());
        drop(place);
        let frozen = arena.freeze().expect("all slots of the block are settled");
        self.frozen = Some(frozen.clone());
        frozen
    }

    /// What is needed to put the frozen block in another order.
    pub(super) fn layout(&mut self) -> Layout {
        let effects = Arc::new(std::mem::take(&mut self.effects));
        self.shared = Some(Arc::clone(&effects));
        Layout { places: std::mem::take(&mut self.places), effects }
    }

    /// `before` has been put in another order. Nothing happens when that is not this block.
    pub(super) fn reorder(&mut self, before: &Frozen, block: Frozen, effects: Vec<Effect>) {
        if self.frozen.as_ref().is_some_and(|frozen| frozen.is(before)) {
            self.frozen = Some(block);
            self.shared = Some(Arc::new(effects));
        }
    }

    /// What becomes true when it is published.
    pub(super) fn effects(&self) -> &[Effect] {
        self.shared.as_ref().map_or(&self.effects, |shared| shared)
    }

    /// Reservations that have records in it.
    pub(super) fn callers(&self) -> usize {
        self.admitted.len()
    }

    pub(super) fn decide(self, outcome: Outcome) {
        self.ticket.outcome.send_replace(outcome);
    }
}

/// What a fact's record says beside its body.
#[derive(Clone, Copy, Debug)]
pub(super) struct FactHeader {
    pub(super) kind: record::Kind,
    pub(super) ordinal: u32,
    pub(super) position: u64,
    pub(super) time: Timestamp,
}

/// Writes a fact into `place`, which is exactly as long as the record.
pub(super) fn encode_fact(place: &mut [u8], fact: FactHeader, body: &[u8], number: u64) {
    place[RecordHeader::BYTES..].copy_from_slice(body);
    let header = RecordHeader {
        length: u32::try_from(place.len()).expect("facts are short"),
        ordinal: fact.ordinal,
        kind: fact.kind,
        tag: 0,
        key_bytes: 0,
        position: fact.position,
        arrival_ms: fact.time.millis(),
    };
    header.encode(place, number);
}
