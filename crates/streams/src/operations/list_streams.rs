//! `ListStreams`.

use millstream_iam::RequestContext;
use millstream_wire::kinesis::error::ListStreamsError;
use millstream_wire::kinesis::{ListStreamsInput, ListStreamsOutput, StreamSummary};

use super::limit;
use super::token::IntoError;
use crate::errors::Internal;
use crate::model::{self, Header};
use crate::service::Streams;

/// Streams in one answer, whatever the caller asks for (Kinesis model).
const STREAMS_SHOWN_MAX: usize = 100;
const TOKEN: &str = "list-streams";

impl Streams {
    /// The streams of the caller's account and region, by name. Old clients page with `ExclusiveStartStreamName`, new
    /// ones with `NextToken`, which wins.
    pub async fn list_streams(
        &self,
        context: &RequestContext,
        input: ListStreamsInput,
    ) -> Result<ListStreamsOutput, ListStreamsError> {
        self.admit_on_account(context, "ListStreams")?;
        let after: Option<String> = match &input.next_token {
            Some(token) => Some(self.open_token(TOKEN, token).map_err(IntoError::<ListStreamsError>::into_error)?),
            None => input.exclusive_start_stream_name,
        };
        let prefix = model::header_prefix(&context.scope);
        let after = after.map(|name| format!("{prefix}{name}"));
        let count = limit(input.limit, STREAMS_SHOWN_MAX, STREAMS_SHOWN_MAX);
        let page = self.inner.registry.store().list(&prefix, after.as_deref(), count).await.map_err(Internal::from)?;

        let mut summaries = Vec::with_capacity(page.items.len());
        for (key, kept) in &page.items {
            let header: Header = model::decode(key, &kept.value).map_err(Internal::from)?;
            let Some(name) = model::name_of_header_key(key) else { continue };
            summaries.push(StreamSummary {
                stream_arn: name.arn().to_string(),
                stream_status: header.status.wire(),
                stream_mode_details: Some(header.mode.wire()),
                stream_creation_timestamp: Some(header.created_shown()),
                stream_name: name.name,
            });
        }
        let stream_names: Vec<_> = summaries.iter().map(|summary| summary.stream_name.clone()).collect();
        let next_token = page.more.then(|| self.seal_token(TOKEN, stream_names.last()));
        Ok(ListStreamsOutput {
            has_more_streams: page.more,
            next_token,
            stream_names,
            stream_summaries: Some(summaries),
        })
    }
}
