//! The driver of one subscription.

use std::sync::Arc;

use millstream_env::Timestamp;
use millstream_log::{ReadBatch, ReadError, ReadLimit, Record, Tail};
use millstream_types::SequenceNumber;
use millstream_types::limits::GET_RECORDS_COUNT_MAX;
use millstream_wire::kinesis::ChildShard;
use millstream_wire::kinesis::error::SubscribeToShardEventStreamError;

use super::course::{Course, Found, Step};
use super::places::Seat;
use crate::consumers::{ConsumerArn, texts};
use crate::errors::{InUse, Internal, KmsNotFound, NotFound};
use crate::iterator::From as ReadOn;
use crate::model::ConsumerState;
use crate::operations::get_records::millis_behind;
use crate::operations::wire_children;
use crate::registry::StreamWatch;
use crate::service::Streams;
use crate::stream::{Shard, Stream};

/// What one event holds at most, data and partition keys; a single record may be larger.
const EVENT_LIMIT: ReadLimit = ReadLimit { records: GET_RECORDS_COUNT_MAX, bytes: 1024 * 1024 };

/// One event, with the log's own records, so that they are encoded without another copy.
#[derive(Debug)]
pub struct SubscriptionEvent {
    pub records: Vec<Record>,
    /// The shard they were read from.
    pub shard: Shard,
    /// Reading after it goes on behind this event. Absent exactly when `child_shards` is there.
    pub continuation_sequence_number: Option<SequenceNumber>,
    /// 0 when nothing lies further on.
    pub millis_behind_latest: u64,
    /// Empty except at the end of a closed shard.
    pub child_shards: Vec<ChildShard>,
}

/// What a subscription begins with.
pub(crate) struct Beginning {
    pub(crate) consumer: ConsumerArn,
    pub(crate) stream: Arc<Stream>,
    pub(crate) shard: Shard,
    pub(crate) from: ReadOn,
    pub(crate) now: Timestamp,
    pub(crate) seat: Seat,
    /// Made before the stream was looked up.
    pub(crate) stream_changes: StreamWatch,
    pub(crate) tail: Tail,
}

/// What a consumer receives from a shard. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    streams: Streams,
    consumer: ConsumerArn,
    stream: Arc<Stream>,
    shard: Shard,
    from: ReadOn,
    /// The number told last; it never goes back.
    continuation: SequenceNumber,
    course: Course,
    seat: Seat,
    stream_changes: StreamWatch,
    tail: Tail,
    /// The stream has changed since it was looked up.
    is_stale: bool,
    has_ended: bool,
}

impl Subscription {
    pub(crate) fn new(streams: Streams, beginning: Beginning) -> Self {
        let Beginning { consumer, stream, shard, from, now, seat, stream_changes, tail } = beginning;
        Self {
            streams,
            consumer,
            stream,
            continuation: shard.starting_sequence_number(),
            shard,
            from,
            course: Course::new(now),
            seat,
            stream_changes,
            tail,
            is_stale: false,
            has_ended: false,
        }
    }

