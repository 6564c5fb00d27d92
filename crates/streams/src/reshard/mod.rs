//! Resharding: the steps behind `SplitShard`, `MergeShards` and `UpdateShardCount`.
//!
//! ```text
//!   header: intent -> log: children made -> log: parents sealed -> pages -> header: intent gone, or the next round
//! ```
//!
//! Nobody sees anything of it before the header changes: see [`shown`]. Puts that meet a sealed parent wait for that
//! moment. Whatever is interrupted is repeated from the header's intent; each step gives the same result again.

pub(crate) mod plan;

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use millstream_catalog::Expect;
use millstream_env::Timestamp;
use millstream_log::{ShardConfig, ShardKey};

use crate::lifecycle::{SHARDS_AT_ONCE, StepError};
use crate::model::{Header, Round, SHARDS_PER_PAGE, Status, StoredShard};
use crate::names::StreamName;
use crate::registry::{KeptPage, Stored};
use crate::service::Streams;

/// The shards as readers see them: of a round under way nothing.
pub(crate) fn shown(header: &Header, mut shards: Vec<StoredShard>) -> Vec<StoredShard> {
    let Some(round) = header.round() else { return shards };
    shards.retain(|shard| shard.index < round.first_child);
    for parent in round.parents() {
        if let Ok(place) = shards.binary_search_by_key(&parent, |shard| shard.index) {
            shards[place] = shards[place].reopened();
        }
    }
    shards
}

/// The open shards in order of hash key.
pub(crate) fn open_shards(shards: impl Iterator<Item = StoredShard>) -> Vec<plan::Open> {
    let open = shards.filter(|shard| shard.closed_at().is_none());
    let mut open: Vec<_> = open.map(|shard| (shard.index, shard.range())).collect();
    open.sort_by_key(|(_, range)| range.start);
    open
}

impl Streams {
    pub(crate) async fn finish_reshard(
        &self,
        name: &StreamName,
        stored: Stored,
        round: &Round,
    ) -> Result<(), StepError> {
        let Stored { revision, mut header } = stored;
        let config = ShardConfig { retention: header.retention() };
        let made: Vec<u32> = (round.first_child..round.first_child + round.children()).collect();
        self.for_each_shard(header.id, made, |key| self.inner.parts.log.create(key, config)).await?;
        let closed = self.seal(header.id, round).await?;

        let mut pages = self.inner.registry.pages(name, header.id).await?;
        let expired = drop_expired(&header, round, &mut pages, self.now());
        self.for_each_shard(header.id, expired, |key| self.inner.parts.log.delete(key)).await?;
        change_pages(round, &closed, &mut pages)?;
        for page in pages.values().filter(|page| page.changed) {
            self.inner.registry.put_page(name, header.id, page).await?;
        }

        let open = open_shards(pages.values().flat_map(|page| page.page.shards.iter().copied()));
        header.shards_open = u32::try_from(open.len()).expect("a stream has fewer than 2^31 shards");
        let steps = round.target.map(|target| plan::next_round(&open, target)).unwrap_or_default();
        if steps.is_empty() {
            header.status = Status::Active;
            header.intent = None;
        } else {
            header.begin_round(steps, round.target);
        }
        self.inner.registry.put(name, Expect::Revision(revision), &header).await?;
        tracing::debug!(stream = %name.arn(), closed = closed.len(), open = header.shards_open, "resharded");
        Ok(())
    }

    /// Ends the parents; says when each ended.
    async fn seal(&self, stream: u64, round: &Round) -> Result<HashMap<u32, Timestamp>, StepError> {
        let parents: Vec<u32> = round.parents().collect();
        let seals = parents.into_iter().map(|shard| async move {
            let sealed = self.inner.parts.log.seal(ShardKey { stream, shard }).await?;
            Ok::<_, StepError>((shard, sealed.closed_at))
        });
        stream::iter(seals.collect::<Vec<_>>()).buffer_unordered(SHARDS_AT_ONCE).try_collect().await
    }
}

/// Takes out the shards that were closed so long ago that nothing of them can be left; gives their indexes.
/// The round's own parents stay: a round may have been interrupted for long.
fn drop_expired(header: &Header, round: &Round, pages: &mut HashMap<u32, KeptPage>, now: Timestamp) -> Vec<u32> {
    let parents: HashSet<u32> = round.parents().collect();
    let is_expired = |shard: &StoredShard| {
        let expired = shard.closed_at().is_some_and(|closed| closed.plus(header.retention()) < now);
        expired && !parents.contains(&shard.index)
    };
    let mut expired = Vec::new();
    for kept in pages.values_mut() {
        let before = expired.len();
        expired.extend(kept.page.shards.iter().filter(|shard| is_expired(shard)).map(|shard| shard.index));
        kept.page.shards.retain(|shard| !is_expired(shard));
        kept.changed |= expired.len() > before;
    }
    expired
}

/// Closes the parents and adds the children; pages where that was done before stay as they are.
fn change_pages(
    round: &Round,
    closed: &HashMap<u32, Timestamp>,
    pages: &mut HashMap<u32, KeptPage>,
) -> Result<(), StepError> {
    let find = |pages: &HashMap<u32, KeptPage>, index: u32| {
        let page = &pages.get(&(index / SHARDS_PER_PAGE))?.page.shards;
        page.binary_search_by_key(&index, |shard| shard.index).ok().map(|place| page[place])
    };
    let mut next = round.first_child;
    for step in &round.steps {
        let parents = step.parents();
        let mut created = 0;
        for parent in parents.into_iter().flatten() {
            let shard = find(pages, parent).ok_or(StepError::Inconsistent)?;
            let closed = closed.get(&parent).ok_or(StepError::Inconsistent)?;
            // A second later than its parents' end, as recorded, and later than they themselves were created, which can
            // be ahead of the clock when shards are split again at once: so all its numbers are greater than theirs.
            created = created.max(closed.seconds().max(shard.created) + 1);
        }
        let ranges = plan::children(*step, |index| find(pages, index).map(|shard| shard.range()));
        for range in ranges.ok_or(StepError::Inconsistent)? {
            if find(pages, next).is_none() {
                let child = StoredShard::child(next, range, created, parents);
                let kept = pages.entry(next / SHARDS_PER_PAGE).or_insert_with(|| KeptPage::new(next / SHARDS_PER_PAGE));
                kept.page.shards.push(child);
                kept.changed = true;
            }
            next += 1;
        }
    }
    for (index, at) in closed {
        let kept = pages.get_mut(&(index / SHARDS_PER_PAGE)).ok_or(StepError::Inconsistent)?;
        let place = kept.page.shards.binary_search_by_key(index, |shard| shard.index);
        let shard = &mut kept.page.shards[place.map_err(|_| StepError::Inconsistent)?];
        if shard.closed_at().is_none() {
            shard.close(*at);
            kept.changed = true;
        }
    }
    Ok(())
}
