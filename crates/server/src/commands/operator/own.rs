//! Calls of Millstream's own service, and of Lambda's list of mappings.

use std::time::Duration;

use anyhow::Context as _;
use http::Method;
use millstream_client::Client;
use millstream_env::{HostClock, Timestamp};
use serde_json::{Value, json};

use crate::commands::streams::connection::Connection;
use crate::config::Moment;

/// Pages that a list follows: more than the lists' bounds give.
const PAGES_MAX: usize = 10_000;

/// The service, spoken to as one caller.
#[derive(Clone, Debug)]
pub(super) struct Own {
    client: Client,
    pub(super) clock: HostClock,
}

impl Own {
    pub(super) fn new(connection: &Connection) -> anyhow::Result<Self> {
        let clock = HostClock::real();
        Ok(Self { client: connection.client(&clock)?, clock })
    }

    /// For calls that take as long as a function may run.
    pub(super) fn patient(&self, timeout: Duration) -> Self {
        Self { client: self.client.with_timeout(timeout), clock: self.clock.clone() }
    }

    pub(super) async fn call(&self, operation: &str, input: &Value) -> anyhow::Result<Value> {
        Ok(self.client.json("millstream", &format!("Millstream.{operation}"), input).await?)
    }

    /// The first `limit` items `member` of all pages.
    pub(super) async fn list(
        &self,
        operation: &str,
        mut input: Value,
        member: &str,
        limit: usize,
    ) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        for _ in 0..PAGES_MAX {
            input["MaxResults"] = (limit - items.len()).clamp(1, 1000).into();
            let mut page = self.call(operation, &input).await?;
            if let Value::Array(more) = page[member].take() {
                items.extend(more);
            }
            match page["NextToken"].take() {
                Value::String(token) if items.len() < limit => input["NextToken"] = token.into(),
                _ => break,
            }
        }
        items.truncate(limit);
        Ok(items)
    }

    /// A mapping with all of its shards.
    pub(super) async fn mapping(&self, uuid: &str) -> anyhow::Result<Value> {
        let mut input = json!({ "UUID": uuid, "MaxResults": 1000 });
        let mut mapping = self.call("DescribeMapping", &input).await?;
        while let Value::String(token) = mapping["NextToken"].take() {
            input["NextToken"] = token.into();
            let mut page = self.call("DescribeMapping", &input).await?;
            mapping["NextToken"] = page["NextToken"].take();
            let more = page["Shards"].take();
            let shards = mapping["Shards"].as_array_mut().context("an answer without shards")?;
            shards.extend(more.as_array().into_iter().flatten().cloned());
        }
        if let Some(members) = mapping.as_object_mut() {
            members.remove("NextToken");
        }
        Ok(mapping)
    }

    /// All event source mappings as Lambda lists them.
    pub(super) async fn listed(&self) -> anyhow::Result<Vec<Value>> {
        let mut mappings = Vec::new();
        let mut path = "/2015-03-31/event-source-mappings".to_owned();
        for _ in 0..PAGES_MAX {
            let answer = self.client.rest("lambda", &Method::GET, &path, bytes::Bytes::new()).await?;
            let mut page: Value = serde_json::from_slice(&answer)?;
            if let Value::Array(more) = page["EventSourceMappings"].take() {
                mappings.extend(more);
            }
            match page["NextMarker"].as_str().filter(|marker| !marker.is_empty()) {
                Some(marker) => path = format!("/2015-03-31/event-source-mappings?Marker={marker}"),
                None => break,
            }
        }
        Ok(mappings)
    }
}

/// Text of a member; empty when there is none.
pub(super) fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

pub(super) fn number(value: &Value, member: &str) -> u64 {
    value[member].as_u64().unwrap_or_default()
}

/// A moment of an answer, in milliseconds since the epoch.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a moment after 1970 in milliseconds")]
pub(super) fn millis(value: &Value, member: &str) -> Option<u64> {
    value[member].as_f64().map(|seconds| (seconds * 1000.0).round() as u64)
}

/// A moment for people, to the second.
pub(super) fn moment(millis: u64) -> String {
    Moment(Timestamp::from_millis(millis / 1000 * 1000)).to_string()
}
