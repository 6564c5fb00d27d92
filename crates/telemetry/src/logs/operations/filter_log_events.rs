//! `FilterLogEvents`.

use std::collections::{HashMap, HashSet};

use millstream_iam::RequestContext;
use millstream_wire::logs::error::FilterLogEventsError;
use millstream_wire::logs::{FilterLogEventsRequest, FilterLogEventsResponse, FilteredLogEvent};

use super::{ANSWER_BYTES_MAX, ANSWER_EVENTS_MAX, invalid_token, limit, millis, time};
use crate::logs::content::{Direction, EventKey, Query};
use crate::logs::errors::{Internal, InvalidParameter, LookupError};
use crate::logs::model::Group;
use crate::logs::names::GroupName;
use crate::logs::pattern::Pattern;
use crate::logs::service::Logs;

impl Logs {
    /// The events of many streams in order of time. `startTime` and `endTime` are both inclusive; a page may be empty
    /// and still have a token.
    pub async fn filter_log_events(
        &self,
        context: &RequestContext,
        input: FilterLogEventsRequest,
    ) -> Result<FilterLogEventsResponse, FilterLogEventsError> {
        if input.log_stream_names.is_some() && input.log_stream_name_prefix.is_some() {
            let text = "logStreamNames and logStreamNamePrefix are mutually exclusive parameters.";
            return Err(InvalidParameter(text.to_owned()).into());
        }
        let name = GroupName::from_request(
            &context.scope,
            input.log_group_name.as_ref(),
            input.log_group_identifier.as_ref(),
        )?;
        let pattern = Pattern::parse(input.filter_pattern.as_deref().unwrap_or_default())?;
        let after: Option<EventKey> = match &input.next_token {
            Some(token) => Some(token.parse().map_err(|()| invalid_token())?),
            None => None,
        };
        let group = self.expect_group(&name).await?;
        let streams = self.searched(&group, &input).await?;
        let query = Query {
            start: time(input.start_time).unwrap_or(0).max(self.horizon(&group)),
            end: time(input.end_time).map_or(u64::MAX, |end| end.saturating_add(1)),
            streams: Some(streams.keys().copied().collect::<HashSet<u64>>()),
            after,
            before: None,
            direction: Direction::Forward,
            events_max: limit(input.limit, ANSWER_EVENTS_MAX),
            bytes_max: ANSWER_BYTES_MAX,
            matches: Box::new(move |message| pattern.matches(message)),
        };
        let found = self.inner.content.query(group.id, query).await.map_err(Internal::from)?;
        let events = found.events.into_iter().map(|event| FilteredLogEvent {
            event_id: Some(event.key.to_string()),
            ingestion_time: Some(millis(event.key.ingestion)),
            timestamp: Some(millis(event.key.timestamp)),
            log_stream_name: streams.get(&event.stream).cloned(),
            message: Some(event.message),
        });
        Ok(FilterLogEventsResponse {
            events: Some(events.collect()),
            // Not filled in any more by AWS either.
            searched_log_streams: Some(Vec::new()),
            next_token: found.more_after.map(|key| key.to_string()),
        })
    }

    /// The streams to search: their names by their ids.
    async fn searched(
        &self,
        group: &Group,
        input: &FilterLogEventsRequest,
    ) -> Result<HashMap<u64, String>, LookupError> {
        let mut streams = HashMap::new();
        if let Some(names) = &input.log_stream_names {
            for name in names {
                streams.insert(self.expect_stream(group, name).await?.id, name.clone());
            }
        } else {
            let prefix = input.log_stream_name_prefix.as_deref().unwrap_or_default();
            let all = self.streams(group, prefix).await?;
            streams.extend(all.into_iter().map(|(name, stream)| (stream.id, name)));
        }
        Ok(streams)
    }
}
