//! Which consumer a request means.

use std::sync::Arc;

use millstream_catalog::StoreError;
use millstream_iam::RequestContext;
use millstream_types::Arn;

use super::{ConsumerArn, texts};
use crate::errors::{AccessDenied, InvalidArgument, LimitExceeded, LookupError, NotFound, TargetError};
use crate::model::{ConsumerState, Header, StoredConsumer};
use crate::names::{StreamName, StreamTarget};
use crate::service::Streams;
use crate::stream::Stream;

/// How a request names its consumer: by its ARN, by the stream's ARN and its name, or by all three when they agree.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConsumerTarget<'a> {
    pub stream_arn: Option<&'a str>,
    pub consumer_name: Option<&'a str>,
    pub consumer_arn: Option<&'a str>,
}

/// What other accounts can be allowed to do with a consumer (Kinesis developer guide, sharing with resource policies).
const SHARED_ACTIONS: [&str; 2] = ["DescribeStreamConsumer", "SubscribeToShard"];

/// A consumer as a request names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    Exactly(ConsumerArn),
    /// Whichever has the name now.
    ByName(StreamName, String),
}

impl<'a> ConsumerTarget<'a> {
    pub fn new(
        stream_arn: Option<&'a String>,
        consumer_name: Option<&'a String>,
        consumer_arn: Option<&'a String>,
    ) -> Self {
        Self {
            stream_arn: stream_arn.map(String::as_str),
            consumer_name: consumer_name.map(String::as_str),
            consumer_arn: consumer_arn.map(String::as_str),
        }
    }

    /// What a call of `action` means. As with streams, another account's consumer can be meant by what a resource policy
    /// may allow only, and another region's is not here.
    pub(crate) fn resolve(&self, context: &RequestContext, action: &str) -> Result<Named, TargetError> {
        let Some(text) = self.consumer_arn else {
            let (Some(stream), Some(name)) = (self.stream_arn, self.consumer_name) else {
                return Err(InvalidArgument(texts::UNNAMED.to_owned()).into());
            };
            let stream = StreamTarget { stream_name: None, stream_arn: Some(stream) }.resolve(context, action)?;
            return Ok(Named::ByName(stream, name.to_owned()));
        };
        let arn: Option<Arn> = text.parse().ok();
        let consumer = arn.as_ref().and_then(ConsumerArn::from_arn);
        let consumer = consumer.ok_or_else(|| InvalidArgument(texts::invalid_arn(text)))?;
        let other_stream = self.stream_arn.is_some_and(|given| given != consumer.stream.arn().to_string());
        if other_stream || self.consumer_name.is_some_and(|given| given != consumer.name) {
            return Err(InvalidArgument(texts::CONTRADICTION.to_owned()).into());
        }
        if consumer.stream.scope.account != context.scope.account && !SHARED_ACTIONS.contains(&action) {
            return Err(AccessDenied(format!(
                "User: {} is not authorized to perform: kinesis:{action} on resource: {text} because no resource-based \
                 policy allows the kinesis:{action} action",
                context.caller.arn(),
            ))
            .into());
        }
        if consumer.stream.scope.region != context.scope.region {
            return Err(texts::not_found(&consumer.stream, &consumer.name).into());
        }
        Ok(Named::Exactly(consumer))
    }
}

impl Named {
    pub(crate) fn stream(&self) -> &StreamName {
        match self {
            Self::Exactly(ConsumerArn { stream, .. }) | Self::ByName(stream, _) => stream,
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Exactly(ConsumerArn { name, .. }) | Self::ByName(_, name) => name,
        }
    }

    /// The consumer among those of its stream, if it is there.
    pub(crate) fn find<'h>(&self, header: &'h Header) -> Option<&'h StoredConsumer> {
        let found = header.consumers.get(self.name())?;
        let fits = match self {
            Self::Exactly(arn) => arn.created == found.created,
            Self::ByName(..) => true,
        };
        fits.then_some(found)
    }
}

/// What an ARN names that has tags and a policy of its own.
pub(crate) enum Resource {
    Stream(StreamName),
    Consumer(Named),
}

impl Resource {
    pub(crate) fn resolve(context: &RequestContext, arn: &String, action: &str) -> Result<Self, TargetError> {
        if arn.contains("/consumer/") {
            return Ok(Self::Consumer(ConsumerTarget::new(None, None, Some(arn)).resolve(context, action)?));
        }
        Ok(Self::Stream(StreamTarget::new(None, Some(arn)).resolve(context, action)?))
    }

    /// The stream itself, or the consumer's.
    pub(crate) fn stream(&self) -> &StreamName {
        match self {
            Self::Stream(name) => name,
            Self::Consumer(named) => named.stream(),
        }
    }
}

impl Streams {
    /// Changes the tags or the policy of a consumer, unless `check` refuses it as it is now.
    pub(crate) async fn change_consumer<E>(
        &self,
        named: &Named,
        check: impl Fn(&ConsumerArn, &StoredConsumer) -> Result<(), E>,
        change: impl Fn(&mut StoredConsumer),
    ) -> Result<(), E>
    where
        E: From<LookupError> + From<NotFound> + From<LimitExceeded>,
    {
        let (stream, name) = (named.stream(), named.name());
        self.inner
            .registry
            .change(stream, |header| {
                let before = header.consumers.clone();
                let found = named.find(header).ok_or_else(|| texts::not_found(stream, name))?;
                let arn = ConsumerArn { stream: stream.clone(), name: name.to_owned(), created: found.created };
                check(&arn, found)?;
                if !header.consumers.change(name, &change) {
                    return Err(E::from(texts::too_many_tags(stream)));
                }
                Ok(header.consumers != before)
            })
            .await?;
        Ok(())
    }

    /// The stream and the ARN of a consumer that exists, in any state.
    pub(crate) async fn expect_consumer(&self, named: &Named) -> Result<(Arc<Stream>, ConsumerArn), LookupError> {
        let stream = self.inner.registry.expect(named.stream()).await?;
        let found = named.find(&stream.header).ok_or_else(|| texts::not_found(named.stream(), named.name()))?;
        let arn = ConsumerArn { stream: named.stream().clone(), name: named.name().to_owned(), created: found.created };
        Ok((stream, arn))
    }

    /// Whether exactly this consumer is registered, in any state but being removed.
    pub async fn has_consumer(&self, arn: &Arn) -> Result<bool, StoreError> {
        let Some(consumer) = ConsumerArn::from_arn(arn) else { return Ok(false) };
        let Some(stream) = self.lookup(&consumer.stream.arn()).await? else { return Ok(false) };
        let found = Named::Exactly(consumer).find(&stream.header).map(|found| found.state);
        Ok(found.is_some_and(|state| state != ConsumerState::Deleting))
    }

    /// The ARN that authorization is asked about; `None` when the request names no consumer or no possible one. A name
    /// that no consumer has stands for every consumer of that name.
    pub async fn consumer_resource(&self, context: &RequestContext, target: ConsumerTarget<'_>) -> Option<String> {
        if let Some(arn) = target.consumer_arn {
            return Some(arn.to_owned());
        }
        let (stream, name) = (target.stream_arn?, target.consumer_name?);
        let unknown = || Some(format!("{stream}/consumer/{name}:*"));
        let Ok(named) = target.resolve(context, "DescribeStreamConsumer") else { return unknown() };
        match self.expect_consumer(&named).await {
            Ok((_, consumer)) => Some(consumer.arn().to_string()),
            Err(_) => unknown(),
        }
    }
}
