//! The built-in services as destinations. Whether the execution role may send was asked before.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_types::Arn;
use millstream_wire::CommonError;

use crate::contract::{Delivery, DeliveryError};
use crate::s3::{Buckets, Metadata, Put};
use crate::sns::{Failure as TopicFailure, TopicKey, Topics};
use crate::sqs::{Failure as QueueFailure, NewMessage, QueueKey, Queues};

/// Who sends what the server itself sends.
const SENDER: &str = "lambda.amazonaws.com";

impl Queues {
    /// Sends a message; it is durable when this returns.
    pub(crate) async fn deliver(&self, delivery: Delivery) -> Result<(), DeliveryError> {
        let key = QueueKey::from_arn(&delivery.destination).ok_or_else(|| refused("it is no queue"))?;
        let body = text(delivery.document)?;
        match self.enqueue(&key, NewMessage { body, sender: SENDER.to_owned(), ..NewMessage::default() }).await {
            Ok(_) => Ok(()),
            Err(QueueFailure::QueueDoesNotExist) => Err(refused("there is no such queue")),
            Err(QueueFailure::Common(error)) => Err(of_common(&error)),
            Err(QueueFailure::RequestThrottled(text)) => Err(DeliveryError::Unavailable(text)),
            Err(failure) => Err(DeliveryError::Refused(failure.text())),
        }
    }
}

impl Topics {
    /// Publishes a message; it is durable when this returns.
    pub(crate) async fn deliver(&self, delivery: Delivery) -> Result<(), DeliveryError> {
        let key = TopicKey::from_arn(&delivery.destination).ok_or_else(|| refused("it is no topic"))?;
        match self.publish_document(&key, text(delivery.document)?).await {
            Ok(()) => Ok(()),
            Err(TopicFailure::NotFound(_)) => Err(refused("there is no such topic")),
            Err(TopicFailure::Common(error)) => Err(of_common(&error)),
            Err(failure) => Err(DeliveryError::Refused(failure.text())),
        }
    }
}

impl Buckets {
    /// Puts an object; it is durable when this returns. The bucket must be that of the role's account.
    pub(crate) async fn deliver(&self, delivery: Delivery) -> Result<(), DeliveryError> {
        let no_role = || DeliveryError::Refused(format!("{} is no role", delivery.role_arn));
        let role: Arn = delivery.role_arn.parse().map_err(|_| no_role())?;
        let account = role.account.parse().map_err(|_| no_role())?;
        let (name, key) = (delivery.destination.resource.parse()?, delivery.object_key.parse()?);
        let system = [("content-type".to_owned(), "application/json".to_owned())].into();
        let metadata = Metadata { system, user: BTreeMap::new() };
        self.put_object(&account, &name, &key, Put { content: delivery.document, metadata, ..Put::default() }).await?;
        Ok(())
    }
}

impl From<crate::s3::Error> for DeliveryError {
    fn from(error: crate::s3::Error) -> Self {
        use crate::s3::Error;
        let text = match &error {
            Error::Unavailable(reason) | Error::OutcomeUnknown(reason) | Error::Internal(reason) => reason.clone(),
            Error::NoSuchBucket(name) => format!("the bucket {name} does not exist"),
            _ => error.to_string(),
        };
        if error.may_pass() { Self::Unavailable(text) } else { Self::Refused(text) }
    }
}

fn text(document: Bytes) -> Result<String, DeliveryError> {
    String::from_utf8(document.into()).map_err(|_| refused("the document is not UTF-8 text"))
}

/// What the service itself has trouble with passes.
fn of_common(error: &CommonError) -> DeliveryError {
    DeliveryError::Unavailable(error.to_string())
}

fn refused(reason: &str) -> DeliveryError {
    DeliveryError::Refused(reason.to_owned())
}
