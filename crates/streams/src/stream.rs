//! A stream and its shards as they were when they were looked up.

use std::sync::Arc;
use std::time::Duration;

use millstream_env::Timestamp;
use millstream_log::{Position, Record, ShardKey};
use millstream_types::sequence_number::Parts;
use millstream_types::{Arn, HashKey, HashKeyRange, SequenceNumber, ShardId, ShardIndex};

use crate::model::{Header, Status, StoredShard};
use crate::names::StreamName;
use crate::traffic::Traffic;

/// The state of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamState {
    Creating,
    Active,
    /// Works like an active one.
    Updating,
    Deleting,
}

/// A stream. It does not change: look it up again, or watch it, to see what became of it.
#[derive(Debug)]
pub struct Stream {
    pub(crate) name: StreamName,
    pub(crate) header: Header,
    /// In order of index; empty unless the stream is active or updating.
    shards: Vec<Shard>,
    /// The open shards in order of hash key: where each begins, and its place in `shards`.
    routes: Vec<(HashKey, usize)>,
}

/// One shard of a stream.
#[derive(Clone, Debug)]
pub struct Shard {
    incarnation: u64,
    stored: StoredShard,
    traffic: Arc<Traffic>,
}

impl Stream {
    /// `traffic` is that of the shards, in their order.
    pub(crate) fn new(name: StreamName, header: Header, stored: Vec<StoredShard>, traffic: Vec<Arc<Traffic>>) -> Self {
        let shard = |(stored, traffic)| Shard { incarnation: header.id, stored, traffic };
        let shards: Vec<Shard> = stored.into_iter().zip(traffic).map(shard).collect();
        let mut routes: Vec<_> = shards
            .iter()
            .enumerate()
            .filter(|(_, shard)| shard.closed_at().is_none())
            .map(|(place, shard)| (shard.hash_key_range().start, place))
            .collect();
        routes.sort_unstable();
        Self { name, header, shards, routes }
    }

    pub fn name(&self) -> &StreamName {
        &self.name
    }

    pub fn arn(&self) -> Arn {
        self.name.arn()
    }

    /// Unique for ever: a stream deleted and created again under its old name has another one.
    pub fn incarnation(&self) -> u64 {
        self.header.id
    }

    pub fn state(&self) -> StreamState {
        match self.header.status {
            Status::Creating => StreamState::Creating,
            Status::Active => StreamState::Active,
            Status::Updating => StreamState::Updating,
            Status::Deleting => StreamState::Deleting,
        }
    }

    pub fn created(&self) -> Timestamp {
        self.header.created()
    }

    pub fn retention(&self) -> Duration {
        self.header.retention()
    }

    /// In order of index, open and closed; empty while the stream is being created or deleted.
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    pub fn shard(&self, id: ShardId) -> Option<&Shard> {
        let place = self.shards.binary_search_by_key(&id.0.get(), |shard| shard.stored.index).ok()?;
        Some(&self.shards[place])
    }

    /// The open shard whose range holds `key`. `None` only while a stream has no shards.
    pub fn route(&self, key: HashKey) -> Option<&Shard> {
        let after = self.routes.partition_point(|(start, _)| *start <= key);
        let (_, place) = self.routes.get(after.checked_sub(1)?)?;
        Some(&self.shards[*place])
    }

    /// The shards that were made from `parent` by a split or merge.
    pub fn children(&self, parent: ShardId) -> impl Iterator<Item = &Shard> {
        self.shards.iter().filter(move |shard| shard.parents().any(|id| id == parent))
    }

    /// When a shard began to take records. A child is created, by its sequence numbers, a second after its parents ended,
    /// but it takes records from their end on.
    pub(crate) fn opened_at(&self, shard: &Shard) -> Timestamp {
        let ends = shard.parents().filter_map(|id| self.shard(id)?.closed_at());
        ends.max().map_or(shard.created(), |end| end.min(shard.created()))
    }

    /// Closed so long ago that nothing of it can be left: such a shard is not shown any more.
    pub(crate) fn is_expired(&self, shard: &Shard, now: Timestamp) -> bool {
        shard.closed_at().is_some_and(|closed| closed.plus(self.retention()) < now)
    }

    /// Can be read and written.
    pub(crate) fn is_usable(&self) -> bool {
        matches!(self.header.status, Status::Active | Status::Updating)
    }

    pub(crate) fn record_bytes_max(&self) -> usize {
        // At most 10 MiB, so it fits every platform's usize.
        self.header.record_kib_max as usize * 1024
    }
}

/// Sequence numbers carry 36 bits of seconds; a clock beyond the year 4147 stays at the last one.
const SECONDS_MAX: u64 = (1 << 36) - 1;

impl Shard {
    /// The shard's name in the log.
    pub fn key(&self) -> ShardKey {
        ShardKey { stream: self.incarnation, shard: self.stored.index }
    }

    pub fn id(&self) -> ShardId {
        shard_id(self.stored.index)
    }

    pub fn hash_key_range(&self) -> HashKeyRange {
        self.stored.range()
    }

    /// None for a shard that a stream began with, two after a merge.
    pub fn parents(&self) -> impl Iterator<Item = ShardId> + use<> {
        [self.stored.parent, self.stored.adjacent_parent].into_iter().flatten().map(shard_id)
    }

    pub fn parent(&self) -> Option<ShardId> {
        self.stored.parent.map(shard_id)
    }

    pub fn adjacent_parent(&self) -> Option<ShardId> {
        self.stored.adjacent_parent.map(shard_id)
    }

