//! Decrypting what was read.

use bytes::Bytes;

use crate::contract::{Position, ReadBatch, ReadError, ReadLimit, Record, ShardKey};

use super::StreamKeys;
use super::key::{Refused, Subkey};
use super::payload::{OVERHEAD_BYTES, Stored, TAG};

/// How much is decrypted before others get their turn: well below a millisecond.
const TURN_BYTES: usize = 256 << 10;

/// A limit within which the log finds all that `limit` allows once it is decrypted.
pub(super) fn widened(limit: ReadLimit) -> ReadLimit {
    ReadLimit { bytes: limit.bytes.saturating_add(limit.records.saturating_mul(OVERHEAD_BYTES)), ..limit }
}

/// The batch as it was put: as far as `limit` allows and up to the first record that cannot be decrypted. That one is an
/// error when it is the first.
pub(super) async fn open(
    keys: Option<&StreamKeys>,
    shard: ShardKey,
    limit: ReadLimit,
    mut batch: ReadBatch,
) -> Result<ReadBatch, ReadError> {
    if keys.is_none() && batch.records.iter().all(|record| record.tag == 0) {
        return Ok(batch);
    }
    let mut opener = Opener { keys, shard, last: None };
    let (taken, opened) = opener.within_limit(limit, &batch.records).await;
    if taken == 0 && !batch.records.is_empty() {
        return Err(opener.damaged(&batch.records));
    }
    if let Some(rest) = batch.records.get(taken) {
        let newest = batch.records.last().map(|record| record.arrival);
        (batch.next, batch.behind, batch.ended) = (rest.position, batch.behind.or(newest), false);
    }
    batch.records.truncate(taken);
    let opened = Bytes::from(opened);
    let mut at = 0;
    for record in batch.records.iter_mut().filter(|record| record.tag != 0) {
        let end = at + plain_bytes(record);
        record.data = opened.slice(at..end);
        at = end;
    }
    Ok(batch)
}

/// Opens the records of one shard.
struct Opener<'k> {
    keys: Option<&'k StreamKeys>,
    shard: ShardKey,
    /// The last one used, with its key's number: neighbours often were of one reservation.
    last: Option<(u32, Subkey)>,
}

impl Opener<'_> {
    /// How many of the records are returned, and the data of the encrypted ones among them, one behind the other.
    async fn within_limit(&mut self, limit: ReadLimit, records: &[Record]) -> (usize, Vec<u8>) {
        let encrypted = records.iter().filter(|record| record.tag != 0);
        let mut opened = Vec::with_capacity(encrypted.map(plain_bytes).sum());
        let (mut bytes, mut turn) = (0, 0);
        for (index, record) in records.iter().enumerate() {
            bytes += record.partition_key.len() + plain_bytes(record);
            let full = index >= limit.records || bytes > limit.bytes;
            if (index > 0 && full) || (record.tag != 0 && self.open(record, &mut opened).is_err()) {
                return (index, opened);
            }
            if opened.len() >= turn + TURN_BYTES {
                turn = opened.len();
                tokio::task::yield_now().await;
            }
        }
        (records.len(), opened)
    }

    fn open(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<(), Refused> {
        // Another tag is from a program that encrypts in a way this one does not know.
        let stored = Stored::parse(&record.data).filter(|_| record.tag == TAG).ok_or(Refused)?;
        let subkey = match self.last.take() {
            Some((number, subkey)) if number == stored.number && subkey.fits(stored.nonce) => subkey,
            _ => {
                let key = self.keys.and_then(|keys| keys.keys.get(&stored.number)).ok_or(Refused)?;
                key.subkey(stored.nonce)
            }
        };
        let opened = stored.open(&subkey, (self.shard, record.position), &record.partition_key, out);
        self.last = Some((stored.number, subkey));
        opened
    }

    /// Names all records from the first on that cannot be decrypted.
    fn damaged(&mut self, records: &[Record]) -> ReadError {
        let mut scratch = Vec::new();
        let lost = records.iter().take_while(|record| {
            scratch.clear();
            record.tag != 0 && self.open(record, &mut scratch).is_err()
        });
        let last: Position = lost.last().expect("the first one was refused").position;
        ReadError::Damaged { shard: self.shard, first: records[0].position, last }
    }
}

fn plain_bytes(record: &Record) -> usize {
    record.data.len().saturating_sub(if record.tag == 0 { 0 } else { OVERHEAD_BYTES })
}
