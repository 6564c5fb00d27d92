//! The log in memory: all of the contract but durability.
//!
//! One lock guards all shards. A slot owns the memory of its record and moves it into its shard when it is settled, so
//! nothing is copied twice and nothing is written under the lock. A shard's records become visible in order of position:
//! a commit returns when everything before its records is settled too.

mod read;
mod shard;
mod slot;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use millstream_env::{BoxFuture, HostClock, ServiceClock};
use tokio::sync::watch;

use crate::admission::{Admission, Admitted};
use crate::contract::{
    AppendError, Bounds, Entry, Position, ReadBatch, ReadError, ReadFrom, ReadLimit, Reservation, Sealed, ShardConfig,
    ShardError, ShardKey, ShardLog, Slot, SlotMemory, Stored, Tail,
};

use shard::Shard;
pub(crate) use slot::MemorySlot;

/// Bounds of a [`MemoryLog`].
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes reserved and not yet committed, beyond which reservations wait. Default 64 MiB.
    pub admitted_bytes_max: usize,
    /// How long a reservation waits for admission before it is throttled. Default 1 s.
    pub admission_wait_max: Duration,
    /// Bytes of records kept, beyond which appends answer [`AppendError::Full`]. Default 4 GiB.
    pub stored_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            admitted_bytes_max: 64 << 20,
            admission_wait_max: Duration::from_secs(1),
            stored_bytes_max: usize::try_from(4_u64 << 30).unwrap_or(usize::MAX),
        }
    }
}

/// A log in memory. A cheap handle: clones are the same log.
#[derive(Clone)]
pub struct MemoryLog {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    clock: ServiceClock,
    admission: Admission,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    shards: HashMap<ShardKey, Shard>,
    stored_bytes: usize,
}

impl MemoryLog {
    pub fn new(options: Options, clock: ServiceClock, host_clock: HostClock) -> Self {
        let admission = Admission::new(options.admitted_bytes_max, options.admission_wait_max, host_clock);
        Self { shared: Arc::new(Shared { options, clock, admission, state: Mutex::default() }) }
    }

    fn place(&self, entries: &[Entry<'_>]) -> Vec<Result<Slot, AppendError>> {
        let now = self.shared.clock.now();
        let mut state = self.shared.lock();
        entries
            .iter()
            .map(|entry| {
                let bytes = entry.payload_bytes + entry.partition_key.len();
                if state.stored_bytes + bytes > self.shared.options.stored_bytes_max {
                    state.expire_all(now);
                }
                if state.stored_bytes + bytes > self.shared.options.stored_bytes_max {
                    return Err(AppendError::Full);
                }
                let shard = state.shards.get_mut(&entry.shard).ok_or(AppendError::Sealed)?;
                let stored = shard.reserve(now, bytes)?;
                state.stored_bytes += bytes;
                let memory = MemorySlot::new(Arc::clone(&self.shared), *entry, stored);
                Ok(Slot::new(SlotMemory::Memory(memory)))
            })
            .collect()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while holding this lock")
    }
}

impl State {
    fn expire_all(&mut self, now: millstream_env::Timestamp) {
        let freed: usize = self.shards.values_mut().map(|shard| shard.expire(now)).sum();
        self.stored_bytes -= freed;
    }
}

/// Waits until the shard is settled past `position`. A shard deleted meanwhile has no such record any more.
async fn visible(settled: &mut watch::Receiver<u64>, position: Position) -> Result<(), AppendError> {
    settled.wait_for(|next| *next > position.0).await.map(drop).map_err(|_deleted| AppendError::Sealed)
}

impl ShardLog for MemoryLog {
    fn create(&self, shard: ShardKey, config: ShardConfig) -> BoxFuture<'_, Result<(), ShardError>> {
        self.shared.lock().shards.entry(shard).or_insert_with(|| Shard::new(config));
        Box::pin(async { Ok(()) })
    }