    /// Whole seconds, as sequence numbers carry it.
    pub fn created(&self) -> Timestamp {
        Timestamp::from_seconds(self.stored.created)
    }

    pub(crate) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    pub(crate) fn stored(&self) -> StoredShard {
        self.stored
    }

    /// When the shard stopped taking records; `None` while it is open.
    pub fn closed_at(&self) -> Option<Timestamp> {
        self.stored.closed_at()
    }

    /// The number of a record of this shard.
    pub fn sequence_number(&self, record: &Record) -> SequenceNumber {
        self.number_at(record.position, record.arrival)
    }

    /// The number of the record at `position`, which arrived at `arrival`. Numbers count from 1, so that each is
    /// greater than the shard's starting number.
    pub fn number_at(&self, position: Position, arrival: Timestamp) -> SequenceNumber {
        self.number(position.0.saturating_add(1).min(SequenceNumber::MAX_INDEX), arrival.seconds())
    }

    /// A number that no record has, told at `now` to a reader who has had everything before `position`: reading after it
    /// goes on there.
    pub(crate) fn number_before(&self, position: Position, now: Timestamp) -> SequenceNumber {
        self.number(position.0.min(SequenceNumber::MAX_INDEX), now.seconds())
    }

    pub fn starting_sequence_number(&self) -> SequenceNumber {
        self.number(0, self.stored.created)
    }

    /// Of a closed shard: greater than the number of every record in it (recorded: kinesalite tests).
    pub fn ending_sequence_number(&self) -> Option<SequenceNumber> {
        self.closed_at().map(|closed| self.number(SequenceNumber::MAX_INDEX, closed.seconds()))
    }

    /// The place of the record with this running index, or of the first one after the starting number for index 0.
    pub(crate) fn position_at_index(index: u64) -> Position {
        Position(index.saturating_sub(1))
    }

    fn number(&self, index: u64, seconds: u64) -> SequenceNumber {
        SequenceNumber::new(Parts {
            shard_created_seconds: self.stored.created.min(SECONDS_MAX),
            index,
            time_seconds: seconds.min(SECONDS_MAX),
            shard_index: self.stored.index,
        })
    }
}

fn shard_id(index: u32) -> ShardId {
    ShardId(ShardIndex::new(index).expect("shard indexes are made below 2^31 and checked when they are read"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Mode;

    fn stream(shards: Vec<StoredShard>) -> Stream {
        let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s".parse().unwrap();
        let count = u32::try_from(shards.len()).unwrap();
        let header = Header::new(7, Mode::Provisioned, count, Timestamp::from_seconds(1_700_000_000));
        let traffic = shards.iter().map(|_| Arc::default()).collect();
        Stream::new(StreamName::from_arn(&arn).unwrap(), header, shards, traffic)
    }

    fn initial(count: u32) -> Stream {
        let ranges = (0..).zip(HashKeyRange::uniform(count));
        stream(ranges.map(|(index, range)| StoredShard::initial(index, range, 1_700_000_000)).collect())
    }

    #[test]
    fn numbers_lie_between_the_starting_and_the_ending_number() {
        let mut shard = initial(1).shards[0].clone();
        assert_eq!(shard.ending_sequence_number(), None);
        let closed = Timestamp::from_millis(1_700_000_100_999);
        shard.stored = shard.stored.with_lineage([None, None], Some(closed));
        let ending = shard.ending_sequence_number().unwrap();
        let parts = ending.parts().unwrap();
        assert_eq!((parts.index, parts.time_seconds), (SequenceNumber::MAX_INDEX, 1_700_000_100));
        for position in [0, 1, 1 << 62] {
            let number = shard.number_at(Position(position), closed);
            assert!(shard.starting_sequence_number() < number && number < ending);
        }
    }

    #[test]
    fn a_split_shard_is_replaced_by_its_children() {
        let closed = Some(Timestamp::from_seconds(1_700_000_100));
        let whole = HashKeyRange::uniform(1).next().unwrap();
        let mut shards = vec![StoredShard::initial(0, whole, 1_700_000_000).with_lineage([None, None], closed)];
        for (index, range) in (1..).zip(HashKeyRange::uniform(2)) {
            shards.push(StoredShard::initial(index, range, 1_700_000_101).with_lineage([Some(0), None], None));
        }
        let stream = stream(shards);
        assert_eq!(stream.route(HashKey(0)).unwrap().key().shard, 1);
        assert_eq!(stream.route(HashKey(u128::MAX)).unwrap().key().shard, 2);
        let parent = stream.shards[0].clone();
        assert_eq!(stream.children(parent.id()).count(), 2);
        assert!(parent.ending_sequence_number().unwrap() < stream.shards[1].starting_sequence_number());
        assert!(!stream.is_expired(&parent, Timestamp::from_seconds(1_700_000_100 + 24 * 3600)));
        assert!(stream.is_expired(&parent, Timestamp::from_seconds(1_700_000_101 + 24 * 3600)));
        assert!(!stream.is_expired(&stream.shards[1], Timestamp::from_seconds(1 << 40)));
    }

    proptest! {
        #[test]
        fn every_key_has_exactly_the_shard_whose_range_holds_it(count in 1_u32..600, key: u128) {
            let stream = initial(count);
            let shard = stream.route(HashKey(key)).unwrap();
            prop_assert!(shard.hash_key_range().contains(HashKey(key)));
            let range = shard.hash_key_range();
            prop_assert_eq!(stream.route(range.start).unwrap().id(), shard.id());
            prop_assert_eq!(stream.route(range.end).unwrap().id(), shard.id());
        }
    }
}
