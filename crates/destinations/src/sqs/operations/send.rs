//! `SendMessage`, `SendMessageBatch`, and the same from inside.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use millstream_iam::{Caller, Principal, RequestContext};
use millstream_wire::sqs::error::{SendMessageBatchError, SendMessageError};
use millstream_wire::sqs::{
    MessageAttributeValue, MessageSystemAttributeValue, SendMessageBatchRequest, SendMessageBatchRequestEntry,
    SendMessageBatchResult, SendMessageBatchResultEntry, SendMessageRequest, SendMessageResult,
};

use super::super::failure::Failure;
use super::super::index::Arrival;
use super::super::queue::Queue;
use super::super::record::{Contents, FORMAT, MessageRecord};
use super::super::{QueueKey, Queues};
use super::batch;
use crate::attributes::{ATTRIBUTES_MAX, Attribute, AttributeValue, Attributes, md5_of, md5_of_attributes};

/// Of a batch together (`SendMessageBatch`).
const BATCH_BYTES_MAX: usize = 1_048_576;
const DELAY_SECONDS_MAX: u32 = 900;
const TRACE_HEADER: &str = "AWSTraceHeader";

/// A message to be sent, checked but for what depends on the queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewMessage {
    pub(crate) body: String,
    pub(crate) attributes: Attributes,
    pub(crate) trace_header: Option<Attribute>,
    pub(crate) group: Option<String>,
    /// `None`: as the queue says.
    pub(crate) delay_seconds: Option<u32>,
    /// As `SenderId` will say.
    pub(crate) sender: String,
}

/// What the sender is told.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) message_id: String,
    md5_of_body: String,
    md5_of_attributes: Option<String>,
    md5_of_system_attributes: Option<String>,
}

impl Queues {
    pub async fn send_message(
        &self,
        context: &RequestContext,
        input: SendMessageRequest,
    ) -> Result<SendMessageResult, SendMessageError> {
        let queue = self.find(&QueueKey::from_url(&input.queue_url, &context.scope.region)?)?;
        let entry = SendMessageBatchRequestEntry {
            delay_seconds: input.delay_seconds,
            id: String::new(),
            message_attributes: input.message_attributes,
            message_body: input.message_body,
            message_deduplication_id: input.message_deduplication_id,
            message_group_id: input.message_group_id,
            message_system_attributes: input.message_system_attributes,
        };
        let sent = self.send_to(&queue, checked(&context.caller, entry)?).await?;
        Ok(SendMessageResult {
            md5_of_message_attributes: sent.md5_of_attributes,
            md5_of_message_body: Some(sent.md5_of_body),
            md5_of_message_system_attributes: sent.md5_of_system_attributes,
            message_id: Some(sent.message_id),
            sequence_number: None,
        })
    }

    pub async fn send_message_batch(
        &self,
        context: &RequestContext,
        input: SendMessageBatchRequest,
    ) -> Result<SendMessageBatchResult, SendMessageBatchError> {
        let queue = self.find(&QueueKey::from_url(&input.queue_url, &context.scope.region)?)?;
        batch::check("SendMessageBatchRequestEntry", input.entries.iter().map(|entry| &entry.id))?;
        let bytes: usize = input.entries.iter().map(entry_bytes).sum();
        if bytes > BATCH_BYTES_MAX {
            let text =
                format!("Batch requests cannot be longer than {BATCH_BYTES_MAX} bytes. You have sent {bytes} bytes.");
            return Err(Failure::BatchRequestTooLong(text).into());
        }
        let sends = input.entries.into_iter().map(|entry| {
            let (id, queue) = (entry.id.clone(), &queue);
            async move {
                match checked(&context.caller, entry) {
                    Ok(message) => (id, self.send_to(queue, message).await),
                    Err(failure) => (id, Err(failure)),
                }
            }
        });
        let mut result = SendMessageBatchResult::default();
        for (id, sent) in join_all(sends).await {
            match sent {
                Ok(sent) => result.successful.push(SendMessageBatchResultEntry {
                    id,
                    md5_of_message_attributes: sent.md5_of_attributes,
                    md5_of_message_body: sent.md5_of_body,
                    md5_of_message_system_attributes: sent.md5_of_system_attributes,
                    message_id: sent.message_id,
                    sequence_number: None,
                }),
                Err(failure) => result.failed.push(failure.entry(id)),
            }
        }
        Ok(result)
    }

