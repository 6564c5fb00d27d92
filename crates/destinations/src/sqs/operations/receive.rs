//! `ReceiveMessage`, with waiting.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use millstream_iam::RequestContext;
use millstream_wire::sqs::error::ReceiveMessageError;
use millstream_wire::sqs::{Message, MessageAttributeValue, ReceiveMessageRequest, ReceiveMessageResult};

use super::super::failure::Failure;
use super::super::index::Claim;
use super::super::queue::Queue;
use super::super::record::{Contents, MessageRecord};
use super::super::{QueueKey, Queues, Shared, WAITING_MAX};
use super::{handle, release};
use crate::attributes::{Attribute, AttributeValue, Attributes, md5_of, md5_of_attributes};

const MESSAGES_MAX: i32 = 10;
const WAIT_SECONDS_MAX: i32 = 20;
/// All that can be asked for, apart from `All`; those of FIFO and dead-letter queues are never there.
const SYSTEM_ATTRIBUTES: [&str; 9] = [
    "SenderId",
    "SentTimestamp",
    "ApproximateReceiveCount",
    "ApproximateFirstReceiveTimestamp",
    "SequenceNumber",
    "MessageDeduplicationId",
    "MessageGroupId",
    "AWSTraceHeader",
    "DeadLetterQueueSourceArn",
];

/// What to take, and what to tell of it.
struct Wanted {
    max: usize,
    hidden: Duration,
    system_attributes: Vec<String>,
    attributes: Vec<String>,
}

impl Queues {
    pub async fn receive_message(
        &self,
        context: &RequestContext,
        input: ReceiveMessageRequest,
    ) -> Result<ReceiveMessageResult, ReceiveMessageError> {
        let queue = self.find(&QueueKey::from_url(&input.queue_url, &context.scope.region)?)?;
        let settings = &queue.record().settings;
        if input.receive_request_attempt_id.is_some() {
            return Err(Failure::Parameter(
                "Value for parameter ReceiveRequestAttemptId is invalid. Reason: The request includes a parameter that is \
                 not valid for this queue type."
                    .to_owned(),
            )
            .into());
        }
        let seconds = between("WaitTimeSeconds", input.wait_time_seconds, 0, WAIT_SECONDS_MAX)?;
        let wait = Duration::from_secs(seconds.unwrap_or(settings.receive_wait_seconds).into());
        let wanted = wanted(input, settings.visibility_timeout_seconds)?;
        let messages = self.receive_or_wait(&queue, Arc::new(wanted), wait).await?;
        Ok(ReceiveMessageResult { messages: (!messages.is_empty()).then_some(messages) })
    }

    async fn receive_or_wait(
        &self,
        queue: &Arc<Queue>,
        wanted: Arc<Wanted>,
        wait: Duration,
    ) -> Result<Vec<Message>, Failure> {
        let shared = &self.shared;
        let deadline = shared.host_clock.monotonic() + wait;
        let mut waiting = None;
        loop {
            // Enabled before looking, so that no message is missed that comes between.
            let mut changed = std::pin::pin!(queue.changed());
            changed.as_mut().enable();
            if queue.is_deleted() {
                return Err(Failure::QueueDoesNotExist);
            }
            let messages = self.finish(receive(self.clone(), Arc::clone(queue), Arc::clone(&wanted))).await?;
            let left = deadline.saturating_sub(shared.host_clock.monotonic());
            if !messages.is_empty() || left.is_zero() || shared.requests.is_cancelled() {
                return Ok(messages);
            }
            if waiting.is_none() {
                waiting = Some(Waiting::new(shared)?);
            }
            let due = queue.index().next_due();
            let due = async {
                match due {
                    Some(due) => shared.clock.sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changed => {}
                () = due => {}
                () = shared.host_clock.sleep(left) => {}
                () = shared.requests.cancelled() => {}
            }
        }
    }
}

/// A receive that waits, counted while it does.
struct Waiting<'a>(&'a Shared);

impl<'a> Waiting<'a> {
    fn new(shared: &'a Shared) -> Result<Self, Failure> {
        if shared.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            shared.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Failure::RequestThrottled("Too many receives are waiting for messages.".to_owned()));
        }
        Ok(Self(shared))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Takes what is visible now. Everything told is durable: the counts and until when the messages are hidden.
