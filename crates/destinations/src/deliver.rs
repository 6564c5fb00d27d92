//! Sends documents to where they belong, in the name of an execution role.

use millstream_catalog::StoreError;
use millstream_env::BoxFuture;
use millstream_iam::Iam;

use crate::contract::{Deliver, Delivery, DeliveryError};
use crate::destination::{DestinationKind, destination_kind};
use crate::permissions::require;
use crate::places::Places;

/// Delivers documents in the name of execution roles. A cheap handle.
#[derive(Clone, Debug)]
pub struct Destinations {
    places: Places,
    iam: Iam,
}

impl Destinations {
    pub fn new(places: Places, iam: Iam) -> Self {
        Self { places, iam }
    }

    async fn send(&self, delivery: Delivery) -> Result<(), DeliveryError> {
        let Places { sqs, sns, s3, outside } = &self.places;
        let Delivery { destination, role_arn, object_key, .. } = &delivery;
        let kind = destination_kind(destination).map_err(|error| DeliveryError::Refused(error.to_string()))?;
        let is_outside = outside.serves(&destination.service);
        // A place outside asks its own policies, and does not know our roles.
        let policy = match kind {
            DestinationKind::Queue if !is_outside => sqs.policy(destination),
            DestinationKind::Topic if !is_outside => sns.policy(destination).await.map_err(policy_unreadable)?,
            _ => None,
        };
        require(&self.iam, role_arn, &kind.needs(destination, object_key), policy.as_deref()).await?;
        match kind {
            _ if is_outside => outside.send(&delivery).await,
            DestinationKind::Queue => sqs.deliver(delivery).await,
            DestinationKind::Topic => sns.deliver(delivery).await,
            DestinationKind::Bucket => s3.deliver(delivery).await,
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to `map_err`")]
fn policy_unreadable(error: StoreError) -> DeliveryError {
    DeliveryError::Unavailable(format!("the policy of the topic cannot be read: {error}"))
}

impl Deliver for Destinations {
    fn deliver(&self, delivery: Delivery) -> BoxFuture<'_, Result<(), DeliveryError>> {
        Box::pin(self.send(delivery))
    }
}

#[cfg(test)]
mod tests;
