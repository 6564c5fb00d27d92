//! `Publish` and `PublishBatch`.

use std::collections::{BTreeMap, HashSet};

use futures_util::future::join_all;
use millstream_iam::{RequestContext, resource_policy_admits_service};
use millstream_types::Arn;
use millstream_wire::CommonError;
use millstream_wire::sns::error::{PublishBatchError, PublishError};
use millstream_wire::sns::{
    MessageAttributeValue, PublishBatchInput, PublishBatchRequestEntry, PublishBatchResponse, PublishBatchResultEntry,
    PublishInput, PublishResponse,
};

use super::super::envelope::{Published, notification};
use super::super::record::{SubscriptionRecord, TopicRecord};
use super::super::{Failure, TopicKey, Topics};
use crate::attributes::{ATTRIBUTES_MAX, Attribute, Attributes};
use crate::sqs::{Failure as QueueFailure, NewMessage, QueueKey};

/// Of a message, and of a batch together, with their attributes (`Publish`, `PublishBatch`).
const MESSAGE_BYTES_MAX: usize = 262_144;
const SUBJECT_LENGTH_MAX: usize = 100;
const ENTRIES_MAX: usize = 10;
/// Queues that one message is sent to at once.
const SENDS_MAX: usize = 64;
const SERVICE: &str = "sns.amazonaws.com";

impl Topics {
    pub async fn publish(
        &self,
        context: &RequestContext,
        input: PublishInput,
    ) -> Result<PublishResponse, PublishError> {
        if input.phone_number.is_some() {
            return Err(invalid("PhoneNumber Reason: text messages are not supported by Millstream").into());
        }
        let arn = match (input.topic_arn, input.target_arn) {
            (Some(_), Some(_)) => return Err(invalid("TopicArn or TargetArn Reason: both were given").into()),
            (Some(arn), None) | (None, Some(arn)) => arn,
            (None, None) => {
                return Err(invalid("TopicArn or TargetArn Reason: no value found for required parameter").into());
            }
        };
        let entry = PublishBatchRequestEntry {
            id: String::new(),
            message: input.message,
            message_attributes: input.message_attributes,
            message_deduplication_id: input.message_deduplication_id,
            message_group_id: input.message_group_id,
            message_structure: input.message_structure,
            subject: input.subject,
        };
        let key = TopicKey::parse(&arn)?;
        let record = self.shared.records.get(&key).await?.ok_or_else(Failure::no_topic)?;
        let message = checked(entry)?;
        let id = self.publish_to(&key, &record, message, &context.endpoint).await?;
        Ok(PublishResponse { message_id: Some(id), sequence_number: None })
    }

    pub async fn publish_batch(
        &self,
        context: &RequestContext,
        input: PublishBatchInput,
    ) -> Result<PublishBatchResponse, PublishBatchError> {
        let key = TopicKey::parse(&input.topic_arn)?;
        check_batch(&input.publish_batch_request_entries)?;
        let record = self.shared.records.get(&key).await?.ok_or_else(Failure::no_topic)?;
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for entry in input.publish_batch_request_entries {
            let entry_id = entry.id.clone();
            let published = match checked(entry) {
                Ok(message) => self.publish_to(&key, &record, message, &context.endpoint).await,
                Err(failure) => Err(failure),
            };
            match published {
                Ok(id) => successful.push(PublishBatchResultEntry {
                    id: Some(entry_id),
                    message_id: Some(id),
                    sequence_number: None,
                }),
                Err(failure) => failed.push(failure.entry(entry_id)),
            }
        }
        Ok(PublishBatchResponse { failed: Some(failed), successful: Some(successful) })
    }

    /// Publishes a message of this server's own; it is durable in every queue that takes it when this returns.
    pub(crate) async fn publish_document(&self, key: &TopicKey, message: String) -> Result<(), Failure> {
        let record = self.shared.records.get(key).await?.ok_or_else(Failure::no_topic)?;
        let message = checked(PublishBatchRequestEntry { message, ..PublishBatchRequestEntry::default() })?;
        self.publish_to(key, &record, message, &self.shared.endpoint).await.map(drop)
    }

    /// Sends a message to every subscriber. Trouble that passes fails the call, so that it is made again.
    async fn publish_to(
        &self,
        key: &TopicKey,
        record: &TopicRecord,
        message: Checked,
        endpoint: &str,
    ) -> Result<String, Failure> {
        let published = Published {
            id: self.shared.random.uuid(),
            topic_arn: key.arn().to_string(),
            subject: message.subject,
            message: message.message,
            attributes: message.attributes,
            moment: self.shared.clock.now(),
        };
        let group = message.group;
        let mut trouble = None;
        for some in record.subscriptions.chunks(SENDS_MAX) {
            let sends: Vec<_> =
                some.iter().map(|one| self.send(key, one, &published, group.clone(), endpoint)).collect();
            trouble = join_all(sends).await.into_iter().find_map(Result::err).or(trouble);
        }
        match trouble {
            Some(error) => Err(Failure::Common(error)),
            None => Ok(published.id.clone()),
        }
    }

