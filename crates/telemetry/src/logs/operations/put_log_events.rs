//! `PutLogEvents`.

use millstream_iam::RequestContext;
use millstream_wire::logs::error::PutLogEventsError;
use millstream_wire::logs::{
    EntityRejectionErrorType, InputLogEvent, PutLogEventsRequest, PutLogEventsResponse, RejectedEntityInfo,
    RejectedLogEventsInfo,
};

use crate::logs::content::{AppendError, NewEvent};
use crate::logs::errors::{Internal, InvalidParameter, LookupError};
use crate::logs::names::GroupName;
use crate::logs::service::Logs;

/// Bytes of one call, counting each event's message and 26 more (CloudWatch Logs model).
const BATCH_BYTES_MAX: usize = 1_048_576;
const EVENT_BYTES_EXTRA: usize = 26;
/// Longest time between the first and the last event of one call (CloudWatch Logs model).
const BATCH_SPAN_MAX_MS: u64 = 24 * 3600 * 1000;
/// Events further ahead are dropped (CloudWatch Logs model).
const AHEAD_MAX_MS: u64 = 2 * 3600 * 1000;
/// Events older than this are dropped (CloudWatch Logs model).
const BEHIND_MAX_MS: u64 = 14 * 24 * 3600 * 1000;
/// Sequence tokens have lost their meaning; AWS still answers one and takes any.
pub(super) const SEQUENCE_TOKEN: &str = "49000000000000000000000000000000000000000000000000000000";

impl Logs {
    /// Events that are too old, too new or past the group's retention are dropped and reported; the others are kept.
    pub async fn put_log_events(
        &self,
        context: &RequestContext,
        input: PutLogEventsRequest,
    ) -> Result<PutLogEventsResponse, PutLogEventsError> {
        let times: Vec<u64> =
            input.log_events.iter().map(|event| u64::try_from(event.timestamp).unwrap_or(0)).collect();
        check_batch(&input.log_events, &times)?;
        let group = self.expect_group(&GroupName::new(&context.scope, &input.log_group_name)).await?;
        let stream = self.expect_stream(&group, &input.log_stream_name).await?;
        let now = self.now_millis();
        let (kept, rejected) = sort_out(&times, now, self.horizon(&group));
        let events: Vec<NewEvent> = input
            .log_events
            .into_iter()
            .zip(&times)
            .skip(kept.start)
            .take(kept.len())
            .map(|(event, timestamp)| NewEvent { timestamp: *timestamp, message: event.message.into() })
            .collect();
        if !events.is_empty() {
            match self.inner.content.append(group.id, stream.id, now, events).await {
                Ok(()) => {}
                Err(AppendError::Deleted) => return Err(LookupError::no_group().into()),
                Err(AppendError::Storage(error)) => return Err(Internal::from(error).into()),
            }
        }
        // Entities say where events come from; nothing here could show them, and AWS has its own way to say so.
        let error_type = EntityRejectionErrorType::UnsupportedLogGroupType;
        Ok(PutLogEventsResponse {
            next_sequence_token: Some(SEQUENCE_TOKEN.to_owned()),
            rejected_log_events_info: rejected,
            rejected_entity_info: input.entity.map(|_| RejectedEntityInfo { error_type }),
        })
    }
}

fn check_batch(events: &[InputLogEvent], times: &[u64]) -> Result<(), InvalidParameter> {
    let bytes: usize = events.iter().map(|event| event.message.len() + EVENT_BYTES_EXTRA).sum();
    if bytes > BATCH_BYTES_MAX {
        return Err(InvalidParameter(format!("Upload too large: {bytes} bytes exceeds limit of {BATCH_BYTES_MAX}")));
    }
    if !times.is_sorted() {
        let text = "Log events in a single PutLogEvents request must be in chronological order.";
        return Err(InvalidParameter(text.to_owned()));
    }
    let span = times.last().zip(times.first()).map_or(0, |(last, first)| last - first);
    if span > BATCH_SPAN_MAX_MS {
        let text = "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.";
        return Err(InvalidParameter(text.to_owned()));
    }
    Ok(())
}

/// Which of the ordered events are kept, and what is said of the others.
fn sort_out(times: &[u64], now: u64, horizon: u64) -> (std::ops::Range<usize>, Option<RejectedLogEventsInfo>) {
    let index = |i: usize| i32::try_from(i).expect("at most 10,000 events");
    let too_old = times.partition_point(|time| *time < now.saturating_sub(BEHIND_MAX_MS));
    let expired = times.partition_point(|time| *time < horizon);
    let too_new = times.partition_point(|time| *time <= now.saturating_add(AHEAD_MAX_MS));
    let rejected = RejectedLogEventsInfo {
        too_old_log_event_end_index: (too_old > 0).then(|| index(too_old)),
        expired_log_event_end_index: (expired > 0).then(|| index(expired)),
        too_new_log_event_start_index: (too_new < times.len()).then(|| index(too_new)),
    };
    let kept = too_old.max(expired).min(too_new)..too_new;
    let any = rejected != RejectedLogEventsInfo::default();
    (kept, any.then_some(rejected))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600 * 1000;

    fn check(times: &[u64], horizon: u64, kept: std::ops::Range<usize>, rejected: [Option<i32>; 3]) {
        let now = 100 * DAY;
        let [old, expired, new] = rejected;
        let (range, info) = sort_out(times, now, horizon);
        assert_eq!(range, kept, "{times:?}");
        let info = info.unwrap_or_default();
        assert_eq!(info.too_old_log_event_end_index, old);
        assert_eq!(info.expired_log_event_end_index, expired);
        assert_eq!(info.too_new_log_event_start_index, new);
    }

    #[test]
    fn old_and_new_events_are_sorted_out() {
        check(&[], 0, 0..0, [None, None, None]);
        check(&[100 * DAY], 0, 0..1, [None, None, None]);
        check(&[85 * DAY, 86 * DAY, 100 * DAY + AHEAD_MAX_MS], 0, 1..3, [Some(1), None, None]);
        check(&[100 * DAY, 100 * DAY + AHEAD_MAX_MS + 1], 0, 0..1, [None, None, Some(1)]);
        check(&[90 * DAY, 99 * DAY, 100 * DAY], 99 * DAY, 1..3, [None, Some(1), None]);
        check(&[1, 2], 99 * DAY, 2..2, [Some(2), Some(2), None]);
    }
}
