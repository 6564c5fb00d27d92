//! `DescribeLogStreams`.

use millstream_iam::RequestContext;
use millstream_wire::logs::error::DescribeLogStreamsError;
use millstream_wire::logs::{DescribeLogStreamsRequest, DescribeLogStreamsResponse, LogStream, OrderBy};

use super::put_log_events::SEQUENCE_TOKEN;
use super::{DESCRIBED_MAX, invalid_token, limit, millis};
use crate::logs::content::StreamSummary;
use crate::logs::errors::{Internal, InvalidParameter};
use crate::logs::model::Stream;
use crate::logs::names::GroupName;
use crate::logs::service::Logs;

/// What a stream is sorted by, then its name.
type Rank = (u64, String);

impl Logs {
    /// By name, or by the time of the last event. The token is the rank of the last stream shown.
    pub async fn describe_log_streams(
        &self,
        context: &RequestContext,
        input: DescribeLogStreamsRequest,
    ) -> Result<DescribeLogStreamsResponse, DescribeLogStreamsError> {
        let by_time = input.order_by == Some(OrderBy::LastEventTime);
        if by_time && input.log_stream_name_prefix.is_some() {
            let text = "Cannot order by LastEventTime with a logStreamNamePrefix.";
            return Err(InvalidParameter(text.to_owned()).into());
        }
        let name = GroupName::from_request(
            &context.scope,
            input.log_group_name.as_ref(),
            input.log_group_identifier.as_ref(),
        )?;
        let after: Option<Rank> = match &input.next_token {
            Some(token) => Some(read_token(token).ok_or_else(invalid_token)?),
            None => None,
        };
        let group = self.expect_group(&name).await?;
        let summaries = self.inner.content.stream_summaries(group.id).await.map_err(Internal::from)?;
        let prefix = input.log_stream_name_prefix.as_deref().unwrap_or_default();
        let mut streams: Vec<(Rank, Stream, Option<StreamSummary>)> = Vec::new();
        for (stream_name, stream) in self.streams(&group, prefix).await? {
            let summary = summaries.get(&stream.id).copied();
            let time = if by_time { summary.map_or(0, |summary| summary.last_event) } else { 0 };
            streams.push(((time, stream_name), stream, summary));
        }
        streams.sort_unstable_by(|(a, ..), (b, ..)| a.cmp(b));
        if input.descending == Some(true) {
            streams.reverse();
        }
        let begin = after.map_or(0, |after| match input.descending {
            Some(true) => streams.partition_point(|(rank, ..)| *rank >= after),
            _ => streams.partition_point(|(rank, ..)| *rank <= after),
        });
        let end = streams.len().min(begin + limit(input.limit, DESCRIBED_MAX));
        let next_token = (end < streams.len() && end > begin).then(|| write_token(&streams[end - 1].0));
        let shown = streams[begin..end].iter();
        let log_streams =
            shown.map(|((_, stream), kept, summary)| wire_stream(&name, stream, kept, *summary)).collect();
        Ok(DescribeLogStreamsResponse { log_streams: Some(log_streams), next_token })
    }
}

fn write_token((time, name): &Rank) -> String {
    format!("{time}:{name}")
}

fn read_token(token: &str) -> Option<Rank> {
    let (time, name) = token.split_once(':')?;
    Some((time.parse().ok()?, name.to_owned()))
}

fn wire_stream(group: &GroupName, name: &str, stream: &Stream, summary: Option<StreamSummary>) -> LogStream {
    LogStream {
        arn: Some(group.stream_arn(name).to_string()),
        creation_time: Some(millis(stream.created_ms)),
        log_stream_name: Some(name.to_owned()),
        stored_bytes: Some(0),
        first_event_timestamp: summary.map(|summary| millis(summary.first_event)),
        last_event_timestamp: summary.map(|summary| millis(summary.last_event)),
        last_ingestion_time: summary.map(|summary| millis(summary.last_ingestion)),
        upload_sequence_token: summary.map(|_| SEQUENCE_TOKEN.to_owned()),
    }
}
