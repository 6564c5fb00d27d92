//! Queues themselves: made, found, changed, deleted; their tags.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_catalog::{Expect, StoreError};
use millstream_iam::RequestContext;
use millstream_wire::CommonError;
use millstream_wire::sqs::error::{
    CreateQueueError, DeleteQueueError, GetQueueAttributesError, GetQueueUrlError, ListQueueTagsError, ListQueuesError,
    SetQueueAttributesError, TagQueueError, UntagQueueError,
};
use millstream_wire::sqs::{
    CreateQueueRequest, CreateQueueResult, DeleteQueueRequest, GetQueueAttributesRequest, GetQueueAttributesResult,
    GetQueueUrlRequest, GetQueueUrlResult, ListQueueTagsRequest, ListQueueTagsResult, ListQueuesRequest,
    ListQueuesResult, SetQueueAttributesRequest, TagQueueRequest, UntagQueueRequest,
};

use super::super::failure::Failure;
use super::super::load::new_index;
use super::super::names::{is_fifo, is_name};
use super::super::queue::Queue;
use super::super::record::{FORMAT, QueueRecord, decode, encode};
use super::super::settings::Settings;
use super::super::{QUEUES_MAX, QueueKey, Queues, check_tags};
use super::receive::between;

/// How often a change is tried again when others change the same queue.
const ATTEMPTS_MAX: usize = 32;
/// Queues of one answer of `ListQueues`.
const LISTED_MAX: i32 = 1000;
/// All that can be asked for, apart from `All`; a queue need not have all of them.
const ATTRIBUTES: [&str; 21] = [
    "Policy",
    "VisibilityTimeout",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
    "ApproximateNumberOfMessagesDelayed",
    "DelaySeconds",
    "ReceiveMessageWaitTimeSeconds",
    "RedrivePolicy",
    "FifoQueue",
    "ContentBasedDeduplication",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
    "DeduplicationScope",
    "FifoThroughputLimit",
    "RedriveAllowPolicy",
    "SqsManagedSseEnabled",
];

#[expect(clippy::unused_async, reason = "all operations have one form")]
impl Queues {
    pub async fn create_queue(
        &self,
        context: &RequestContext,
        input: CreateQueueRequest,
    ) -> Result<CreateQueueResult, CreateQueueError> {
        let CreateQueueRequest { attributes, queue_name, tags } = input;
        if is_fifo(&queue_name) {
            let text = "FIFO queues are not supported by Millstream.";
            return Err(Failure::UnsupportedOperation(text.to_owned()).into());
        }
        if !is_name(&queue_name) {
            let text = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length";
            return Err(Failure::Parameter(text.to_owned()).into());
        }
        let (attributes, tags) = (attributes.unwrap_or_default(), tags.unwrap_or_default());
        let mut settings = Settings::default();
        settings.set(&attributes)?;
        check_tags(&tags)?;
        let key = QueueKey { scope: context.scope.clone(), name: queue_name };
        let url = key.url(&context.endpoint);
        let now = self.shared.clock.now();
        let id = self.shared.random.uuid();
        let record = QueueRecord { v: FORMAT, id, created: now, modified: now, settings, tags, purge: None };
        self.finish(create(self.clone(), key, record, attributes)).await?;
        Ok(CreateQueueResult { queue_url: Some(url) })
    }

    pub async fn delete_queue(
        &self,
        context: &RequestContext,
        input: DeleteQueueRequest,
    ) -> Result<(), DeleteQueueError> {
        let queue = self.find(&QueueKey::from_url(&input.queue_url, &context.scope.region)?)?;
        Ok(self.finish(delete(self.clone(), queue)).await?)
    }

    pub async fn get_queue_url(
        &self,
        context: &RequestContext,
        input: GetQueueUrlRequest,
    ) -> Result<GetQueueUrlResult, GetQueueUrlError> {
        let key = named(context, &input)?;
        self.find(&key)?;
        Ok(GetQueueUrlResult { queue_url: Some(key.url(&context.endpoint)) })
    }

