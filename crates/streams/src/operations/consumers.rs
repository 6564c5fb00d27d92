//! `RegisterStreamConsumer`, `DescribeStreamConsumer`, `ListStreamConsumers` and `DeregisterStreamConsumer`.

use millstream_env::Timestamp;
use millstream_iam::RequestContext;
use millstream_wire::kinesis::error::{
    DeregisterStreamConsumerError, DescribeStreamConsumerError, ListStreamConsumersError, RegisterStreamConsumerError,
};
use millstream_wire::kinesis::{
    Consumer, ConsumerDescription, ConsumerStatus, DeregisterStreamConsumerInput, DescribeStreamConsumerInput,
    DescribeStreamConsumerOutput, ListStreamConsumersInput, ListStreamConsumersOutput, RegisterStreamConsumerInput,
    RegisterStreamConsumerOutput,
};
use serde::{Deserialize, Serialize};

use super::create_stream::check_tags;
use super::limit;
use super::token::IntoError;
use crate::consumers::{
    CONSUMERS_COMMITTED_MAX, CONSUMERS_CREATING_MAX, CONSUMERS_MAX, ConsumerArn, ConsumerTarget, texts,
};
use crate::errors::InvalidArgument;
use crate::model::{ConsumerState, Header, Status, StoredConsumer};
use crate::names::{StreamName, StreamTarget};
use crate::service::Streams;

/// Consumers in one answer, by default and at most (Kinesis model).
const CONSUMERS_SHOWN_MAX: usize = 100;
const TOKEN: &str = "list-stream-consumers";

#[derive(Debug, Serialize, Deserialize)]
struct Token {
    arn: String,
    incarnation: u64,
    after: String,
}

impl ConsumerState {
    fn wire(self) -> ConsumerStatus {
        match self {
            Self::Creating => ConsumerStatus::Creating,
            Self::Active => ConsumerStatus::Active,
            Self::Deleting => ConsumerStatus::Deleting,
        }
    }
}

fn wire_consumer(stream: &StreamName, name: &str, consumer: &StoredConsumer) -> Consumer {
    let arn = ConsumerArn { stream: stream.clone(), name: name.to_owned(), created: consumer.created };
    Consumer {
        consumer_arn: arn.arn().to_string(),
        consumer_creation_timestamp: Timestamp::from_seconds(consumer.created),
        consumer_name: arn.name,
        consumer_status: consumer.state.wire(),
    }
}

impl Streams {
    /// Answers at once; the consumer becomes ACTIVE in the background.
    pub async fn register_stream_consumer(
        &self,
        context: &RequestContext,
        input: RegisterStreamConsumerInput,
    ) -> Result<RegisterStreamConsumerOutput, RegisterStreamConsumerError> {
        let target = StreamTarget { stream_name: None, stream_arn: Some(&input.stream_arn) };
        let name = target.resolve(context, "RegisterStreamConsumer")?;
        self.admit(context, "RegisterStreamConsumer", &name)?;
        let tags = input.tags.unwrap_or_default();
        check_tags(&name, &tags)?;
        let committed = self.commitment(&name.scope).await?.is_on();
        let limit = if committed { CONSUMERS_COMMITTED_MAX } else { CONSUMERS_MAX };
        let mut watch = self.inner.registry.subscribe(&name);
        let deadline = self.inner.parts.host_clock.sleep(self.inner.options.creating_wait);
        tokio::pin!(deadline);
        let consumer = loop {
            let change = |header: &mut Header| {
                check_room(&name, header, &input.consumer_name, limit)?;
                if header.consumers.count(ConsumerState::Creating) >= CONSUMERS_CREATING_MAX {
                    return Ok(false);
                }
                if !header.consumers.register(&input.consumer_name, tags.clone(), self.now()) {
                    return Err(RegisterStreamConsumerError::from(texts::too_many_tags(&name)));
                }
                Ok(true)
            };
            let header = self.inner.registry.change(&name, change).await?;
            if let Some(consumer) = header.consumers.get(&input.consumer_name) {
                break wire_consumer(&name, &input.consumer_name, consumer);
            }
            // Registrations take milliseconds here: a short wait spares the caller an error that AWS must give.
            tokio::select! {
                () = watch.changed() => {}
                () = &mut deadline => return Err(texts::too_many_creating(&name).into()),
            }
        };
        tracing::debug!(consumer = consumer.consumer_arn, "registering a consumer");
        self.finish_in_background(&name);
        Ok(RegisterStreamConsumerOutput { consumer })
    }

