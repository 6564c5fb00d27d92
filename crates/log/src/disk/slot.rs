//! The reserved place of one record in a block.

use std::sync::Arc;

use crate::contract::{AppendError, Stored};

use super::block::BlockTicket;
use super::buffer::Region;
use super::engine::Offer;
use super::format::record::{Kind, RecordHeader};

pub(crate) struct DiskSlot {
    pub(super) ticket: Arc<BlockTicket>,
    pub(super) region: Option<Region>,
    pub(super) ordinal: u32,
    pub(super) key_bytes: u16,
    pub(super) tag: u8,
    pub(super) stored: Stored,
    pub(super) filled: bool,
}

impl DiskSlot {
    /// Completes the record and lets go of its bytes. The block may be written from here on: by the caller itself, when it
    /// offers to.
    fn complete(&mut self, offer: Offer) {
        let Some(mut region) = self.region.take() else { return };
        let bytes = region.bytes_mut();
        let kind = if self.filled { Kind::Data } else { Kind::Void };
        if !self.filled {
            // Recycled memory may hold other people's records.
            bytes.fill(0);
        }
        let header = RecordHeader {
            length: u32::try_from(bytes.len()).expect("blocks are below 4 GiB"),
            ordinal: self.ordinal,
            kind,
            tag: if self.filled { self.tag } else { 0 },
            key_bytes: if self.filled { self.key_bytes } else { 0 },
            position: self.stored.position.0,
            arrival_ms: self.stored.arrival.millis(),
        };
        header.encode(bytes, self.ticket.number);
        drop(region);
        if self.ticket.settle_one()
            && let Some(engine) = self.ticket.engine.upgrade()
        {
            engine.settled(&self.ticket, offer);
        }
    }

    /// `write` gets the partition key and the payload's place.
    pub(crate) fn fill_with(&mut self, write: impl FnOnce(&[u8], &mut [u8])) {
        if let Some(region) = &mut self.region {
            let (key, place) = region.bytes_mut()[RecordHeader::BYTES..].split_at_mut(self.key_bytes as usize);
            write(key, place);
            self.filled = true;
        }
    }

    pub(crate) fn stored(&self) -> Stored {
        self.stored
    }

    pub(crate) fn settle(mut self) -> Result<Stored, AppendError> {
        self.complete(Offer::Yes);
        if self.filled { Ok(self.stored) } else { Err(AppendError::Unavailable) }
    }
}

impl Drop for DiskSlot {
    fn drop(&mut self) {
        if self.region.is_some() {
            self.filled = false;
            self.complete(Offer::No);
        }
    }
}
