//! Why an operation on topics fails, before it becomes the error enumeration of that operation.

use millstream_catalog::StoreError;
use millstream_wire::CommonError;
use millstream_wire::sns::BatchResultErrorEntry;
use millstream_wire::sns::error::{
    CreateTopicError, DeleteTopicError, GetSubscriptionAttributesError, GetTopicAttributesError,
    ListSubscriptionsByTopicError, ListSubscriptionsError, ListTagsForResourceError, ListTopicsError,
    PublishBatchError, PublishError, SetSubscriptionAttributesError, SetTopicAttributesError, SubscribeError,
    TagResourceError, UnsubscribeError, UntagResourceError,
};

/// A refusal in AWS's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    InvalidParameter(String),
    InvalidParameterValue(String),
    NotFound(String),
    AuthorizationError(String),
    ResourceNotFound(String),
    SubscriptionLimitExceeded(String),
    TagLimitExceeded(String),
    EmptyBatchRequest(String),
    TooManyEntriesInBatchRequest(String),
    BatchEntryIdsNotDistinct(String),
    InvalidBatchEntryId(String),
    BatchRequestTooLong(String),
    Common(CommonError),
}

impl Failure {
    /// What is told of it, for a log or another service.
    pub(crate) fn text(self) -> String {
        match self {
            Self::InvalidParameter(text)
            | Self::InvalidParameterValue(text)
            | Self::NotFound(text)
            | Self::AuthorizationError(text)
            | Self::ResourceNotFound(text)
            | Self::SubscriptionLimitExceeded(text)
            | Self::TagLimitExceeded(text)
            | Self::EmptyBatchRequest(text)
            | Self::TooManyEntriesInBatchRequest(text)
            | Self::BatchEntryIdsNotDistinct(text)
            | Self::InvalidBatchEntryId(text)
            | Self::BatchRequestTooLong(text) => text,
            Self::Common(error) => error.to_string(),
        }
    }

    pub(crate) fn no_topic() -> Self {
        Self::NotFound("Topic does not exist".to_owned())
    }

    pub(crate) fn no_subscription() -> Self {
        Self::NotFound("Subscription does not exist".to_owned())
    }

    /// What a batch says about the one of its entries that failed.
    pub(crate) fn entry(self, id: String) -> BatchResultErrorEntry {
        let (code, message, sender_fault) = match self {
            Self::InvalidParameter(text) => ("InvalidParameter", text, true),
            Self::InvalidParameterValue(text) => ("ParameterValueInvalid", text, true),
            Self::NotFound(text) => ("NotFound", text, true),
            _ => ("InternalError", "An internal error occurred; please try again.".to_owned(), false),
        };
        BatchResultErrorEntry { code: code.to_owned(), id, message: Some(message), sender_fault }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Common(match error {
            StoreError::TooLarge => CommonError::InternalFailure(error.to_string()),
            // A conflict that outlived its retries: others change the same topic without pause.
            StoreError::Conflict => CommonError::Throttling("Rate exceeded".to_owned()),
            StoreError::Full | StoreError::Unavailable(_) => CommonError::Unavailable(error.to_string()),
        })
    }
}

/// Turns failures into the error of an operation. What its model does not list is answered as a wrong parameter: an
/// operation that can meet such a failure lists it here.
macro_rules! operations {
    ($($error:ident: [$($variant:ident),*];)*) => {
        $(impl From<Failure> for $error {
            fn from(failure: Failure) -> Self {
                match failure {
                    Failure::InvalidParameter(message) => Self::InvalidParameter(message),
                    $(Failure::$variant(message) => Self::$variant(message),)*
                    Failure::Common(error) => Self::Common(error),
                    #[allow(unreachable_patterns, reason = "some operations list every failure")]
                    Failure::InvalidParameterValue(message)
                    | Failure::NotFound(message)
                    | Failure::AuthorizationError(message)
                    | Failure::ResourceNotFound(message)
                    | Failure::SubscriptionLimitExceeded(message)
                    | Failure::TagLimitExceeded(message)
                    | Failure::EmptyBatchRequest(message)
                    | Failure::TooManyEntriesInBatchRequest(message)
                    | Failure::BatchEntryIdsNotDistinct(message)
                    | Failure::InvalidBatchEntryId(message)
                    | Failure::BatchRequestTooLong(message) => Self::InvalidParameter(message),
                }
            }
        })*
    };
}

operations! {
    CreateTopicError: [TagLimitExceeded];
    DeleteTopicError: [];
    GetSubscriptionAttributesError: [NotFound, AuthorizationError];
    GetTopicAttributesError: [NotFound];
    ListSubscriptionsByTopicError: [NotFound];
    ListSubscriptionsError: [];
    ListTagsForResourceError: [ResourceNotFound];
    ListTopicsError: [];
    PublishBatchError: [
        InvalidParameterValue, NotFound, EmptyBatchRequest, TooManyEntriesInBatchRequest, BatchEntryIdsNotDistinct,
        InvalidBatchEntryId, BatchRequestTooLong
    ];
    PublishError: [InvalidParameterValue, NotFound];
    SetSubscriptionAttributesError: [NotFound, AuthorizationError];
    SetTopicAttributesError: [NotFound];
    SubscribeError: [NotFound, SubscriptionLimitExceeded];
    TagResourceError: [ResourceNotFound, TagLimitExceeded];
    UnsubscribeError: [AuthorizationError];
    UntagResourceError: [ResourceNotFound];
}
