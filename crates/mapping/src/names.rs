//! The names in a mapping's request: the stream's ARN and the function's many spellings.

use millstream_streams::StreamName;
use millstream_types::{Arn, Scope};
use serde::{Deserialize, Serialize};

/// What an event source ARN names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EventSource {
    Stream(StreamName),
    Consumer(Consumer),
    Other,
}

/// A registered consumer of a stream (enhanced fan-out).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Consumer {
    pub(crate) arn: Arn,
    pub(crate) stream: StreamName,
}

impl EventSource {
    pub(crate) fn parse(arn: &str) -> Self {
        let Ok(arn) = arn.parse::<Arn>() else { return Self::Other };
        let Some((stream, consumer)) = arn.resource.split_once("/consumer/") else {
            return StreamName::from_arn(&arn).map_or(Self::Other, Self::Stream);
        };
        let is_consumer = consumer.split_once(':').is_some_and(|(name, created)| {
            !name.is_empty() && !created.is_empty() && created.bytes().all(|byte| byte.is_ascii_digit())
        });
        let stream = StreamName::from_arn(&Arn { resource: stream.to_owned(), ..arn.clone() });
        match stream {
            Some(stream) if is_consumer => Self::Consumer(Consumer { arn, stream }),
            _ => Self::Other,
        }
    }

    /// The stream itself, or that of the consumer.
    pub(crate) fn stream(&self) -> Option<&StreamName> {
        match self {
            Self::Stream(stream) | Self::Consumer(Consumer { stream, .. }) => Some(stream),
            Self::Other => None,
        }
    }
}

/// A function in the caller's account and region, perhaps one version or alias of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FunctionReference {
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) qualifier: Option<String>,
}

impl FunctionReference {
    /// From any spelling: `name`, `account:function:name` or the ARN, each with `:qualifier` or without. `None` for
    /// what is none of them, lies in another account or region, or has a name of more than 64 characters.
    pub(crate) fn parse(scope: &Scope, text: &str) -> Option<Self> {
        let own = format!("{}:function:", scope.account);
        let rest = text
            .strip_prefix(&format!("arn:aws:lambda:{}:{own}", scope.region))
            .or_else(|| text.strip_prefix(&own))
            .or_else(|| text.strip_prefix("function:"))
            .unwrap_or(text);
        let (name, qualifier) = match rest.split_once(':') {
            Some((name, qualifier)) => (name, Some(qualifier)),
            None => (rest, None),
        };
        let word = |text: &str, more: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c) || more.contains(c))
        };
        let valid = word(name, "") && name.len() <= 64 && qualifier.is_none_or(|text| word(text, "$"));
        valid.then(|| Self { name: name.to_owned(), qualifier: qualifier.map(str::to_owned) })
    }

    /// The ARN with the qualifier exactly as it was given.
    pub(crate) fn arn(&self, scope: &Scope) -> String {
        let Self { name, qualifier } = self;
        match qualifier {
            Some(qualifier) => scope.arn("lambda", format_args!("function:{name}:{qualifier}")).to_string(),
            None => scope.arn("lambda", format_args!("function:{name}")).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope { account: "123456789012".parse().unwrap(), region: "us-west-2".parse().unwrap() }
    }

    #[test]
    fn event_sources_are_told_apart() {
        let stream = EventSource::parse("arn:aws:kinesis:us-west-2:123456789012:stream/lambda-stream");
        assert_eq!(stream, EventSource::Stream(StreamName { scope: scope(), name: "lambda-stream".to_owned() }));
        let consumer = EventSource::parse("arn:aws:kinesis:us-west-2:123456789012:stream/s/consumer/c:1545084650");
        assert!(matches!(&consumer, EventSource::Consumer(_)), "{consumer:?}");
        assert_eq!(consumer.stream().unwrap().name, "s");
        for text in [
            "",
            "x",
            "arn:aws:sqs:us-west-2:123456789012:q",
            "arn:aws:kinesis:us-west-2:123456789012:stream/",
            "arn:aws:kinesis:us-west-2:123456789012:stream/s/consumer/c",
        ] {
            assert_eq!(EventSource::parse(text), EventSource::Other, "{text}");
        }
    }

    #[test]
    fn the_arn_keeps_the_qualifier_that_was_given() {
        let arn = "arn:aws:lambda:us-west-2:123456789012:function:F";
        for (text, expected) in [
            ("F", String::new()),
            ("F:1", ":1".to_owned()),
            ("F:$LATEST", ":$LATEST".to_owned()),
            ("123456789012:function:F", String::new()),
            ("123456789012:function:F:live", ":live".to_owned()),
            (arn, String::new()),
            (&format!("{arn}:$LATEST"), ":$LATEST".to_owned()),
        ] {
            let reference = FunctionReference::parse(&scope(), text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(reference.arn(&scope()), format!("{arn}{expected}"), "{text}");
        }
    }

    #[test]
    fn other_places_and_bad_names_are_no_reference() {
        let long = "n".repeat(65);
        for text in [
            "",
            "F:",
            "F:1:2",
            "a b",
            "111111111111:function:F",
            "arn:aws:lambda:eu-west-1:123456789012:function:F",
            &long,
        ] {
            assert_eq!(FunctionReference::parse(&scope(), text), None, "{text}");
        }
    }
}
