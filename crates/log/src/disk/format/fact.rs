//! The bodies of records that say something about a shard or the log, instead of holding data.
//!
//! A body may grow at its end: decoders take what they know and ignore the rest.

use std::time::Duration;

use millstream_env::Timestamp;

use super::bytes::{u32_at, u64_at};
use crate::contract::{Position, Sealed, ShardConfig, ShardKey};
use crate::disk::class::RetentionClass;

/// Everything the log must remember of a shard beside its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::disk) struct ShardFacts {
    pub(in crate::disk) key: ShardKey,
    pub(in crate::disk) config: ShardConfig,
    /// Records that arrived before this moment were hidden by an earlier retention and stay so.
    pub(in crate::disk) hidden_before: Timestamp,
    pub(in crate::disk) last_arrival: Option<Timestamp>,
    pub(in crate::disk) sealed: Option<Sealed>,
    /// The retention class in which it goes on.
    pub(in crate::disk) away: Option<RetentionClass>,
    /// The first position that was given out in this class.
    pub(in crate::disk) begins: u64,
}

/// Stands for "none" where a moment is optional.
const NONE: u64 = u64::MAX;
/// Stands for the log's own class.
const HERE: u8 = u8::MAX;

impl ShardFacts {
    /// Without what was added since the first form: the class and where the shard begins there.
    const BYTES: usize = 52;

    pub(in crate::disk) fn encode(&self) -> Vec<u8> {
        let retention = u64::try_from(self.config.retention.as_millis()).unwrap_or(u64::MAX);
        let mut out = Vec::with_capacity(Self::BYTES);
        out.extend(self.key.stream.to_le_bytes());
        out.extend(self.key.shard.to_le_bytes());
        out.extend(retention.to_le_bytes());
        out.extend(self.hidden_before.millis().to_le_bytes());
        out.extend(self.last_arrival.map_or(NONE, Timestamp::millis).to_le_bytes());
        out.extend(self.sealed.map_or(NONE, |sealed| sealed.closed_at.millis()).to_le_bytes());
        out.extend(self.sealed.and_then(|sealed| sealed.last).map_or(NONE, |last| last.0).to_le_bytes());
        out.push(self.away.map_or(HERE, RetentionClass::number));
        out.extend(self.begins.to_le_bytes());
        out
    }

    pub(in crate::disk) fn decode(body: &[u8]) -> Option<Self> {
        let (body, more) = body.split_at_checked(Self::BYTES)?;
        let away = match more.first() {
            None | Some(&HERE) => None,
            Some(number) => Some(RetentionClass::from_number(*number)?),
        };
        let optional = |at| Some(u64_at(body, at)).filter(|value| *value != NONE);
        Some(Self {
            key: ShardKey { stream: u64_at(body, 0), shard: u32_at(body, 8) },
            config: ShardConfig { retention: Duration::from_millis(u64_at(body, 12)) },
            hidden_before: Timestamp::from_millis(u64_at(body, 20)),
            last_arrival: optional(28).map(Timestamp::from_millis),
            sealed: optional(36).map(|closed_at| Sealed {
                closed_at: Timestamp::from_millis(closed_at),
                last: optional(44).map(Position),
            }),
            away,
            begins: more.get(1..9).map_or(0, |begins| u64_at(begins, 0)),
        })
    }
}

/// The first record of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::disk) struct CheckpointHead {
    /// The ordinal that the next shard gets. Ordinals are never used again.
    pub(in crate::disk) next_ordinal: u32,
    pub(in crate::disk) shards: u32,
}

impl CheckpointHead {
    pub(in crate::disk) fn encode(self) -> Vec<u8> {
        [self.next_ordinal.to_le_bytes(), self.shards.to_le_bytes()].concat()
    }

    pub(in crate::disk) fn decode(body: &[u8]) -> Option<Self> {
        let body = body.get(..8)?;
        Some(Self { next_ordinal: u32_at(body, 0), shards: u32_at(body, 4) })
    }
}

/// In checkpoints: positions that cannot be served, from the record's own on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::disk) struct CheckpointDamage {
    pub(in crate::disk) last: u64,
    /// The operator has accepted the loss. Programs that do not know this byte still report the damage.
    pub(in crate::disk) accepted: bool,
}

impl CheckpointDamage {
    pub(in crate::disk) fn encode(self) -> Vec<u8> {
        let mut out = self.last.to_le_bytes().to_vec();
        if self.accepted {
            out.push(1);
        }
        out
    }

    pub(in crate::disk) fn decode(body: &[u8]) -> Option<Self> {
        let last = u64_at(body.get(..8)?, 0);
        Some(Self { last, accepted: body.get(8) == Some(&1) })
    }
}
