//! The built-in services as places of destinations.

use bytes::Bytes;
use millstream_env::BoxFuture;
use millstream_types::Arn;
use millstream_wire::CommonError;

use crate::contract::DeliveryError;
use crate::deliver::{QueueSender, TopicPublisher};
use crate::sns::{Failure as TopicFailure, TopicKey, Topics};
use crate::sqs::{Failure as QueueFailure, NewMessage, QueueKey, Queues};

/// Who sends what the server itself sends.
const SENDER: &str = "lambda.amazonaws.com";

impl QueueSender for Queues {
    fn policy<'a>(&'a self, queue: &'a Arn) -> BoxFuture<'a, Option<String>> {
        Box::pin(std::future::ready(Self::policy(self, queue)))
    }

    fn send<'a>(&'a self, queue: &'a Arn, body: Bytes) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async move {
            let key = QueueKey::from_arn(queue).ok_or_else(|| refused("it is no queue"))?;
            let message = NewMessage { body: text(body)?, sender: SENDER.to_owned(), ..NewMessage::default() };
            match self.enqueue(&key, message).await {
                Ok(_) => Ok(()),
                Err(QueueFailure::QueueDoesNotExist) => Err(refused("there is no such queue")),
                Err(QueueFailure::Common(error)) => Err(of_common(&error)),
                Err(QueueFailure::RequestThrottled(text)) => Err(DeliveryError::Unavailable(text)),
                Err(failure) => Err(DeliveryError::Refused(failure.text())),
            }
        })
    }
}

impl TopicPublisher for Topics {
    fn policy<'a>(&'a self, topic: &'a Arn) -> BoxFuture<'a, Option<String>> {
        Box::pin(Self::policy(self, topic))
    }

    fn publish<'a>(&'a self, topic: &'a Arn, message: Bytes) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async move {
            let key = TopicKey::from_arn(topic).ok_or_else(|| refused("it is no topic"))?;
            match self.publish_document(&key, text(message)?).await {
                Ok(()) => Ok(()),
                Err(TopicFailure::NotFound(_)) => Err(refused("there is no such topic")),
                Err(TopicFailure::Common(error)) => Err(of_common(&error)),
                Err(failure) => Err(DeliveryError::Refused(failure.text())),
            }
        })
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
