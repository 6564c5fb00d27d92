//! Bounded admission: how many bytes may be reserved and not yet stored.

use std::sync::Arc;
use std::time::Duration;

use millstream_env::HostClock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::contract::{AppendError, Entry};

#[cfg(test)]
mod tests;

/// What a record costs beside its data and key, so that empty records are bounded too.
const RECORD_OVERHEAD_BYTES: usize = 64;

/// The budget of bytes admitted and not yet stored. Waiters are served in order.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    bytes: Arc<Semaphore>,
    bytes_max: usize,
    wait_max: Duration,
    clock: HostClock,
}

/// Admitted bytes; dropping it gives them back.
pub(crate) type Admitted = OwnedSemaphorePermit;

impl Admission {
    pub(crate) fn new(bytes_max: usize, wait_max: Duration, clock: HostClock) -> Self {
        let bytes_max = bytes_max.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        Self { bytes: Arc::new(Semaphore::new(bytes_max)), bytes_max, wait_max, clock }
    }

    /// Waits until there is room for `entries`. A batch larger than the whole budget is admitted alone.
    pub(crate) async fn admit(&self, entries: &[Entry<'_>]) -> Result<Admitted, AppendError> {
        let wanted: usize =
            entries.iter().map(|e| e.payload_bytes + e.partition_key.len() + RECORD_OVERHEAD_BYTES).sum();
        let wanted = u32::try_from(wanted.min(self.bytes_max)).expect("the budget is below 4 GiB");
        let permit = Arc::clone(&self.bytes).acquire_many_owned(wanted);
        match self.clock.timeout(self.wait_max, permit).await {
            Some(Ok(admitted)) => Ok(admitted),
            Some(Err(_closed)) => Err(AppendError::Unavailable),
            None => Err(AppendError::Throttled),
        }
    }

    /// Bytes admitted now.
    pub(crate) fn in_use(&self) -> usize {
        self.bytes_max - self.bytes.available_permits()
    }
}
