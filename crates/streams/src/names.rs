//! Which stream a request means.

use std::fmt;

use millstream_iam::RequestContext;
use millstream_types::{Arn, Scope};

use crate::errors::{AccessDenied, InvalidArgument, NotFound, TargetError};

/// A stream by where it is and what it is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName {
    pub scope: Scope,
    /// 1 to 128 of `[a-zA-Z0-9_.-]`.
    pub name: String,
}

impl StreamName {
    pub fn arn(&self) -> Arn {
        self.scope.arn("kinesis", format_args!("stream/{}", self.name))
    }

    /// The stream that an ARN names; `None` when it names something else. A stream has one ARN, since policies compare
    /// texts.
    pub fn from_arn(arn: &Arn) -> Option<Self> {
        let name = arn.resource.strip_prefix("stream/")?;
        let scope = Scope { account: arn.account.parse().ok()?, region: arn.region.parse().ok()? };
        (arn.partition == "aws" && arn.service == "kinesis" && is_stream_name(name))
            .then(|| Self { scope, name: name.to_owned() })
    }

    pub(crate) fn not_found(&self) -> NotFound {
        NotFound(format!("{self} not found."))
    }
}

/// As AWS's error texts name it: `Stream S under account A`.
impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream {} under account {}", self.name, self.scope.account)
    }
}

pub(crate) fn is_stream_name(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// What other accounts can be allowed to do with a stream (Kinesis developer guide, sharing with resource policies).
const SHARED_ACTIONS: [&str; 6] =
    ["DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards", "PutRecord", "PutRecords"];

/// How a request names its stream: by name, by ARN, or by both when they agree.
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamTarget<'a> {
    pub stream_name: Option<&'a str>,
    pub stream_arn: Option<&'a str>,
}

impl<'a> StreamTarget<'a> {
    pub fn new(stream_name: Option<&'a String>, stream_arn: Option<&'a String>) -> Self {
        Self { stream_name: stream_name.map(String::as_str), stream_arn: stream_arn.map(String::as_str) }
    }

    /// The ARN that authorization is asked about; `None` when the request names no stream or no possible one.
    pub fn arn(&self, scope: &Scope) -> Option<Arn> {
        match (self.stream_arn, self.stream_name) {
            (Some(arn), _) => arn.parse().ok(),
            (None, Some(name)) => Some(scope.arn("kinesis", format_args!("stream/{name}"))),
            (None, None) => None,
        }
    }

    /// The stream that a call of `action` means. A stream of another account can be meant by the few actions that a
    /// resource policy may allow; whether it does is asked before. An ARN of another region names a stream that this
    /// endpoint does not have.
    pub(crate) fn resolve(&self, context: &RequestContext, action: &str) -> Result<StreamName, TargetError> {
        let Some(text) = self.stream_arn else {
            let name = self
                .stream_name
                .ok_or_else(|| InvalidArgument("Either StreamName or StreamARN should be provided.".to_owned()))?;
            return Ok(StreamName { scope: context.scope.clone(), name: name.to_owned() });
        };
        let arn: Arn = text.parse().map_err(|_| InvalidArgument(format!("StreamARN {text} is not valid.")))?;
        let resource = arn.resource.strip_prefix("stream/").unwrap_or(&arn.resource);
        if self.stream_name.is_some_and(|name| name != resource) {
            return Err(InvalidArgument("StreamName and StreamARN do not name the same stream.".to_owned()).into());
        }
        if arn.account != context.scope.account.as_str() && !SHARED_ACTIONS.contains(&action) {
            return Err(AccessDenied(format!(
                "User: {} is not authorized to perform: kinesis:{action} on resource: {arn} because no resource-based \
                 policy allows the kinesis:{action} action",
                context.caller.arn(),
            ))
            .into());
        }
        match StreamName::from_arn(&arn) {
            Some(name) if name.scope.region == context.scope.region => Ok(name),
            _ => Err(NotFound(format!("Stream {resource} under account {} not found.", arn.account)).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_arns_round_trip() {
        let arn: Arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/a.b-c_D".parse().unwrap();
        let name = StreamName::from_arn(&arn).unwrap();
        assert_eq!(name.arn(), arn);
        assert_eq!(name.to_string(), "Stream a.b-c_D under account 123456789012");
    }

    #[test]
    fn other_arns_name_no_stream() {
        for text in [
            "arn:aws:kinesis:eu-west-1:123456789012:stream/a/consumer/b:1",
            "arn:aws:kinesis:eu-west-1:12345:stream/a",
            "arn:aws:lambda:eu-west-1:123456789012:stream/a",
            "arn:aws-cn:kinesis:eu-west-1:123456789012:stream/a",
            "arn:aws:kinesis:eu-west-1:123456789012:queue/a",
        ] {
            assert_eq!(StreamName::from_arn(&text.parse().unwrap()), None, "{text}");
        }
    }
}
