//! One shard in memory.

use std::collections::VecDeque;

use bytes::Bytes;
use millstream_env::Timestamp;
use tokio::sync::watch;

use crate::contract::{AppendError, Bounds, Position, Sealed, ShardConfig, Stored};

/// A place in a shard, from the front of its queue on dense in position.
pub(super) struct Cell {
    pub(super) arrival: Timestamp,
    /// What the record counts in the log's stored bytes.
    bytes: usize,
    pub(super) content: Content,
}

pub(super) enum Content {
    Reserved,
    Void,
    Record { partition_key: Bytes, data: Bytes, tag: u8 },
}

pub(super) struct Shard {
    config: ShardConfig,
    /// Position of the first cell.
    pub(super) first: u64,
    pub(super) cells: VecDeque<Cell>,
    last_arrival: Option<Timestamp>,
    pub(super) sealed: Option<Sealed>,
    /// One past the last position with nothing unsettled before it.
    settled: watch::Sender<u64>,
}

impl Shard {
    pub(super) fn new(config: ShardConfig) -> Self {
        let settled = watch::Sender::new(0);
        Self { config, first: 0, cells: VecDeque::new(), last_arrival: None, sealed: None, settled }
    }

    pub(super) fn configure(&mut self, config: ShardConfig) {
        self.config = config;
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.settled.subscribe()
    }

    pub(super) fn reserve(&mut self, now: Timestamp, bytes: usize) -> Result<Stored, AppendError> {
        if self.sealed.is_some() {
            return Err(AppendError::Sealed);
        }
        let arrival = self.last_arrival.map_or(now, |last| last.max(now));
        self.last_arrival = Some(arrival);
        let position = Position(self.end());
        self.cells.push_back(Cell { arrival, bytes, content: Content::Reserved });
        Ok(Stored { position, arrival })
    }

    /// Puts the content of a reserved place and makes visible what now follows without a hole.
    pub(super) fn settle(&mut self, position: Position, content: Content) {
        let index = usize::try_from(position.0 - self.first).expect("an unsettled cell is never expired");
        let cell = &mut self.cells[index];
        assert!(matches!(cell.content, Content::Reserved), "a place is settled once");
        cell.content = content;
        let mut next = self.next();
        while self.cell(next).is_some_and(|cell| !matches!(cell.content, Content::Reserved)) {
            next += 1;
        }
        if next != self.next() {
            self.settled.send_replace(next);
        }
    }

    /// Ends the shard; places reserved before may still be settled.
    pub(super) fn seal(&mut self, now: Timestamp) -> Sealed {
        if let Some(sealed) = self.sealed {
            return sealed;
        }
        let closed_at = self.last_arrival.map_or(now, |last| last.max(now));
        let sealed = Sealed { closed_at, last: self.end().checked_sub(1).map(Position) };
        self.sealed = Some(sealed);
        self.settled.send_modify(|_| {});
        sealed
    }

    /// Forgets what has expired; returns the bytes freed.
    pub(super) fn expire(&mut self, now: Timestamp) -> usize {
        let cutoff = now.minus(self.config.retention);
        let mut freed = 0;
        while self.first < self.next() && self.cells.front().is_some_and(|cell| cell.arrival < cutoff) {
            freed += self.cells.pop_front().map_or(0, |cell| cell.bytes);
            self.first += 1;
        }
        freed
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            horizon: Position(self.first),
            next: Position(self.next()),
            last_arrival: self.last_arrival,
            sealed: self.sealed,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.cells.iter().map(|cell| cell.bytes).sum()
    }

    /// One past the last settled position.
    pub(super) fn next(&self) -> u64 {
        *self.settled.borrow()
    }

    /// One past the last reserved position.
    pub(super) fn end(&self) -> u64 {
        self.first + self.cells.len() as u64
    }

    pub(super) fn cell(&self, position: u64) -> Option<&Cell> {
        let index = position.checked_sub(self.first)?;
        self.cells.get(usize::try_from(index).ok()?)
    }

    pub(super) fn last_arrival(&self) -> Option<Timestamp> {
        self.last_arrival
    }
}