    /// The next event, once there is one; `None` at the end, which an error or the event with the shard's children may
    /// precede. Nothing is read from the log before this is called. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<SubscriptionEvent, SubscribeToShardEventStreamError>> {
        if self.has_ended {
            return None;
        }
        let next = self.advance().await.transpose();
        self.has_ended |= !matches!(next, Some(Ok(_)));
        next
    }

    async fn advance(&mut self) -> Result<Option<SubscriptionEvent>, SubscribeToShardEventStreamError> {
        loop {
            if self.streams.inner.parts.tasks.is_cancelled() {
                return Ok(None);
            }
            if self.seat.is_taken_over() {
                return Err(texts::subscribed_already(&self.consumer, self.shard.id()).into());
            }
            // Not only where it waits: a subscription that is far behind never does.
            self.is_stale |= self.stream_changes.take_change();
            if self.is_stale {
                self.look_again().await?;
            }
            let now = self.streams.now();
            if self.course.is_over(now) {
                return Ok(None);
            }
            if let Some(moment) = self.seat.delivery().and_then(|delivery| delivery.waits_until(now)) {
                self.wait(self.course.until(moment), WakeUp::NotByRecords).await;
                continue;
            }
            let batch = self.read().await?;
            let now = self.streams.now();
            let child_shards = if batch.ended { wire_children(&self.stream, self.shard.id()) } else { Vec::new() };
            let found = Found {
                records: !batch.records.is_empty(),
                behind: batch.behind.is_some(),
                last: !child_shards.is_empty(),
            };
            let step = self.course.after_read(now, found);
            self.from = self.from.after(&batch);
            match step {
                Step::Send => return Ok(Some(self.event(batch, child_shards, now))),
                Step::SendLast => {
                    self.has_ended = true;
                    return Ok(Some(self.event(batch, child_shards, now)));
                }
                Step::ReadOn => tokio::task::yield_now().await,
                Step::Wait(until) => self.wait(until, WakeUp::ByRecords).await,
            }
        }
    }

    /// Whether the consumer and its stream are still there. A catalog that does not answer is asked again at the next
    /// wake-up: it takes no records away.
    async fn look_again(&mut self) -> Result<(), NotFound> {
        let name = &self.consumer.stream;
        let stream = match self.streams.inner.registry.get(name).await {
            Ok(stream) => stream,
            Err(Internal(reason)) => {
                tracing::warn!(stream = %name.arn(), reason, "a subscription could not look at its stream; going on");
                return Ok(());
            }
        };
        self.is_stale = false;
        let same = |stream: &Arc<Stream>| stream.incarnation() == self.stream.incarnation() && stream.is_usable();
        let stream = stream.filter(same).ok_or_else(|| name.not_found())?;
        let consumer = stream.header.consumers.get(&self.consumer.name);
        let lasts = consumer
            .is_some_and(|found| found.created == self.consumer.created && found.state != ConsumerState::Deleting);
        if !lasts {
            return Err(texts::not_found(name, &self.consumer.name));
        }
        self.stream = stream;
        Ok(())
    }

    async fn read(&self) -> Result<ReadBatch, SubscribeToShardEventStreamError> {
        let log = &self.streams.inner.parts.log;
        log.read(self.shard.key(), self.from.into(), EVENT_LIMIT).await.map_err(|error| match error {
            ReadError::NoShard(_) => self.consumer.stream.shard_does_not_exist(self.shard.id()).into(),
            // Named, never passed over in silence: the caller may go on after the gap with a new subscription.
            ReadError::Damaged { .. } => match self.streams.check_keys(&self.stream, None) {
                Ok(()) => SubscribeToShardEventStreamError::InternalFailure(error.to_string()),
                Err(KmsNotFound(reason)) => SubscribeToShardEventStreamError::KMSNotFound(reason),
            },
            ReadError::Unavailable(reason) => {
                tracing::warn!(shard = %self.shard.id(), reason, "a subscription ends: the log cannot be read");
                SubscribeToShardEventStreamError::InternalFailure("The log cannot be read at the moment.".to_owned())
            }
        })
    }

    fn event(&mut self, batch: ReadBatch, child_shards: Vec<ChildShard>, now: Timestamp) -> SubscriptionEvent {
        self.course.sent(now);
        if let Some(delivery) = self.seat.delivery() {
            delivery.charge(batch.records.iter().map(|record| record.data.len() + record.partition_key.len()).sum());
        }
        let reached = match batch.records.last() {
            Some(last) if last.position.0.saturating_add(1) == batch.next.0 => self.shard.sequence_number(last),
            _ => self.shard.number_before(batch.next, now),
        };
        self.continuation = self.continuation.max(reached);
        SubscriptionEvent {
            millis_behind_latest: millis_behind(&batch, now),
            records: batch.records,
            shard: self.shard.clone(),
            continuation_sequence_number: child_shards.is_empty().then_some(self.continuation),
            child_shards,
        }
    }

    /// Returns once anything may have changed.
    async fn wait(&mut self, until: Timestamp, wake_up: WakeUp) {
        let parts = &self.streams.inner.parts;
        tokio::select! {
            () = self.tail.changed(), if wake_up == WakeUp::ByRecords => {}
            () = self.stream_changes.changed() => self.is_stale = true,
            () = self.seat.until_taken_over() => {}
            () = parts.clock.sleep_until(until) => {}
            () = parts.tasks.cancelled() => {}
        }
    }
}

/// Whether records that arrive are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WakeUp {
    ByRecords,
    NotByRecords,
}

impl From<NotFound> for SubscribeToShardEventStreamError {
    fn from(cause: NotFound) -> Self {
        Self::ResourceNotFound(cause.0)
    }
}

impl From<InUse> for SubscribeToShardEventStreamError {
    fn from(cause: InUse) -> Self {
        Self::ResourceInUse(cause.0)
    }
}