    /// Sends a message to a queue; it is durable when this returns.
    pub(crate) async fn enqueue(&self, key: &QueueKey, message: NewMessage) -> Result<Sent, Failure> {
        check_body(&message.body)?;
        let queue = self.find(key)?;
        self.send_to(&queue, message).await
    }

    async fn send_to(&self, queue: &Arc<Queue>, message: NewMessage) -> Result<Sent, Failure> {
        let bytes = message.body.len() + attribute_bytes(&message.attributes);
        let settings = &queue.record().settings;
        if bytes > settings.message_bytes_max as usize {
            let limit = settings.message_bytes_max;
            return Err(Failure::Parameter(format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes."
            )));
        }
        let sent = Sent {
            message_id: self.shared.random.uuid(),
            md5_of_body: md5_of(message.body.as_bytes()),
            md5_of_attributes: md5_of_attributes(&message.attributes),
            md5_of_system_attributes: message
                .trace_header
                .as_ref()
                .and_then(|header| md5_of_attributes([(&TRACE_HEADER.to_owned(), header)])),
        };
        let delay = message.delay_seconds.unwrap_or(settings.delay_seconds);
        let work = store(
            self.clone(),
            Arc::clone(queue),
            message,
            sent.message_id.clone(),
            bytes as u64,
            Duration::from_secs(delay.into()),
        );
        self.finish(work).await?;
        Ok(sent)
    }
}

async fn store(
    queues: Queues,
    queue: Arc<Queue>,
    message: NewMessage,
    id: String,
    bytes: u64,
    delay: Duration,
) -> Result<(), Failure> {
    queues.expire(&queue);
    let reserved = queue.index().reserve(bytes);
    let sequence = reserved.map_err(|_| Failure::RequestThrottled("The queue holds too many messages.".to_owned()))?;
    let now = queues.shared.clock.now();
    let visible_at = now.plus(delay);
    let stored = async {
        let contents = Contents { id: id.clone(), body: message.body, attributes: message.attributes };
        let record = MessageRecord {
            v: FORMAT,
            sender: message.sender,
            sent: now,
            bytes,
            receives: 0,
            first_received: None,
            visible_at,
            group: message.group,
            trace_header: message.trace_header.map(|header| text_of(&header)),
            contents: queues.shared.messages.place(contents).await?,
            id,
        };
        queues.shared.messages.create(&queue.id, sequence, &record).await
    };
    let stored = stored.await;
    let mut index = queue.index();
    if let Err(failure) = stored {
        index.cancel(bytes);
        return Err(failure);
    }
    // Purged or deleted while it was on its way: the next start would not know it either.
    if queue.is_deleted() || queue.record().purge.is_some_and(|purge| sequence.0 <= purge.last) {
        index.cancel(bytes);
        drop(index);
        queues.delete_later(&queue.id, vec![sequence]);
        return if queue.is_deleted() { Err(Failure::QueueDoesNotExist) } else { Ok(()) };
    }
    index.insert(queues.shared.clock.now(), sequence, Arrival { sent: now, bytes, receives: 0, visible_at });
    drop(index);
    // All have to know of a moment that none of them waits for.
    if delay.is_zero() {
        queue.wake_one();
    } else {
        queue.wake();
    }
    Ok(())
}

/// Checks what a client gave.
fn checked(caller: &Caller, entry: SendMessageBatchRequestEntry) -> Result<NewMessage, Failure> {
    check_body(&entry.message_body)?;
    if let Some(id) = entry.message_deduplication_id {
        return Err(Failure::Parameter(format!(
            "Value {id} for parameter MessageDeduplicationId is invalid. Reason: The request includes a parameter that is \
             not valid for this queue type."
        )));
    }
    Ok(NewMessage {
        body: entry.message_body,
        attributes: attributes(entry.message_attributes.unwrap_or_default())?,
        trace_header: trace_header(entry.message_system_attributes.unwrap_or_default())?,
        group: entry.message_group_id.map(group).transpose()?,
        delay_seconds: entry.delay_seconds.map(delay).transpose()?,
        sender: sender_id(caller),
    })
}

