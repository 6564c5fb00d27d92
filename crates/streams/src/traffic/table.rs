//! The traffic of every shard that was looked at, kept while its stream is forgotten and read again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use super::Traffic;
use crate::names::StreamName;

/// By stream incarnation.
#[derive(Debug, Default)]
pub(crate) struct TrafficTable(Mutex<HashMap<u64, StreamTraffic>>);

#[derive(Debug)]
struct StreamTraffic {
    name: StreamName,
    /// Its shards are split by their load.
    scales: bool,
    shards: HashMap<u32, Arc<Traffic>>,
}

impl TrafficTable {
    /// The traffic of a stream's shards, in their order; what other shards of it had is forgotten.
    pub(crate) fn of_stream(
        &self,
        stream: u64,
        name: &StreamName,
        scales: bool,
        shards: impl Iterator<Item = u32>,
    ) -> Vec<Arc<Traffic>> {
        let mut table = self.lock();
        let (scaled, mut before) =
            table.remove(&stream).map(|traffic| (traffic.scales, traffic.shards)).unwrap_or_default();
        if scales && !scaled {
            for traffic in before.values() {
                traffic.begin_minutes();
            }
        }
        let now: Vec<(u32, Arc<Traffic>)> =
            shards.map(|shard| (shard, before.remove(&shard).unwrap_or_default())).collect();
        let traffic = now.iter().map(|(_, traffic)| Arc::clone(traffic)).collect();
        table.insert(stream, StreamTraffic { name: name.clone(), scales, shards: now.into_iter().collect() });
        traffic
    }

    /// The streams that were used since the start.
    pub(crate) fn streams(&self) -> Vec<StreamName> {
        self.lock().values().map(|traffic| traffic.name.clone()).collect()
    }

    /// Ends a minute of the streams that scale; gives those of them that have a shard under high load.
    pub(super) fn end_minute(&self, kept: usize, is_hot: impl Fn(&Traffic) -> bool) -> Vec<StreamName> {
        let table = self.lock();
        let mut hot = Vec::new();
        for stream in table.values().filter(|stream| stream.scales) {
            for traffic in stream.shards.values() {
                traffic.end_minute(kept);
            }
            if stream.shards.values().any(|traffic| is_hot(traffic)) {
                hot.push(stream.name.clone());
            }
        }
        hot
    }

    pub(crate) fn forget(&self, stream: u64) {
        self.lock().remove(&stream);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, StreamTraffic>> {
        self.0.lock().expect("no code panics while holding this lock")
    }
}
