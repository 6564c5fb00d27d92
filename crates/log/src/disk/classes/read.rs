//! Reading a shard whose records may be in several classes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use millstream_env::Tasks;

use crate::contract::{Position, ReadBatch, ReadError, ReadFrom, ReadLimit, ShardKey};

use super::super::engine::{Engine, Part};
use super::Classes;
use super::merge::Merged;

impl Classes {
    /// `tasks`: where to wait for the disk; without them it is on the caller's thread.
    pub(in crate::disk) async fn read(
        &self,
        tasks: Option<&Tasks>,
        key: ShardKey,
        from: ReadFrom,
        limit: ReadLimit,
    ) -> Result<ReadBatch, ReadError> {
        loop {
            let before = self.home_changes.load(Ordering::Acquire);
            let result = self.read_once(tasks, key, from, limit).await;
            if self.home_changes.load(Ordering::Acquire) == before {
                return result;
            }
            // A shard has moved; when it was this one, some of its records may have been passed over.
        }
    }

    async fn read_once(
        &self,
        tasks: Option<&Tasks>,
        key: ShardKey,
        from: ReadFrom,
        limit: ReadLimit,
    ) -> Result<ReadBatch, ReadError> {
        let home = self.home(key);
        if self.alone().is_some() || from == ReadFrom::Tip {
            return read(home, tasks, key, from, limit).await;
        }
        // Those that have nothing from there on are not asked.
        let mut older = self.elsewhere(key, home.class());
        older.retain(|(_, part)| !matches!(from, ReadFrom::Position(position) if position.0 >= part.next));
        if older.is_empty() {
            return read(home, tasks, key, from, limit).await;
        }
        let part = home.part(key).ok_or(ReadError::NoShard(key))?;
        self.merged(tasks, key, from, limit, &older, (home, part)).await
    }

    async fn merged(
        &self,
        tasks: Option<&Tasks>,
        key: ShardKey,
        from: ReadFrom,
        limit: ReadLimit,
        older: &[(&Arc<Engine>, Part)],
        (home, part): (&Arc<Engine>, Part),
    ) -> Result<ReadBatch, ReadError> {
        let mut merged = Merged::default();
        let mut damaged: Option<ReadError> = None;
        let mut ended = false;
        for (engine, _) in older {
            match read(engine, tasks, key, from, limit).await {
                Ok(batch) => merged.add(batch.records, batch.behind.map(|_| batch.next.0)),
                Err(error @ ReadError::Damaged { first, .. }) => {
                    merged.stop_at(first.0);
                    damaged = earlier(damaged, error);
                }
                // What was left there was removed meanwhile.
                Err(ReadError::NoShard(_)) => {}
                Err(error) => return Err(error),
            }
        }
        // The end of what there is now, when the home is asked; otherwise it has only what comes later.
        let mut tip = None;
        if merged.complete_to().is_none_or(|known| known > part.begins) {
            match read(home, tasks, key, from, limit).await {
                Ok(batch) => {
                    merged.add(batch.records, batch.behind.map(|_| batch.next.0));
                    tip = Some(batch.next);
                    ended = batch.ended;
                }
                Err(error @ ReadError::Damaged { first, .. }) => {
                    merged.stop_at(first.0);
                    damaged = earlier(damaged, error);
                }
                Err(error) => return Err(error),
            }
        }
        let (records, next) = merged.finish(limit);
        match (damaged, next) {
            (Some(error @ ReadError::Damaged { first, .. }), Some(next)) if records.is_empty() && next == first => {
                Err(error)
            }
            (_, Some(next)) => {
                let next = if let ReadFrom::Position(start) = from { next.max(start) } else { next };
                Ok(ReadBatch { records, next, behind: part.last_arrival, ended: false })
            }
            (_, None) => {
                let next = tip.unwrap_or(Position(part.next));
                Ok(ReadBatch { records, next, behind: None, ended })
            }
        }
    }
}

/// The damage that is met first.
fn earlier(known: Option<ReadError>, other: ReadError) -> Option<ReadError> {
    let first = |error: &ReadError| if let ReadError::Damaged { first, .. } = error { first.0 } else { u64::MAX };
    known.into_iter().chain([other]).min_by_key(first)
}

async fn read(
    engine: &Arc<Engine>,
    tasks: Option<&Tasks>,
    key: ShardKey,
    from: ReadFrom,
    limit: ReadLimit,
) -> Result<ReadBatch, ReadError> {
    match tasks {
        Some(tasks) => engine.read_async(tasks, key, from, limit).await,
        None => engine.read(key, from, limit, true).expect("a read that may wait has an answer"),
    }
}