fn check_body(body: &str) -> Result<(), Failure> {
    if body.is_empty() {
        return Err(Failure::Parameter("The request must contain the parameter MessageBody.".to_owned()));
    }
    let allowed = |letter: char| !matches!(letter, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    match body.chars().find(|letter| !allowed(*letter)) {
        None => Ok(()),
        Some(letter) => Err(Failure::InvalidMessageContents(format!(
            "Invalid binary character '#x{:X}' was found in the message body, the set of allowed characters is #x9 | #xA | \
             #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF",
            u32::from(letter)
        ))),
    }
}

fn attributes(given: BTreeMap<String, MessageAttributeValue>) -> Result<Attributes, Failure> {
    if given.len() > ATTRIBUTES_MAX {
        return Err(Failure::Parameter(format!(
            "Number of message attributes [{}] exceeds the allowed maximum [{ATTRIBUTES_MAX}].",
            given.len()
        )));
    }
    let checked = |(name, value): (String, MessageAttributeValue)| {
        let MessageAttributeValue { data_type, string_value, binary_value, .. } = value;
        let attribute = Attribute::new(&name, data_type, string_value, binary_value).map_err(Failure::Parameter)?;
        Ok((name, attribute))
    };
    given.into_iter().map(checked).collect()
}

fn trace_header(given: BTreeMap<String, MessageSystemAttributeValue>) -> Result<Option<Attribute>, Failure> {
    let mut header = None;
    for (name, value) in given {
        let MessageSystemAttributeValue { data_type, string_value, .. } = value;
        if name != TRACE_HEADER || data_type != "String" {
            return Err(Failure::Parameter(format!("Message system attribute '{name}' is invalid.")));
        }
        let attribute = Attribute::new("TraceHeader", data_type, string_value, None).map_err(Failure::Parameter)?;
        header = Some(attribute);
    }
    Ok(header)
}

/// Up to 128 letters, digits and punctuation (`SendMessage`).
fn group(text: String) -> Result<String, Failure> {
    let valid = (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if valid {
        Ok(text)
    } else {
        Err(Failure::Parameter(format!("Value {text} for parameter MessageGroupId is invalid.")))
    }
}

fn delay(seconds: i32) -> Result<u32, Failure> {
    u32::try_from(seconds).ok().filter(|seconds| *seconds <= DELAY_SECONDS_MAX).ok_or_else(|| {
        Failure::Parameter(format!(
            "Value {seconds} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= \
             {DELAY_SECONDS_MAX}."
        ))
    })
}

fn sender_id(caller: &Caller) -> String {
    match &caller.principal {
        Principal::Root => caller.account.to_string(),
        Principal::User { id, .. } => id.clone(),
        Principal::RoleSession { role_id, session_name, .. } => format!("{role_id}:{session_name}"),
    }
}

/// What an entry adds to the size of its batch, before it is checked.
fn entry_bytes(entry: &SendMessageBatchRequestEntry) -> usize {
    let bytes = |(name, value): (&String, &MessageAttributeValue)| {
        let text = value.string_value.as_ref().map_or(0, String::len);
        name.len() + value.data_type.len() + text + value.binary_value.as_ref().map_or(0, bytes::Bytes::len)
    };
    entry.message_body.len() + entry.message_attributes.iter().flatten().map(bytes).sum::<usize>()
}

fn attribute_bytes(attributes: &Attributes) -> usize {
    attributes.iter().map(|(name, attribute)| attribute.bytes(name)).sum()
}

fn text_of(attribute: &Attribute) -> String {
    match &attribute.value {
        AttributeValue::Text(text) => text.clone(),
        AttributeValue::Binary(_) => String::new(),
    }
}
