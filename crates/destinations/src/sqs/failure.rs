//! Why an operation on queues fails, before it becomes the error enumeration of that operation.

use millstream_blobs::BlobError;
use millstream_catalog::StoreError;
use millstream_wire::CommonError;
use millstream_wire::sqs::BatchResultErrorEntry;
use millstream_wire::sqs::error::{
    ChangeMessageVisibilityBatchError, ChangeMessageVisibilityError, CreateQueueError, DeleteMessageBatchError,
    DeleteMessageError, DeleteQueueError, GetQueueAttributesError, GetQueueUrlError, ListQueueTagsError,
    ListQueuesError, PurgeQueueError, ReceiveMessageError, SendMessageBatchError, SendMessageError,
    SetQueueAttributesError, TagQueueError, UntagQueueError,
};

use crate::finish::Unfinished;

/// A refusal in AWS's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    QueueDoesNotExist,
    QueueNameExists(String),
    InvalidAddress(String),
    InvalidAttributeName(String),
    InvalidAttributeValue(String),
    InvalidMessageContents(String),
    UnsupportedOperation(String),
    ReceiptHandleIsInvalid(String),
    OverLimit(String),
    PurgeQueueInProgress(String),
    EmptyBatchRequest(String),
    TooManyEntriesInBatchRequest(String),
    BatchEntryIdsNotDistinct(String),
    InvalidBatchEntryId(String),
    BatchRequestTooLong(String),
    RequestThrottled(String),
    /// `InvalidParameterValue`, which the model does not list.
    Parameter(String),
    Common(CommonError),
}

const NO_QUEUE: &str = "The specified queue does not exist.";

impl Failure {
    /// What is told of it, for a log or another service.
    pub(crate) fn text(self) -> String {
        unlisted(self).to_string()
    }

    /// What a batch says about the one of its entries that failed. Trouble of the service fails the entry too: the others
    /// may have succeeded.
    pub(crate) fn entry(&self, id: String) -> BatchResultErrorEntry {
        let (code, message, sender_fault) = match self {
            Self::ReceiptHandleIsInvalid(text) => ("ReceiptHandleIsInvalid", text.as_str(), true),
            Self::InvalidMessageContents(text) => ("InvalidMessageContents", text.as_str(), true),
            Self::UnsupportedOperation(text) => ("AWS.SimpleQueueService.UnsupportedOperation", text.as_str(), true),
            Self::QueueDoesNotExist => ("AWS.SimpleQueueService.NonExistentQueue", NO_QUEUE, true),
            Self::RequestThrottled(text) => ("RequestThrottled", text.as_str(), true),
            Self::Parameter(text) => ("InvalidParameterValue", text.as_str(), true),
            _ => ("InternalError", "An internal error occurred; please try again.", false),
        };
        BatchResultErrorEntry { code: code.to_owned(), id, message: Some(message.to_owned()), sender_fault }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Common(match error {
            StoreError::TooLarge => CommonError::InternalFailure(error.to_string()),
            // A conflict that outlived its retries: others change the same value without pause.
            StoreError::Conflict => CommonError::Throttling("Rate exceeded".to_owned()),
            StoreError::Full | StoreError::Unavailable(_) => CommonError::Unavailable(error.to_string()),
        })
    }
}

impl From<BlobError> for Failure {
    fn from(error: BlobError) -> Self {
        Self::Common(match error {
            BlobError::TooLarge { .. } | BlobError::Damaged(_) => CommonError::InternalFailure(error.to_string()),
            BlobError::Full | BlobError::Unavailable(_) => CommonError::Unavailable(error.to_string()),
        })
    }
}

impl From<Unfinished> for Failure {
    fn from(error: Unfinished) -> Self {
        Self::Common(CommonError::InternalFailure(error.to_string()))
    }
}

impl From<CommonError> for Failure {
    fn from(error: CommonError) -> Self {
        Self::Common(error)
    }
}

/// Turns failures into the error of an operation. What its model does not list is answered as a wrong parameter: an
/// operation that can meet such a failure lists it here.
macro_rules! operations {
    ($($error:ident: [$($variant:ident),*];)*) => {
        $(impl From<Failure> for $error {
            fn from(failure: Failure) -> Self {
                match failure {
                    $(Failure::$variant(message) => Self::$variant(message),)*
                    Failure::Common(error) => Self::Common(error),
                    other => unlisted(other).into(),
                }
            }
        })*
    };
}

/// As [`operations!`], for operations on a queue that must exist.
macro_rules! on_queue {
    ($($error:ident: [$($variant:ident),*];)*) => {
        $(impl From<Failure> for $error {
            fn from(failure: Failure) -> Self {
                match failure {
                    Failure::QueueDoesNotExist => Self::QueueDoesNotExist(NO_QUEUE.to_owned()),
                    Failure::InvalidAddress(message) => Self::InvalidAddress(message),
                    Failure::UnsupportedOperation(message) => Self::UnsupportedOperation(message),
                    Failure::RequestThrottled(message) => Self::RequestThrottled(message),
                    $(Failure::$variant(message) => Self::$variant(message),)*
                    Failure::Common(error) => Self::Common(error),
                    other => unlisted(other).into(),
                }
            }
        })*
    };
}

operations! {
    CreateQueueError: [QueueNameExists, InvalidAttributeName, InvalidAttributeValue, UnsupportedOperation];
    ListQueuesError: [];
}

on_queue! {
    ChangeMessageVisibilityBatchError: [
        EmptyBatchRequest, TooManyEntriesInBatchRequest, BatchEntryIdsNotDistinct, InvalidBatchEntryId
    ];
    ChangeMessageVisibilityError: [ReceiptHandleIsInvalid];
    DeleteMessageBatchError: [
        EmptyBatchRequest, TooManyEntriesInBatchRequest, BatchEntryIdsNotDistinct, InvalidBatchEntryId
    ];
    DeleteMessageError: [ReceiptHandleIsInvalid];
    DeleteQueueError: [];
    GetQueueAttributesError: [InvalidAttributeName];
    GetQueueUrlError: [];
    ListQueueTagsError: [];
    PurgeQueueError: [PurgeQueueInProgress];
    ReceiveMessageError: [OverLimit];
    SendMessageBatchError: [
        EmptyBatchRequest, TooManyEntriesInBatchRequest, BatchEntryIdsNotDistinct, InvalidBatchEntryId,
        BatchRequestTooLong
    ];
    SendMessageError: [InvalidMessageContents];
    SetQueueAttributesError: [InvalidAttributeName, InvalidAttributeValue];
    TagQueueError: [];
    UntagQueueError: [];
}

fn unlisted(failure: Failure) -> CommonError {
    match failure {
        Failure::QueueDoesNotExist => CommonError::Validation(NO_QUEUE.to_owned()),
        Failure::Common(error) => error,
        Failure::QueueNameExists(text)
        | Failure::InvalidAddress(text)
        | Failure::InvalidAttributeName(text)
        | Failure::InvalidAttributeValue(text)
        | Failure::InvalidMessageContents(text)
        | Failure::UnsupportedOperation(text)
        | Failure::ReceiptHandleIsInvalid(text)
        | Failure::OverLimit(text)
        | Failure::PurgeQueueInProgress(text)
        | Failure::EmptyBatchRequest(text)
        | Failure::TooManyEntriesInBatchRequest(text)
        | Failure::BatchEntryIdsNotDistinct(text)
        | Failure::InvalidBatchEntryId(text)
        | Failure::BatchRequestTooLong(text)
        | Failure::RequestThrottled(text)
        | Failure::Parameter(text) => CommonError::Validation(text),
    }
}