    pub async fn list_queues(
        &self,
        context: &RequestContext,
        input: ListQueuesRequest,
    ) -> Result<ListQueuesResult, ListQueuesError> {
        let max = between("MaxResults", input.max_results, 1, LISTED_MAX)?;
        let prefix = input.queue_name_prefix.unwrap_or_default();
        let after = input.next_token.map(|token| read_token(&token)).transpose()?.unwrap_or_default();
        let mut names: Vec<String> = {
            let queues = self.read();
            let here = queues.keys().filter(|key| key.scope == context.scope);
            let wanted = here.filter(|key| key.name.starts_with(&prefix) && key.name > after);
            wanted.map(|key| key.name.clone()).collect()
        };
        names.sort_unstable();
        let limit = max.unwrap_or(LISTED_MAX.unsigned_abs()) as usize;
        let more = names.len() > limit;
        names.truncate(limit);
        // Without `MaxResults` there is no second page (`ListQueues`).
        let next_token = names.last().filter(|_| more && max.is_some()).map(|name| write_token(name));
        let url = |name: String| QueueKey { scope: context.scope.clone(), name }.url(&context.endpoint);
        let urls: Vec<String> = names.into_iter().map(url).collect();
        Ok(ListQueuesResult { next_token, queue_urls: (!urls.is_empty()).then_some(urls) })
    }

    pub async fn get_queue_attributes(
        &self,
        context: &RequestContext,
        input: GetQueueAttributesRequest,
    ) -> Result<GetQueueAttributesResult, GetQueueAttributesError> {
        let queue = self.find(&QueueKey::from_url(&input.queue_url, &context.scope.region)?)?;
        let wanted = input.attribute_names.unwrap_or_default();
        if let Some(unknown) = wanted.iter().find(|name| *name != "All" && !ATTRIBUTES.contains(&name.as_str())) {
            return Err(Failure::InvalidAttributeName(format!("Unknown Attribute {unknown}.")).into());
        }
        self.expire(&queue);
        let mut attributes = attributes(&queue, self.shared.clock.now());
        if !wanted.iter().any(|name| name == "All") {
            attributes.retain(|name, _| wanted.contains(name));
        }
        Ok(GetQueueAttributesResult { attributes: (!attributes.is_empty()).then_some(attributes) })
    }

    pub async fn set_queue_attributes(
        &self,
        context: &RequestContext,
        input: SetQueueAttributesRequest,
    ) -> Result<(), SetQueueAttributesError> {
        let key = QueueKey::from_url(&input.queue_url, &context.scope.region)?;
        let (queues, now) = (self.clone(), self.shared.clock.now());
        let work = async move {
            let set = |record: &mut QueueRecord| {
                record.modified = now;
                record.settings.set(&input.attributes)
            };
            queues.change(&key, set).await
        };
        // Those that wait look again: what is retained may have changed.
        self.finish(work).await?.wake();
        Ok(())
    }

    pub async fn list_queue_tags(
        &self,
        context: &RequestContext,
        input: ListQueueTagsRequest,
    ) -> Result<ListQueueTagsResult, ListQueueTagsError> {
        let queue = self.find(&QueueKey::from_url(&input.queue_url, &context.scope.region)?)?;
        let tags = queue.record().tags.clone();
        Ok(ListQueueTagsResult { tags: (!tags.is_empty()).then_some(tags) })
    }

    pub async fn tag_queue(&self, context: &RequestContext, input: TagQueueRequest) -> Result<(), TagQueueError> {
        let key = QueueKey::from_url(&input.queue_url, &context.scope.region)?;
        let queues = self.clone();
        let work = async move {
            let tag = |record: &mut QueueRecord| {
                record.tags.extend(input.tags.clone());
                check_tags(&record.tags)
            };
            queues.change(&key, tag).await
        };
        self.finish(work).await?;
        Ok(())
    }

    pub async fn untag_queue(&self, context: &RequestContext, input: UntagQueueRequest) -> Result<(), UntagQueueError> {
        let key = QueueKey::from_url(&input.queue_url, &context.scope.region)?;
        let queues = self.clone();
        let work = async move {
            let untag = |record: &mut QueueRecord| {
                record.tags.retain(|key, _| !input.tag_keys.contains(key));
                Ok(())
            };
            queues.change(&key, untag).await
        };
        self.finish(work).await?;
        Ok(())
    }