    fn configure(&self, shard: ShardKey, config: ShardConfig) -> BoxFuture<'_, Result<(), ShardError>> {
        let now = self.shared.clock.now();
        let state = &mut *self.shared.lock();
        let result = match state.shards.get_mut(&shard) {
            None => Err(ShardError::NoShard(shard)),
            Some(found) => {
                // What the old setting hides stays hidden.
                let freed = found.expire(now);
                found.configure(config);
                state.stored_bytes -= freed;
                Ok(())
            }
        };
        Box::pin(async { result })
    }

    fn reserve<'a>(&'a self, entries: &'a [Entry<'a>]) -> BoxFuture<'a, Reservation> {
        Box::pin(async move {
            let (slots, admitted) = match self.shared.admission.admit(entries).await {
                Ok(admitted) => (self.place(entries), Some(admitted)),
                Err(error) => (entries.iter().map(|_| Err(error)).collect(), None),
            };
            let keys: Vec<ShardKey> = entries.iter().map(|entry| entry.shard).collect();
            let shared = Arc::clone(&self.shared);
            Reservation { slots, finish: Box::new(move |slots| shared.finish(slots, keys, admitted)) }
        })
    }

    fn seal(&self, shard: ShardKey) -> BoxFuture<'_, Result<Sealed, ShardError>> {
        let now = self.shared.clock.now();
        let sealed = {
            let mut state = self.shared.lock();
            state.shards.get_mut(&shard).map(|found| (found.seal(now), found.subscribe()))
        };
        Box::pin(async move {
            let (sealed, mut settled) = sealed.ok_or(ShardError::NoShard(shard))?;
            if let Some(last) = sealed.last {
                visible(&mut settled, last).await.map_err(|_| ShardError::NoShard(shard))?;
            }
            Ok(sealed)
        })
    }

    fn read(&self, shard: ShardKey, from: ReadFrom, limit: ReadLimit) -> BoxFuture<'_, Result<ReadBatch, ReadError>> {
        let now = self.shared.clock.now();
        let state = &mut *self.shared.lock();
        let result = match state.shards.get_mut(&shard) {
            None => Err(ReadError::NoShard(shard)),
            Some(found) => {
                state.stored_bytes -= found.expire(now);
                Ok(found.read(from, limit))
            }
        };
        Box::pin(async { result })
    }

    fn bounds(&self, shard: ShardKey) -> Result<Bounds, ShardError> {
        let state = self.shared.lock();
        state.shards.get(&shard).map(Shard::bounds).ok_or(ShardError::NoShard(shard))
    }

    fn delete(&self, shard: ShardKey) -> BoxFuture<'_, Result<(), ShardError>> {
        let state = &mut *self.shared.lock();
        if let Some(gone) = state.shards.remove(&shard) {
            state.stored_bytes -= gone.bytes();
        }
        Box::pin(async { Ok(()) })
    }

    fn tail(&self, shard: ShardKey) -> Option<Tail> {
        self.shared.lock().shards.get(&shard).map(|found| Tail(found.subscribe()))
    }
}

impl Shared {
    /// The second half of [`Reservation::commit`]: settles now, then waits without holding anything but the admission.
    fn finish(
        self: Arc<Self>,
        slots: Vec<Result<Slot, AppendError>>,
        keys: Vec<ShardKey>,
        admitted: Option<Admitted>,
    ) -> BoxFuture<'static, Vec<Result<Stored, AppendError>>> {
        let mut results: Vec<_> = slots.into_iter().map(|slot| slot.and_then(Slot::settle)).collect();
        let mut waits: HashMap<ShardKey, watch::Receiver<u64>> = HashMap::new();
        {
            let state = self.lock();
            for key in &keys {
                if let Some(shard) = state.shards.get(key) {
                    waits.entry(*key).or_insert_with(|| shard.subscribe());
                }
            }
        }
        Box::pin(async move {
            let _admitted = admitted;
            for (result, key) in results.iter_mut().zip(keys) {
                let Ok(stored) = result else { continue };
                let seen = match waits.get_mut(&key) {
                    Some(settled) => visible(settled, stored.position).await,
                    None => Err(AppendError::Sealed),
                };
                if let Err(error) = seen {
                    *result = Err(error);
                }
            }
            results
        })
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("MemoryLog")
            .field("shards", &state.shards.len())
            .field("stored_bytes", &state.stored_bytes)
            .field("admitted_bytes", &self.shared.admission.in_use())
            .finish()
    }
}
