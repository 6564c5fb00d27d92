//! Encryption at rest, around any log: records are encrypted on their way into their final place and decrypted when they are
//! read. Whoever holds an [`EncryptedLog`] sees data as it was put, whatever happens below.
//!
//! - [`Key`]: the cipher, XAES-256-GCM: its nonces are long enough to be random for any number of records.
//! - `payload`: what is stored in place of a record's data, and what it is bound to.
//! - `open`: reading.
//!
//! Which keys a stream has is asked of [`DataKeys`]: once for each request, not for each record. A stream that has none goes
//! straight through. A record that cannot be decrypted (its key is not there, its bytes were changed, it was another's) is
//! damaged: reported, never passed over.
//!
//! Not hidden: partition keys, sizes, times and the number of records.

mod key;
mod open;
mod payload;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use millstream_env::{BoxFuture, Random};

use crate::contract::{
    AppendError, Bounds, Entry, ReadBatch, ReadError, ReadFrom, ReadLimit, Reservation, Sealed, ShardConfig,
    ShardError, ShardKey, ShardLog, SharedLog, Tail,
};

use key::Subkey;
pub use key::{Key, Refused};
pub(crate) use payload::Sealing;
pub use payload::TAG;

/// The keys of one stream, by their numbers.
pub struct StreamKeys {
    /// The number of the key for new records; `None` stores them as they are.
    writing: Option<u32>,
    keys: BTreeMap<u32, Arc<Key>>,
}

impl StreamKeys {
    /// `writing` may name a key that is not there; nothing is stored then.
    pub fn new(writing: Option<u32>, keys: BTreeMap<u32, Arc<Key>>) -> Self {
        Self { writing, keys }
    }

    fn for_writing(&self) -> Result<Option<(u32, Arc<Key>)>, AppendError> {
        let Some(number) = self.writing else { return Ok(None) };
        let key = self.keys.get(&number).ok_or(AppendError::Unavailable)?;
        Ok(Some((number, Arc::clone(key))))
    }
}

impl fmt::Debug for StreamKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamKeys(writing {:?}, {} keys)", self.writing, self.keys.len())
    }
}

/// Who knows the keys of streams.
pub trait DataKeys: Send + Sync + fmt::Debug {
    /// The keys of a stream as they are now; `None` when it was never encrypted. Must not wait.
    fn of(&self, stream: u64) -> Option<Arc<StreamKeys>>;
}

/// A log that encrypts the records of the streams that have a key for it.
#[derive(Clone, Debug)]
pub struct EncryptedLog {
    inner: SharedLog,
    keys: Arc<dyn DataKeys>,
    /// For nonces.
    random: Random,
}

impl EncryptedLog {
    pub fn new(inner: SharedLog, keys: Arc<dyn DataKeys>, random: Random) -> Self {
        Self { inner, keys, random }
    }

    /// How each entry is encrypted, as far as the last one that is; so nothing at all when none is. While a key is missing
    /// nothing is stored, since it would be readable.
    fn sealings(&self, entries: &[Entry<'_>]) -> Result<Vec<Option<Box<Sealing>>>, AppendError> {
        let mut sealings = Vec::new();
        let mut subkey: Option<(u32, Arc<Subkey>)> = None;
        let mut last_stream = None;
        let mut random = None;
        for (index, entry) in entries.iter().enumerate() {
            assert_eq!(entry.tag, 0, "an encrypted log gives the tags");
            let stream = entry.shard.stream;
            if last_stream.replace(stream) != Some(stream) {
                let writing = self.keys.of(stream).map_or(Ok(None), |keys| keys.for_writing())?;
                let of_key = |(number, key): (u32, Arc<Key>)| {
                    let random = *random.get_or_insert_with(|| self.random.bytes());
                    (number, Arc::new(key.subkey(&payload::nonce(random, 0))))
                };
                subkey = writing.map(of_key);
            }
            let (Some((number, subkey)), Some(random)) = (&subkey, random) else { continue };
            let nonce = payload::nonce(random, index as u64);
            sealings.resize_with(index, || None);
            sealings.push(Some(Box::new(Sealing::new(entry.shard, *number, Arc::clone(subkey), nonce))));
        }
        Ok(sealings)
    }

    async fn reserve_sealed(&self, entries: &[Entry<'_>], mut sealings: Vec<Option<Box<Sealing>>>) -> Reservation {
        sealings.resize_with(entries.len(), || None);
        let mut stored = entries.to_vec();
        for (entry, _) in stored.iter_mut().zip(&sealings).filter(|(_, sealing)| sealing.is_some()) {
            entry.payload_bytes += payload::OVERHEAD_BYTES;
            entry.tag = TAG;
        }
        let mut reservation = self.inner.reserve(&stored).await;
        for (slot, sealing) in reservation.slots.iter_mut().zip(sealings) {
            if let Ok(slot) = slot {
                slot.sealing = sealing;
            }
        }
        reservation
    }
}

impl ShardLog for EncryptedLog {
    fn create(&self, shard: ShardKey, config: ShardConfig) -> BoxFuture<'_, Result<(), ShardError>> {
        self.inner.create(shard, config)
    }

    fn configure(&self, shard: ShardKey, config: ShardConfig) -> BoxFuture<'_, Result<(), ShardError>> {
        self.inner.configure(shard, config)
    }

    fn reserve<'a>(&'a self, entries: &'a [Entry<'a>]) -> BoxFuture<'a, Reservation> {
        match self.sealings(entries) {
            Ok(sealings) if sealings.is_empty() => self.inner.reserve(entries),
            Ok(sealings) => Box::pin(self.reserve_sealed(entries, sealings)),
            Err(error) => Box::pin(std::future::ready(Reservation::refused(entries.len(), error))),
        }
    }

    fn seal(&self, shard: ShardKey) -> BoxFuture<'_, Result<Sealed, ShardError>> {
        self.inner.seal(shard)
    }

    fn read(&self, shard: ShardKey, from: ReadFrom, limit: ReadLimit) -> BoxFuture<'_, Result<ReadBatch, ReadError>> {
        Box::pin(async move {
            let keys = self.keys.of(shard.stream);
            let widened = if keys.is_some() { open::widened(limit) } else { limit };
            let batch = self.inner.read(shard, from, widened).await?;
            open::open(keys.as_deref(), shard, limit, batch).await
        })
    }

    fn bounds(&self, shard: ShardKey) -> Result<Bounds, ShardError> {
        self.inner.bounds(shard)
    }

    fn delete(&self, shard: ShardKey) -> BoxFuture<'_, Result<(), ShardError>> {
        self.inner.delete(shard)
    }

    fn tail(&self, shard: ShardKey) -> Option<Tail> {
        self.inner.tail(shard)
    }
}
