//! What topics keep in the catalog: one value per topic, its subscriptions inside.
//!
//! | key | value |
//! |---|---|
//! | `topic/<account>/<region>/<name>` | [`TopicRecord`] |

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_iam::check_resource_policy;
use millstream_types::Scope;
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::names::TopicKey;

/// The format of the values in this version.
pub(crate) const FORMAT: u32 = 1;
/// Longest policy (SNS quotas: 30 KiB).
const POLICY_BYTES_MAX: usize = 30 * 1024;
/// Longest display name (`SetTopicAttributes`).
const DISPLAY_NAME_LENGTH_MAX: usize = 100;

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TopicRecord {
    pub(crate) v: u32,
    pub(crate) settings: TopicSettings,
    #[serde(default)]
    pub(crate) tags: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) subscriptions: Vec<SubscriptionRecord>,
    /// Subscriptions that were taken away.
    #[serde(default)]
    pub(crate) deleted: u64,
}

/// What of a topic can be set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct TopicSettings {
    pub(crate) display_name: String,
    pub(crate) policy: Option<String>,
}

/// A queue that gets what is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SubscriptionRecord {
    /// A UUID, the end of its ARN.
    pub(crate) id: String,
    /// The ARN of the queue.
    pub(crate) endpoint: String,
    /// The account that subscribed.
    pub(crate) owner: String,
    /// The ARN of the caller that subscribed.
    pub(crate) principal: String,
    /// The message alone, without its envelope.
    pub(crate) raw: bool,
}

impl TopicSettings {
    /// Sets an attribute. An empty text takes a document away.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        match name {
            "DisplayName" if value.chars().count() <= DISPLAY_NAME_LENGTH_MAX => {
                value.clone_into(&mut self.display_name);
            }
            "DisplayName" => return Err(invalid("DisplayName")),
            "Policy" => self.policy = policy(value)?,
            "DeliveryPolicy" | "KmsMasterKeyId" if value.is_empty() => {}
            "FifoTopic" if value == "false" => {}
            "TracingConfig" if value == "PassThrough" => {}
            "FifoTopic" | "ContentBasedDeduplication" | "ArchivePolicy" | "FifoThroughputScope" => {
                return Err(unsupported(name, "FIFO topics are not supported"));
            }
            "DeliveryPolicy" => return Err(unsupported(name, "only queues can subscribe")),
            "KmsMasterKeyId" => return Err(unsupported(name, "messages are not encrypted at rest")),
            "SignatureVersion" => return Err(unsupported(name, "notifications are not signed")),
            "TracingConfig" => return Err(unsupported(name, "tracing is not supported")),
            _ if name.ends_with("FeedbackRoleArn") || name.ends_with("FeedbackSampleRate") => {
                return Err(unsupported(name, "delivery status is not logged"));
            }
            _ => return Err(Failure::InvalidParameter("Invalid parameter: AttributeName".to_owned())),
        }
        Ok(())
    }
}

impl SubscriptionRecord {
    /// Sets an attribute.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        match (name, value) {
            ("RawMessageDelivery", "true" | "false") => self.raw = value == "true",
            ("RawMessageDelivery", _) => return Err(invalid(name)),
            ("FilterPolicy", "" | "{}")
            | ("RedrivePolicy" | "DeliveryPolicy", "")
            | ("FilterPolicyScope", "MessageAttributes") => {}
            ("FilterPolicy" | "FilterPolicyScope", _) => {
                return Err(unsupported(name, "filter policies are not supported"));
            }
            ("RedrivePolicy", _) => return Err(unsupported(name, "dead-letter queues are not supported")),
            ("DeliveryPolicy" | "SubscriptionRoleArn" | "ReplayPolicy", _) => {
                return Err(unsupported(name, "only standard queues can subscribe"));
            }
            _ => return Err(Failure::InvalidParameter("Invalid parameter: AttributeName".to_owned())),
        }
        Ok(())
    }
}

fn policy(text: &str) -> Result<Option<String>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() > POLICY_BYTES_MAX || check_resource_policy(text).is_err() {
        return Err(Failure::InvalidParameter("Invalid parameter: Policy Error: null".to_owned()));
    }
    Ok(Some(text.to_owned()))
}

fn invalid(name: &str) -> Failure {
    Failure::InvalidParameter(format!("Invalid parameter: {name}"))
}

fn unsupported(name: &str, why: &str) -> Failure {
    Failure::InvalidParameter(format!("Invalid parameter: {name} Reason: {why} by Millstream"))
}

impl TopicKey {
    /// The key in the catalog.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", topics_of(&self.scope), self.name)
    }
}

/// The topics of one account in one region lie under it.
pub(crate) fn topics_of(scope: &Scope) -> String {
    format!("topic/{}/{}/", scope.account, scope.region)
}

pub(crate) fn encode(record: &TopicRecord) -> Bytes {
    serde_json::to_vec(record).expect("a record has text keys and nothing that JSON lacks").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As version 1 writes it: this must load for ever.
    const TOPIC: &str = r#"{"v":1,"settings":{"display_name":"d","policy":null},"tags":{"a":"b"},"subscriptions":[{"id":"4e2a","endpoint":"arn:aws:sqs:us-west-2:123456789012:q","owner":"123456789012","principal":"arn:aws:iam::123456789012:root","raw":true}],"deleted":3}"#;

    #[test]
    fn the_first_format_loads() {
        let topic: TopicRecord = serde_json::from_str(TOPIC).unwrap();
        assert!(topic.subscriptions[0].raw);
        assert_eq!(encode(&topic), TOPIC);
    }

    #[test]
    fn nothing_is_accepted_and_ignored() {
        let mut settings = TopicSettings::default();
        for (name, value) in [
            ("KmsMasterKeyId", "alias/aws/sns"),
            ("DeliveryPolicy", "{}"),
            ("FifoTopic", "true"),
            ("SignatureVersion", "2"),
            ("TracingConfig", "Active"),
            ("SQSSuccessFeedbackRoleArn", "arn:aws:iam::123456789012:role/r"),
            ("Policy", "{"),
            ("Nonsense", "x"),
        ] {
            assert!(matches!(settings.set(name, value), Err(Failure::InvalidParameter(_))), "{name}");
        }
        assert_eq!(settings, TopicSettings::default());
        let mut subscription = serde_json::from_str::<TopicRecord>(TOPIC).unwrap().subscriptions.remove(0);
        for (name, value) in
            [("FilterPolicy", r#"{"a":["b"]}"#), ("RedrivePolicy", "{}"), ("RawMessageDelivery", "yes"), ("X", "")]
        {
            assert!(matches!(subscription.set(name, value), Err(Failure::InvalidParameter(_))), "{name}");
        }
    }
}