    async fn send(
        &self,
        key: &TopicKey,
        subscription: &SubscriptionRecord,
        published: &Published,
        group: Option<String>,
        endpoint: &str,
    ) -> Result<(), CommonError> {
        let lost = |reason: &str| {
            let (topic, queue) = (&published.topic_arn, &subscription.endpoint);
            tracing::warn!(%topic, %queue, reason, "a queue did not take what was published, and it is lost there");
        };
        let arn = subscription.endpoint.parse::<Arn>().ok();
        let Some((arn, queue)) = arn.and_then(|arn| Some((arn.clone(), QueueKey::from_arn(&arn)?))) else {
            lost("it is no queue");
            return Ok(());
        };
        let admitted = self.shared.queues.policy(&arn).is_some_and(|policy| {
            resource_policy_admits_service(&policy, SERVICE, "sqs:SendMessage", &subscription.endpoint, &key.arn())
        });
        if !admitted {
            lost("there is no such queue, or its policy does not let sns.amazonaws.com send to it");
            return Ok(());
        }
        let (body, attributes) = if subscription.raw {
            (published.message.clone(), published.attributes.clone())
        } else {
            (notification(published, &key.subscription_arn(&subscription.id), endpoint), Attributes::new())
        };
        if attributes.len() > ATTRIBUTES_MAX {
            lost("a message of a queue cannot have so many attributes");
            return Ok(());
        }
        let message = NewMessage { body, attributes, group, sender: SERVICE.to_owned(), ..NewMessage::default() };
        match self.shared.queues.enqueue(&queue, message).await {
            Ok(_) => Ok(()),
            Err(QueueFailure::Common(error)) => Err(error),
            Err(QueueFailure::RequestThrottled(text)) => Err(CommonError::Throttling(text)),
            Err(failure) => {
                lost(&failure.text());
                Ok(())
            }
        }
    }
}

/// A message that may be published.
struct Checked {
    message: String,
    subject: Option<String>,
    attributes: Attributes,
    group: Option<String>,
}

fn checked(entry: PublishBatchRequestEntry) -> Result<Checked, Failure> {
    if entry.message.is_empty() {
        return Err(invalid("Empty message"));
    }
    if entry_bytes(&entry) > MESSAGE_BYTES_MAX {
        return Err(invalid("Message too long"));
    }
    if entry.message_deduplication_id.is_some() {
        return Err(invalid(
            "MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for this topic type",
        ));
    }
    if entry.subject.as_deref().is_some_and(|subject| !is_subject(subject)) {
        return Err(invalid("Subject"));
    }
    let message = match entry.message_structure.as_deref() {
        None | Some("") => entry.message,
        Some("json") => for_queues(&entry.message)?,
        Some(_) => return Err(invalid("MessageStructure")),
    };
    let attributes = attributes(entry.message_attributes.unwrap_or_default())?;
    Ok(Checked { message, subject: entry.subject, attributes, group: entry.message_group_id })
}

fn attributes(given: BTreeMap<String, MessageAttributeValue>) -> Result<Attributes, Failure> {
    let checked = |(name, value): (String, MessageAttributeValue)| {
        let MessageAttributeValue { data_type, string_value, binary_value } = value;
        let attribute = Attribute::new(&name, data_type, string_value, binary_value);
        Ok((name, attribute.map_err(Failure::InvalidParameterValue)?))
    };
    given.into_iter().map(checked).collect()
}

/// Of the messages by protocol, the one for queues.
fn for_queues(text: &str) -> Result<String, Failure> {
    let parsed: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|_| invalid("Message Structure - JSON message body failed to parse"))?;
    let of = |protocol: &str| parsed.get(protocol).and_then(serde_json::Value::as_str);
    let default = of("default").ok_or_else(|| invalid("Message Structure - No default entry in JSON message body"))?;
    Ok(of("sqs").unwrap_or(default).to_owned())
}

/// Printable ASCII that does not begin with a space (`Publish`).
fn is_subject(text: &str) -> bool {
    (1..=SUBJECT_LENGTH_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && !text.starts_with(' ')
}

fn entry_bytes(entry: &PublishBatchRequestEntry) -> usize {
    let bytes = |(name, value): (&String, &MessageAttributeValue)| {
        let text = value.string_value.as_ref().map_or(0, String::len);
        name.len() + value.data_type.len() + text + value.binary_value.as_ref().map_or(0, bytes::Bytes::len)
    };
    entry.message.len() + entry.message_attributes.iter().flatten().map(bytes).sum::<usize>()
}

fn check_batch(entries: &[PublishBatchRequestEntry]) -> Result<(), Failure> {
    if entries.is_empty() {
        return Err(Failure::EmptyBatchRequest("The batch request doesn't contain any entries.".to_owned()));
    }
    if entries.len() > ENTRIES_MAX {
        let text = "The batch request contains more entries than permissible.";
        return Err(Failure::TooManyEntriesInBatchRequest(text.to_owned()));
    }
    let mut seen = HashSet::new();
    for PublishBatchRequestEntry { id, .. } in entries {
        let valid = (1..=80).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if !valid {
            let text = "The Id of a batch entry in a batch request doesn't abide by the specification.";
            return Err(Failure::InvalidBatchEntryId(text.to_owned()));
        }
        if !seen.insert(id) {
            let text = "Two or more batch entries in the request have the same Id.";
            return Err(Failure::BatchEntryIdsNotDistinct(text.to_owned()));
        }
    }
    if entries.iter().map(entry_bytes).sum::<usize>() > MESSAGE_BYTES_MAX {
        let text = "The length of all the batch messages put together is more than the limit.";
        return Err(Failure::BatchRequestTooLong(text.to_owned()));
    }
    Ok(())
}

fn invalid(what: &str) -> Failure {
    Failure::InvalidParameter(format!("Invalid parameter: {what}"))
}
