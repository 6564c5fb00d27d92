//! How much of the space nobody has any use for: records that expired, or whose shard was deleted, in segments that others
//! still need.

use std::sync::Arc;

use millstream_env::Timestamp;

use super::super::index_file::{IndexError, IndexFile};
use super::super::segment_index::Extent;
use super::{Engine, Index, State};

/// Segments looked at in one round of housekeeping: each is up to half a megabyte of index.
const SEGMENTS_PER_ROUND: usize = 4;

/// Where it stands which shards a sealed segment holds.
pub(super) enum Extents {
    Memory(Vec<(u32, Extent)>),
    File(Arc<IndexFile>),
}

impl Extents {
    /// Every shard with records or alive in the segment.
    pub(super) fn read(self) -> Result<Vec<(u32, Extent)>, IndexError> {
        match self {
            Self::Memory(extents) => Ok(extents),
            Self::File(file) => file.extents(),
        }
    }
}

impl Engine {
    /// Counts the dead bytes of the next few sealed segments, in turn.
    pub(super) fn count_dead_bytes(&self, now: Timestamp) {
        for _ in 0..SEGMENTS_PER_ROUND {
            let (segment, extents) = {
                let state = &mut *self.lock();
                let Some(segment) = state.next_sealed() else { return };
                state.looked_at = segment;
                let Some(extents) = state.extents_source(segment) else { return };
                (segment, extents)
            };
            let Ok(extents) = extents.read() else { continue };
            let state = &mut *self.lock();
            let dead = extents.iter().filter(|(ordinal, extent)| state.is_dead(*ordinal, extent, now));
            let dead_bytes = dead.map(|(_, extent)| extent.bytes).sum();
            if let Some(found) = state.segments.get_mut(&segment) {
                found.dead_bytes = dead_bytes;
            }
        }
    }
}

impl State {
    /// Whether nothing that a segment holds of a shard can be read any more.
    pub(super) fn is_dead(&self, ordinal: u32, extent: &Extent, now: Timestamp) -> bool {
        let Some(shard) = self.shards.get(&ordinal) else { return true };
        extent.next <= extent.first || Timestamp::from_millis(extent.last_arrival_ms) < shard.cutoff(now)
    }

    pub(super) fn extents_source(&self, segment: u64) -> Option<Extents> {
        match &self.segments.get(&segment)?.index {
            Index::Active(_) => None,
            Index::Memory(index) => Some(Extents::Memory(index.shards.iter().map(|(o, s)| (*o, s.extent)).collect())),
            Index::File(file) => Some(Extents::File(Arc::clone(file))),
        }
    }

    /// The sealed segment behind the one looked at last; after the last one the first.
    fn next_sealed(&self) -> Option<u64> {
        let sealed = |(id, found): (&u64, &super::Segment)| (!matches!(found.index, Index::Active(_))).then_some(*id);
        let behind = self.segments.range(self.looked_at + 1..).find_map(sealed);
        behind.or_else(|| self.segments.iter().find_map(sealed))
    }
}
