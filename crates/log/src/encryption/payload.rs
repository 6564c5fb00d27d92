//! What is stored in place of an encrypted record's data. Persisted; a change of it gets another tag.
//!
//! | at | what |
//! |---|---|
//! | 0 | number of the stream's key (32 bits, little endian) |
//! | 4 | nonce |
//! | 28 | data, encrypted |
//! | end - 16 | tag of the cipher |
//!
//! It is bound to the stream, the shard, the position and the partition key: it cannot be opened in another's place.

use std::sync::Arc;

use millstream_types::Payload;

use crate::contract::{Position, ShardKey};

use super::key::{Key, Refused, Subkey};

/// The tag of records that are encrypted so.
pub const TAG: u8 = 1;
/// What a record takes beside its data.
pub(super) const OVERHEAD_BYTES: usize = DATA_AT + Key::TAG_BYTES;

const NONCE_AT: usize = 4;
const DATA_AT: usize = NONCE_AT + Key::NONCE_BYTES;

/// How the data of one record is encrypted.
pub(crate) struct Sealing {
    shard: ShardKey,
    number: u32,
    subkey: Arc<Subkey>,
    nonce: [u8; Key::NONCE_BYTES],
}

impl Sealing {
    /// `subkey` is of the key with that number and fits the nonce.
    pub(super) fn new(shard: ShardKey, number: u32, subkey: Arc<Subkey>, nonce: [u8; Key::NONCE_BYTES]) -> Self {
        Self { shard, number, subkey, nonce }
    }

    /// Decodes `payload` into `place` and encrypts it there. `place` has [`OVERHEAD_BYTES`] more than the data.
    pub(crate) fn fill(&self, position: Position, partition_key: &[u8], payload: Payload<'_>, place: &mut [u8]) {
        let (head, rest) = place.split_at_mut(DATA_AT);
        let (data, tag) = rest.split_at_mut(rest.len() - Key::TAG_BYTES);
        head[..NONCE_AT].copy_from_slice(&self.number.to_le_bytes());
        head[NONCE_AT..].copy_from_slice(&self.nonce);
        payload.decode_into(data);
        let context = context(self.shard, position, self.number, partition_key);
        tag.copy_from_slice(&self.subkey.seal(&self.nonce, &context, data));
    }
}

/// The nonce of an entry: `random` is the reservation's, `index` the entry's in it. Together they are unique, and all nonces of
/// a reservation have one subkey.
pub(super) fn nonce(random: [u8; 16], index: u64) -> [u8; Key::NONCE_BYTES] {
    let mut nonce = [0; Key::NONCE_BYTES];
    nonce[..16].copy_from_slice(&random);
    nonce[16..].copy_from_slice(&index.to_le_bytes());
    nonce
}

/// A stored payload, taken apart.
pub(super) struct Stored<'a> {
    pub(super) number: u32,
    pub(super) nonce: &'a [u8; Key::NONCE_BYTES],
    data: &'a [u8],
    tag: &'a [u8; Key::TAG_BYTES],
}

impl<'a> Stored<'a> {
    /// `None` for bytes that are too short to be one.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (number, rest) = bytes.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let (data, tag) = rest.split_last_chunk()?;
        Some(Self { number: u32::from_le_bytes(*number), nonce, data, tag })
    }

    /// Appends the data to `out`; it is of no use when refused. `subkey` fits the nonce.
    pub(super) fn open(
        &self,
        subkey: &Subkey,
        (shard, position): (ShardKey, Position),
        partition_key: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        let start = out.len();
        out.extend_from_slice(self.data);
        let context = context(shard, position, self.number, partition_key);
        subkey.open(self.nonce, &context, &mut out[start..], self.tag)
    }
}

fn context(shard: ShardKey, position: Position, number: u32, partition_key: &[u8]) -> Vec<u8> {
    let mut context = Vec::with_capacity(25 + partition_key.len());
    context.push(TAG);
    context.extend(shard.stream.to_le_bytes());
    context.extend(shard.shard.to_le_bytes());
    context.extend(position.0.to_le_bytes());
    context.extend(number.to_le_bytes());
    context.extend(partition_key);
    context
}