    /// Changes a queue's record in the catalog and in memory. `change` may run several times and refuses with an error.
    pub(super) async fn change(
        &self,
        key: &QueueKey,
        change: impl Fn(&mut QueueRecord) -> Result<(), Failure> + Send,
    ) -> Result<Arc<Queue>, Failure> {
        let queue = self.find(key)?;
        let (text, catalog) = (key.text(), &self.shared.messages.catalog);
        for _ in 0..ATTEMPTS_MAX {
            let found = catalog.get(&text).await?.ok_or(Failure::QueueDoesNotExist)?;
            let mut record = read(&text, &found.value)?;
            if record.id != queue.id {
                return Err(Failure::QueueDoesNotExist);
            }
            change(&mut record)?;
            match catalog.put(&text, Expect::Revision(found.revision), encode(&record)).await {
                Ok(revision) => {
                    queue.publish(revision, record);
                    return Ok(queue);
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }
}

async fn create(
    queues: Queues,
    key: QueueKey,
    record: QueueRecord,
    given: BTreeMap<String, String>,
) -> Result<(), Failure> {
    let text = key.text();
    let catalog = &queues.shared.messages.catalog;
    for _ in 0..ATTEMPTS_MAX {
        if let Ok(queue) = queues.find(&key) {
            return same(&queue.record().settings, &given);
        }
        if queues.read().len() >= QUEUES_MAX {
            return Err(Failure::UnsupportedOperation(format!("There can be up to {QUEUES_MAX} queues.")));
        }
        match catalog.put(&text, Expect::Absent, encode(&record)).await {
            Ok(revision) => {
                let index = new_index(&queues.shared.stored, queues.shared.clock.now());
                let queue = Queue::new(key.clone(), revision, record, index);
                queues.write().insert(key, Arc::new(queue));
                return Ok(());
            }
            // Another call is making it, or deleting it, at this moment.
            Err(StoreError::Conflict) => tokio::task::yield_now().await,
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Conflict.into())
}

async fn delete(queues: Queues, queue: Arc<Queue>) -> Result<(), Failure> {
    let text = queue.key.text();
    let catalog = &queues.shared.messages.catalog;
    for _ in 0..ATTEMPTS_MAX {
        let found = catalog.get(&text).await?;
        let Some(found) = found.filter(|found| read(&text, &found.value).is_ok_and(|record| record.id == queue.id))
        else {
            return Err(Failure::QueueDoesNotExist);
        };
        match catalog.delete(&text, found.revision).await {
            Ok(()) => {
                queues.forget(&queue);
                queue.mark_deleted();
                let last = queue.index().last();
                let messages = queue.index().purge(last);
                queues.delete_later(&queue.id, messages);
                return Ok(());
            }
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Conflict.into())
}

/// Whether a queue is as the caller wants it to be.
fn same(settings: &Settings, given: &BTreeMap<String, String>) -> Result<(), Failure> {
    match settings.difference(given) {
        None => Ok(()),
        Some(name) => Err(Failure::QueueNameExists(format!(
            "A queue already exists with the same name and a different value for attribute {name}"
        ))),
    }
}

fn named(context: &RequestContext, input: &GetQueueUrlRequest) -> Result<QueueKey, Failure> {
    let mut scope = context.scope.clone();
    if let Some(owner) = &input.queue_owner_aws_account_id {
        scope.account = owner.parse().map_err(|_| Failure::QueueDoesNotExist)?;
    }
    Ok(QueueKey { scope, name: input.queue_name.clone() })
}

fn attributes(queue: &Queue, now: millstream_env::Timestamp) -> BTreeMap<String, String> {
    let record = queue.record();
    let counts = queue.index().counts(now);
    let mut attributes = record.settings.attributes();
    let more = [
        ("QueueArn", queue.key.arn().to_string()),
        ("CreatedTimestamp", record.created.seconds().to_string()),
        ("LastModifiedTimestamp", record.modified.seconds().to_string()),
        ("ApproximateNumberOfMessages", counts.visible.to_string()),
        ("ApproximateNumberOfMessagesNotVisible", counts.in_flight.to_string()),
        ("ApproximateNumberOfMessagesDelayed", counts.delayed.to_string()),
    ];
    attributes.extend(more.map(|(name, value)| (name.to_owned(), value)));
    attributes
}

fn read(key: &str, value: &[u8]) -> Result<QueueRecord, Failure> {
    decode(key, value).map_err(|error| CommonError::InternalFailure(error.to_string()).into())
}

fn write_token(name: &str) -> String {
    base64_simd::STANDARD.encode_to_string(name)
}

fn read_token(token: &str) -> Result<String, Failure> {
    let name = base64_simd::STANDARD.decode_to_vec(token).ok().and_then(|name| String::from_utf8(name).ok());
    name.ok_or_else(|| Failure::Parameter("Invalid or expired next token.".to_owned()))
}