    pub async fn describe_stream_consumer(
        &self,
        context: &RequestContext,
        input: DescribeStreamConsumerInput,
    ) -> Result<DescribeStreamConsumerOutput, DescribeStreamConsumerError> {
        let DescribeStreamConsumerInput { stream_arn, consumer_name, consumer_arn, .. } = &input;
        let target = ConsumerTarget::new(stream_arn.as_ref(), consumer_name.as_ref(), consumer_arn.as_ref());
        let named = target.resolve(context, "DescribeStreamConsumer")?;
        self.admit(context, "DescribeStreamConsumer", named.stream())?;
        let stream = self.inner.registry.expect(named.stream()).await?;
        let found = named.find(&stream.header).ok_or_else(|| texts::not_found(named.stream(), named.name()))?;
        let shown = wire_consumer(named.stream(), named.name(), found);
        Ok(DescribeStreamConsumerOutput {
            consumer_description: ConsumerDescription {
                consumer_arn: shown.consumer_arn,
                consumer_creation_timestamp: shown.consumer_creation_timestamp,
                consumer_name: shown.consumer_name,
                consumer_status: shown.consumer_status,
                stream_arn: named.stream().arn().to_string(),
            },
        })
    }

    /// By name, whatever the state of the stream.
    pub async fn list_stream_consumers(
        &self,
        context: &RequestContext,
        input: ListStreamConsumersInput,
    ) -> Result<ListStreamConsumersOutput, ListStreamConsumersError> {
        let target = StreamTarget { stream_name: None, stream_arn: Some(&input.stream_arn) };
        let name = target.resolve(context, "ListStreamConsumers")?;
        self.admit(context, "ListStreamConsumers", &name)?;
        let stream = self.inner.registry.expect(&name).await?;
        let created = stream.header.created().seconds();
        let after = match (&input.next_token, input.stream_creation_timestamp) {
            (Some(_), Some(_)) => {
                let text = "NextToken and StreamCreationTimestamp cannot be provided together.";
                return Err(InvalidArgument(text.to_owned()).into());
            }
            (None, Some(given)) if given.seconds() != created => return Err(name.not_found().into()),
            (None, _) => None,
            (Some(token), None) => {
                let token: Token =
                    self.open_token(TOKEN, token).map_err(IntoError::<ListStreamConsumersError>::into_error)?;
                if token.arn != input.stream_arn || token.incarnation != stream.incarnation() {
                    return Err(InvalidArgument("NextToken is invalid.".to_owned()).into());
                }
                Some(token.after)
            }
        };
        let mut rest = stream.header.consumers.after(after.as_deref());
        let count = limit(input.max_results, CONSUMERS_SHOWN_MAX, CONSUMERS_SHOWN_MAX);
        let shown: Vec<_> = rest.by_ref().take(count).collect();
        let next_token = match (rest.next(), shown.last()) {
            (Some(_), Some((last, _))) => Some(self.seal_token(
                TOKEN,
                Token { arn: input.stream_arn, incarnation: stream.incarnation(), after: (*last).to_owned() },
            )),
            _ => None,
        };
        let consumers = shown.into_iter().map(|(consumer, stored)| wire_consumer(&name, consumer, stored)).collect();
        Ok(ListStreamConsumersOutput { consumers: Some(consumers), next_token })
    }

    /// Answers at once. Its subscriptions end, and the consumer disappears in the background. Deregistering one that is
    /// going already succeeds.
    pub async fn deregister_stream_consumer(
        &self,
        context: &RequestContext,
        input: DeregisterStreamConsumerInput,
    ) -> Result<(), DeregisterStreamConsumerError> {
        let DeregisterStreamConsumerInput { stream_arn, consumer_name, consumer_arn, .. } = &input;
        let target = ConsumerTarget::new(stream_arn.as_ref(), consumer_name.as_ref(), consumer_arn.as_ref());
        let named = target.resolve(context, "DeregisterStreamConsumer")?;
        self.admit(context, "DeregisterStreamConsumer", named.stream())?;
        let change = |header: &mut Header| {
            if named.find(header).is_none() {
                let missing = texts::not_found(named.stream(), named.name());
                return Err(DeregisterStreamConsumerError::from(missing));
            }
            Ok(header.consumers.begin_deletion(named.name()))
        };
        self.inner.registry.change(named.stream(), change).await?;
        self.finish_in_background(named.stream());
        Ok(())
    }
}

/// Whether the stream can take one more consumer of that name, but for those being created.
fn check_room(
    name: &StreamName,
    header: &Header,
    consumer: &str,
    limit: usize,
) -> Result<(), RegisterStreamConsumerError> {
    if header.status != Status::Active {
        return Err(name.not_active(header.status).into());
    }
    if header.consumers.get(consumer).is_some() {
        return Err(texts::already_exists(name, consumer).into());
    }
    if header.consumers.lasting() >= limit {
        return Err(texts::too_many(name, limit).into());
    }
    Ok(())
}
