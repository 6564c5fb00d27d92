//! Why an operation fails, before it becomes the error enumeration of that operation.

use millstream_blobs::BlobError;
use millstream_catalog::StoreError;
use millstream_wire::CommonError;
use millstream_wire::lambda::error::{
    AddLayerVersionPermissionError, AddPermissionError, CreateAliasError, CreateFunctionError, DeleteAliasError,
    DeleteFunctionConcurrencyError, DeleteFunctionError, DeleteFunctionEventInvokeConfigError, DeleteLayerVersionError,
    GetAccountSettingsError, GetAliasError, GetFunctionCodeSigningConfigError, GetFunctionConcurrencyError,
    GetFunctionConfigurationError, GetFunctionError, GetFunctionEventInvokeConfigError, GetLayerVersionByArnError,
    GetLayerVersionError, GetLayerVersionPolicyError, GetPolicyError, InvokeError, ListAliasesError,
    ListFunctionEventInvokeConfigsError, ListFunctionsError, ListLayerVersionsError, ListLayersError, ListTagsError,
    ListVersionsByFunctionError, PublishLayerVersionError, PublishVersionError, PutFunctionConcurrencyError,
    PutFunctionEventInvokeConfigError, RemoveLayerVersionPermissionError, RemovePermissionError, TagResourceError,
    UntagResourceError, UpdateAliasError, UpdateFunctionCodeError, UpdateFunctionConfigurationError,
    UpdateFunctionEventInvokeConfigError,
};

/// A refusal in AWS's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    InvalidParameterValue(String),
    ResourceNotFound(String),
    ResourceConflict(String),
    PreconditionFailed(String),
    PolicyLengthExceeded(String),
    Common(CommonError),
}

impl From<CommonError> for Failure {
    fn from(error: CommonError) -> Self {
        Self::Common(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Common(match error {
            StoreError::TooLarge => CommonError::InternalFailure(error.to_string()),
            // A conflict that outlived its retries: others change the same function without pause.
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

/// Turns failures into the error of an operation. What its model does not list becomes a `ServiceException`: an operation
/// that can meet such a failure lists it here.
macro_rules! operations {
    ($($error:ident: [$($variant:ident),*];)*) => {
        $(impl From<Failure> for $error {
            fn from(failure: Failure) -> Self {
                match failure {
                    $(Failure::$variant(message) => Self::$variant(message),)*
                    Failure::Common(error) => Self::Common(error),
                    #[allow(unreachable_patterns, reason = "some operations list every failure")]
                    Failure::InvalidParameterValue(message)
                    | Failure::ResourceNotFound(message)
                    | Failure::ResourceConflict(message)
                    | Failure::PreconditionFailed(message)
                    | Failure::PolicyLengthExceeded(message) => Self::Service(message),
                }
            }
        })*
    };
}

operations! {
    DeleteFunctionEventInvokeConfigError: [InvalidParameterValue, ResourceNotFound, ResourceConflict];
    GetFunctionEventInvokeConfigError: [InvalidParameterValue, ResourceNotFound];
    ListFunctionEventInvokeConfigsError: [InvalidParameterValue, ResourceNotFound];
    PutFunctionEventInvokeConfigError: [InvalidParameterValue, ResourceNotFound, ResourceConflict];
    UpdateFunctionEventInvokeConfigError: [InvalidParameterValue, ResourceNotFound, ResourceConflict];
    AddLayerVersionPermissionError: [
        InvalidParameterValue, ResourceNotFound, ResourceConflict, PreconditionFailed, PolicyLengthExceeded
    ];
    DeleteLayerVersionError: [];
    GetLayerVersionByArnError: [InvalidParameterValue, ResourceNotFound];
    GetLayerVersionError: [InvalidParameterValue, ResourceNotFound];
    GetLayerVersionPolicyError: [InvalidParameterValue, ResourceNotFound];
    ListLayerVersionsError: [InvalidParameterValue, ResourceNotFound];
    ListLayersError: [InvalidParameterValue];
    PublishLayerVersionError: [InvalidParameterValue, ResourceNotFound];
    RemoveLayerVersionPermissionError: [InvalidParameterValue, ResourceNotFound, PreconditionFailed];
    AddPermissionError: [
        InvalidParameterValue, ResourceNotFound, ResourceConflict, PreconditionFailed, PolicyLengthExceeded
    ];
    CreateAliasError: [InvalidParameterValue, ResourceNotFound, ResourceConflict];
    CreateFunctionError: [InvalidParameterValue, ResourceNotFound, ResourceConflict];
    DeleteAliasError: [InvalidParameterValue, ResourceNotFound, ResourceConflict];
    DeleteFunctionConcurrencyError: [InvalidParameterValue, ResourceNotFound, ResourceConflict];
    DeleteFunctionError: [InvalidParameterValue, ResourceNotFound, ResourceConflict];
    GetAccountSettingsError: [];
    GetAliasError: [InvalidParameterValue, ResourceNotFound];
    GetFunctionCodeSigningConfigError: [InvalidParameterValue, ResourceNotFound];
    GetFunctionConcurrencyError: [InvalidParameterValue, ResourceNotFound];
    GetFunctionConfigurationError: [InvalidParameterValue, ResourceNotFound];
    GetFunctionError: [InvalidParameterValue, ResourceNotFound];
    GetPolicyError: [InvalidParameterValue, ResourceNotFound];
    InvokeError: [InvalidParameterValue, ResourceNotFound, ResourceConflict];
    ListAliasesError: [InvalidParameterValue, ResourceNotFound];
    ListFunctionsError: [InvalidParameterValue];
    ListTagsError: [InvalidParameterValue, ResourceNotFound];
    ListVersionsByFunctionError: [InvalidParameterValue, ResourceNotFound];
    PublishVersionError: [InvalidParameterValue, ResourceNotFound, ResourceConflict, PreconditionFailed];
    PutFunctionConcurrencyError: [InvalidParameterValue, ResourceNotFound, ResourceConflict];
    RemovePermissionError: [InvalidParameterValue, ResourceNotFound, PreconditionFailed];
    TagResourceError: [InvalidParameterValue, ResourceNotFound, ResourceConflict];
    UntagResourceError: [InvalidParameterValue, ResourceNotFound, ResourceConflict];
    UpdateAliasError: [InvalidParameterValue, ResourceNotFound, ResourceConflict, PreconditionFailed];
    UpdateFunctionCodeError: [InvalidParameterValue, ResourceNotFound, ResourceConflict, PreconditionFailed];
    UpdateFunctionConfigurationError: [InvalidParameterValue, ResourceNotFound, ResourceConflict, PreconditionFailed];
}
