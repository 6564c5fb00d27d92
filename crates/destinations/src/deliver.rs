//! Sends documents to where they belong, in the name of an execution role.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use millstream_env::BoxFuture;
use millstream_types::Arn;

use crate::contract::{Deliver, Delivery, DeliveryError};
use crate::destination::{DestinationKind, NoDestination, destination_kind};
use crate::external::External;
use crate::permissions::{Permissions, Unavailable};
use crate::s3::Buckets;

/// Takes messages for queues: the built-in SQS, or one outside.
pub trait QueueSender: Send + Sync + Debug {
    /// The policy of the queue, where it is known here; it is asked along with those of the role.
    fn policy<'a>(&'a self, queue: &'a Arn) -> BoxFuture<'a, Option<String>>;

    /// Sends a message; it is durable when this returns.
    fn send<'a>(&'a self, queue: &'a Arn, body: Bytes) -> BoxFuture<'a, Result<(), DeliveryError>>;
}

/// Takes messages for topics: the built-in SNS, or one outside.
pub trait TopicPublisher: Send + Sync + Debug {
    /// The policy of the topic, where it is known here; it is asked along with those of the role.
    fn policy<'a>(&'a self, topic: &'a Arn) -> BoxFuture<'a, Option<String>>;

    /// Publishes a message; it is durable when this returns.
    fn publish<'a>(&'a self, topic: &'a Arn, message: Bytes) -> BoxFuture<'a, Result<(), DeliveryError>>;
}

/// Where the destinations of each service are.
#[derive(Clone, Debug)]
pub struct Places {
    pub sqs: Arc<dyn QueueSender>,
    pub sns: Arc<dyn TopicPublisher>,
    /// `None`: there are no buckets, and documents for them are refused.
    pub s3: Option<Buckets>,
    /// Services that are outside take precedence over those here.
    pub outside: Option<External>,
}

/// Delivers documents in the name of execution roles. A cheap handle.
#[derive(Clone, Debug)]
pub struct Destinations {
    places: Places,
    permissions: Arc<dyn Permissions>,
}

impl Destinations {
    pub fn new(places: Places, permissions: Arc<dyn Permissions>) -> Self {
        Self { places, permissions }
    }

    /// What an ARN is as a destination, for whoever configures one.
    pub fn kind(&self, arn: &Arn) -> Result<DestinationKind, NoDestination> {
        destination_kind(arn)
    }

    async fn send(&self, delivery: Delivery) -> Result<(), DeliveryError> {
        if let Some(outside) = self.places.outside.as_ref().filter(|o| o.serves(&delivery.destination.service)) {
            return outside.send(&delivery).await;
        }
        let Delivery { destination, role_arn, document, object_key, .. } = delivery;
        let kind = destination_kind(&destination).map_err(|error| DeliveryError::Refused(error.to_string()))?;
        let assumed = self.permissions.lambda_can_assume(&role_arn).await.map_err(unavailable)?;
        if !assumed {
            return Err(DeliveryError::Refused(format!("the role {role_arn} cannot be assumed by Lambda")));
        }
        match kind {
            DestinationKind::Queue => {
                let policy = self.places.sqs.policy(&destination).await;
                self.check(&role_arn, "sqs:SendMessage", &destination.to_string(), policy).await?;
                self.places.sqs.send(&destination, document).await
            }
            DestinationKind::Topic => {
                let policy = self.places.sns.policy(&destination).await;
                self.check(&role_arn, "sns:Publish", &destination.to_string(), policy).await?;
                self.places.sns.publish(&destination, document).await
            }
            DestinationKind::Bucket => {
                let buckets = self.places.s3.as_ref();
                let buckets = buckets.ok_or_else(|| DeliveryError::Refused("there are no buckets here".to_owned()))?;
                buckets.put_for(&role_arn, &destination.resource, &object_key, document).await
            }
        }
    }

    async fn check(
        &self,
        role_arn: &str,
        action: &str,
        resource_arn: &str,
        policy: Option<String>,
    ) -> Result<(), DeliveryError> {
        let allowed = self.permissions.role_allows(role_arn, action, resource_arn, policy.as_deref()).await;
        if allowed.map_err(unavailable)? {
            return Ok(());
        }
        Err(DeliveryError::Refused(format!("the role {role_arn} is not allowed {action} on {resource_arn}")))
    }
}

impl Deliver for Destinations {
    fn deliver(&self, delivery: Delivery) -> BoxFuture<'_, Result<(), DeliveryError>> {
        Box::pin(self.send(delivery))
    }
}

fn unavailable(error: Unavailable) -> DeliveryError {
    DeliveryError::Unavailable(error.0)
}

#[cfg(test)]
mod tests;
