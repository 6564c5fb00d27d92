//! `GetLogEvents`.

use std::collections::HashSet;

use millstream_iam::RequestContext;
use millstream_wire::logs::error::GetLogEventsError;
use millstream_wire::logs::{GetLogEventsRequest, GetLogEventsResponse, OutputLogEvent};

use super::{ANSWER_BYTES_MAX, ANSWER_EVENTS_MAX, invalid_token, limit, millis, time};
use crate::logs::content::{Direction, Event, EventKey, Query};
use crate::logs::errors::Internal;
use crate::logs::names::GroupName;
use crate::logs::service::Logs;

impl Logs {
    /// The events of one stream, page by page in either direction. At the end the same token comes back.
    pub async fn get_log_events(
        &self,
        context: &RequestContext,
        input: GetLogEventsRequest,
    ) -> Result<GetLogEventsResponse, GetLogEventsError> {
        let name = GroupName::from_request(
            &context.scope,
            input.log_group_name.as_ref(),
            input.log_group_identifier.as_ref(),
        )?;
        let cursor = match &input.next_token {
            Some(token) => Some(read_token(token).ok_or_else(invalid_token)?),
            None => None,
        };
        let group = self.expect_group(&name).await?;
        let stream = self.expect_stream(&group, &input.log_stream_name).await?;
        let direction = match cursor {
            Some((direction, _)) => direction,
            None if input.start_from_head == Some(true) => Direction::Forward,
            None => Direction::Backward,
        };
        let bound = cursor.map(|(_, key)| key);
        let query = Query {
            start: time(input.start_time).unwrap_or(0).max(self.horizon(&group)),
            end: time(input.end_time).unwrap_or(u64::MAX),
            streams: Some(HashSet::from([stream.id])),
            after: bound.filter(|_| direction == Direction::Forward),
            before: bound.filter(|_| direction == Direction::Backward),
            direction,
            events_max: limit(input.limit, ANSWER_EVENTS_MAX),
            bytes_max: ANSWER_BYTES_MAX,
            matches: Box::new(|_| true),
        };
        let found = self.inner.content.query(group.id, query).await.map_err(Internal::from)?;
        // With nothing found both tokens stay where they were, so that a later call sees what comes then.
        let here = found.more_after.or(bound).unwrap_or_default();
        let first = found.events.first().map_or(here, |event| event.key);
        let last = found.events.last().map_or(here, |event| event.key);
        Ok(GetLogEventsResponse {
            events: Some(found.events.into_iter().map(wire_event).collect()),
            next_forward_token: Some(write_token(Direction::Forward, last)),
            next_backward_token: Some(write_token(Direction::Backward, first)),
        })
    }
}

fn wire_event(event: Event) -> OutputLogEvent {
    OutputLogEvent {
        timestamp: Some(millis(event.key.timestamp)),
        ingestion_time: Some(millis(event.key.ingestion)),
        message: Some(event.message),
    }
}

/// `f/<56 digits>/s` and `b/<56 digits>/s`, as AWS's tokens look.
fn write_token(direction: Direction, key: EventKey) -> String {
    let letter = if direction == Direction::Forward { 'f' } else { 'b' };
    format!("{letter}/{key}/s")
}

fn read_token(token: &str) -> Option<(Direction, EventKey)> {
    let (direction, rest) = match token.split_at_checked(2)? {
        ("f/", rest) => (Direction::Forward, rest),
        ("b/", rest) => (Direction::Backward, rest),
        _ => return None,
    };
    Some((direction, rest.strip_suffix("/s")?.parse().ok()?))
}