async fn receive(queues: Queues, queue: Arc<Queue>, wanted: Arc<Wanted>) -> Result<Vec<Message>, Failure> {
    queues.expire(&queue);
    let until = queues.shared.clock.now().plus(wanted.hidden);
    let (claimed, leaves_some) = {
        let mut index = queue.index();
        (index.claim(queues.shared.clock.now(), wanted.max, until), index.has_visible())
    };
    if leaves_some && claimed.is_ok() {
        queue.wake_one();
    }
    let claims = claimed.map_err(|_| Failure::OverLimit("Too many messages in flight.".to_owned()))?;
    let reads = claims.into_iter().map(|claim| take(&queues, &queue, claim, until));
    let mut messages = Vec::new();
    let mut failure = None;
    for taken in join_all(reads).await {
        match taken {
            Ok(Some((claim, record, contents))) => messages.push(message(&queue, &wanted, claim, &record, contents)),
            Ok(None) => {}
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(failure) if messages.is_empty() => Err(failure),
        _ => Ok(messages),
    }
}

async fn take(
    queues: &Queues,
    queue: &Queue,
    claim: Claim,
    until: millstream_env::Timestamp,
) -> Result<Option<(Claim, MessageRecord, Contents)>, Failure> {
    let now = queues.shared.clock.now();
    let messages = &queues.shared.messages;
    let taken = async {
        let changed = messages.change(&queue.id, claim.sequence, |record| {
            record.receives = claim.receive;
            record.first_received.get_or_insert(now);
            record.visible_at = until;
        });
        let Some(record) = changed.await? else { return Ok(None) };
        Ok(messages.contents(&record).await?.map(|contents| (claim, record, contents)))
    };
    let taken = taken.await;
    // What cannot be read stays in flight until then: at the front of the queue it would hold up all others.
    if let Ok(None) = &taken {
        // Deleted meanwhile: by a purge, or by a deletion whose answer got lost.
        queue.index().remove(claim.sequence);
    }
    taken
}

fn message(queue: &Queue, wanted: &Wanted, claim: Claim, record: &MessageRecord, contents: Contents) -> Message {
    let Contents { body, attributes, .. } = contents;
    let attributes: Attributes =
        attributes.into_iter().filter(|(name, _)| is_wanted(&wanted.attributes, name)).collect();
    let system_attributes = system_attributes(wanted, record);
    Message {
        md5_of_body: Some(md5_of(body.as_bytes())),
        md5_of_message_attributes: md5_of_attributes(&attributes),
        message_attributes: (!attributes.is_empty())
            .then(|| attributes.into_iter().map(|(name, attribute)| (name, on_wire(attribute))).collect()),
        attributes: (!system_attributes.is_empty()).then_some(system_attributes),
        body: Some(body),
        message_id: Some(record.id.clone()),
        receipt_handle: Some(handle::write(&queue.id, claim)),
    }
}

fn on_wire(attribute: Attribute) -> MessageAttributeValue {
    let Attribute { data_type, value } = attribute;
    let (string_value, binary_value) = match value {
        AttributeValue::Text(text) => (Some(text), None),
        AttributeValue::Binary(data) => (None, Some(data)),
    };
    MessageAttributeValue { data_type, string_value, binary_value, ..MessageAttributeValue::default() }
}

/// By its name, by `All`, or by the beginning of its name: `prefix.*`, where `.*` is every name.
fn is_wanted(wanted: &[String], name: &str) -> bool {
    wanted.iter().any(|wanted| {
        wanted == "All" || wanted == name || wanted.strip_suffix(".*").is_some_and(|prefix| name.starts_with(prefix))
    })
}

fn system_attributes(wanted: &Wanted, record: &MessageRecord) -> BTreeMap<String, String> {
    let first_received = record.first_received.unwrap_or(record.sent);
    let all = [
        ("SenderId", Some(record.sender.clone())),
        ("SentTimestamp", Some(record.sent.millis().to_string())),
        ("ApproximateReceiveCount", Some(record.receives.to_string())),
        ("ApproximateFirstReceiveTimestamp", Some(first_received.millis().to_string())),
        ("MessageGroupId", record.group.clone()),
        ("AWSTraceHeader", record.trace_header.clone()),
    ];
    let asked = |name: &str| wanted.system_attributes.iter().any(|wanted| wanted == "All" || wanted == name);
    all.into_iter()
        .filter(|(name, _)| asked(name))
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

fn wanted(input: ReceiveMessageRequest, visibility_timeout_seconds: u32) -> Result<Wanted, Failure> {
    let max = between("MaxNumberOfMessages", input.max_number_of_messages, 1, MESSAGES_MAX)?.unwrap_or(1);
    let hidden = between("VisibilityTimeout", input.visibility_timeout, 0, release::VISIBILITY_SECONDS_MAX)?;
    let mut system_attributes = input.attribute_names.unwrap_or_default();
    system_attributes.append(&mut input.message_system_attribute_names.unwrap_or_default());
    let known = |name: &String| name == "All" || SYSTEM_ATTRIBUTES.contains(&name.as_str());
    if let Some(unknown) = system_attributes.iter().find(|name| !known(name)) {
        return Err(Failure::Parameter(format!("Unknown Attribute {unknown}.")));
    }
    Ok(Wanted {
        max: max as usize,
        hidden: Duration::from_secs(hidden.unwrap_or(visibility_timeout_seconds).into()),
        system_attributes,
        attributes: input.message_attribute_names.unwrap_or_default(),
    })
}

/// A number within its bounds.
pub(super) fn between(name: &str, value: Option<i32>, min: i32, max: i32) -> Result<Option<u32>, Failure> {
    let Some(value) = value else { return Ok(None) };
    match u32::try_from(value) {
        Ok(number) if (min..=max).contains(&value) => Ok(Some(number)),
        _ => Err(Failure::Parameter(format!(
            "Value {value} for parameter {name} is invalid. Reason: Must be between {min} and {max}, if provided."
        ))),
    }
}
