//! What the operations refuse with, before it becomes the error type of one of them.

use millstream_wire::CommonError;
use millstream_wire::lambda::error::{
    CreateEventSourceMappingError, DeleteEventSourceMappingError, GetEventSourceMappingError,
    ListEventSourceMappingsError, ListTagsError, TagResourceError, UntagResourceError, UpdateEventSourceMappingError,
};

use crate::contract::Unavailable;
use crate::store;

/// A refusal, with AWS's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    InvalidParameterValue(String),
    ResourceConflict(String),
    ResourceInUse(String),
    ResourceNotFound(String),
    Internal(String),
}

impl Failure {
    /// No mapping has this UUID.
    pub(crate) fn not_found() -> Self {
        Self::ResourceNotFound("The resource you requested does not exist.".to_owned())
    }

    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::InvalidParameterValue(text.into())
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<Unavailable> for Failure {
    fn from(error: Unavailable) -> Self {
        Self::Internal(error.to_string())
    }
}

/// Operations that document all four refusals.
macro_rules! changing_operation {
    ($($error:ident),*) => {$(
        impl From<Failure> for $error {
            fn from(failure: Failure) -> Self {
                match failure {
                    Failure::InvalidParameterValue(text) => Self::InvalidParameterValue(text),
                    Failure::ResourceConflict(text) => Self::ResourceConflict(text),
                    Failure::ResourceInUse(text) => Self::ResourceInUse(text),
                    Failure::ResourceNotFound(text) => Self::ResourceNotFound(text),
                    Failure::Internal(text) => Self::Common(CommonError::InternalFailure(text)),
                }
            }
        }
    )*};
}

/// Operations that meet no state in their way.
macro_rules! reading_operation {
    ($($error:ident),*) => {$(
        impl From<Failure> for $error {
            fn from(failure: Failure) -> Self {
                match failure {
                    Failure::InvalidParameterValue(text) => Self::InvalidParameterValue(text),
                    Failure::ResourceNotFound(text) => Self::ResourceNotFound(text),
                    Failure::ResourceConflict(text) | Failure::ResourceInUse(text) | Failure::Internal(text) => {
                        Self::Common(CommonError::InternalFailure(text))
                    }
                }
            }
        }
    )*};
}

changing_operation!(DeleteEventSourceMappingError, UpdateEventSourceMappingError);
reading_operation!(GetEventSourceMappingError, ListEventSourceMappingsError, ListTagsError);

/// Operations that are refused only because of others' changes, not of a state.
macro_rules! conflicting_operation {
    ($($error:ident),*) => {$(
impl From<Failure> for $error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::InvalidParameterValue(text) => Self::InvalidParameterValue(text),
            Failure::ResourceConflict(text) => Self::ResourceConflict(text),
            Failure::ResourceNotFound(text) => Self::ResourceNotFound(text),
            Failure::ResourceInUse(text) | Failure::Internal(text) => Self::Common(CommonError::InternalFailure(text)),
        }
    }
}
    )*};
}

conflicting_operation!(CreateEventSourceMappingError, TagResourceError, UntagResourceError);
