//! What can go wrong, as small structs, and which operation may answer which of them.
//!
//! Each struct carries AWS's text. An operation that uses `?` on a cause its API does not document does not compile.

use millstream_catalog::StoreError;
use millstream_log::ShardError;
use millstream_wire::CommonError;
use millstream_wire::kinesis::error as wire;

macro_rules! causes {
    ($($(#[$meta:meta])* $name:ident),* $(,)?) => {
        $($(#[$meta])* #[derive(Clone, Debug, PartialEq, Eq)] pub(crate) struct $name(pub(crate) String);)*
    };
}

causes! {
    NotFound,
    InUse,
    InvalidArgument,
    LimitExceeded,
    AccessDenied,
    Validation,
    ExpiredIterator,
    ExpiredNextToken,
    ThroughputExceeded,
    KmsNotFound,
    KmsAccessDenied,
    /// Logged, not sent.
    Internal,
}

/// What resolving a stream's name or ARN can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TargetError {
    InvalidArgument(InvalidArgument),
    AccessDenied(AccessDenied),
    NotFound(NotFound),
}

/// What looking up a stream that must exist can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LookupError {
    NotFound(NotFound),
    Internal(Internal),
}

macro_rules! wraps {
    ($($outer:ident: $($variant:ident),*;)*) => {
        $($(impl From<$variant> for $outer { fn from(cause: $variant) -> Self { Self::$variant(cause) } })*)*
    };
}

wraps! {
    TargetError: InvalidArgument, AccessDenied, NotFound;
    LookupError: NotFound, Internal;
}

impl From<StoreError> for Internal {
    fn from(error: StoreError) -> Self {
        Self(format!("catalog: {error}"))
    }
}

impl From<ShardError> for Internal {
    fn from(error: ShardError) -> Self {
        Self(format!("log: {error}"))
    }
}

impl From<StoreError> for LookupError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

macro_rules! answers {
    ($($error:ident: $($cause:ident => $variant:ident),* $(,)?;)*) => {
        $(
            $(impl From<$cause> for wire::$error {
                fn from(cause: $cause) -> Self { Self::$variant(cause.0) }
            })*
            impl From<Internal> for wire::$error {
                fn from(cause: Internal) -> Self { CommonError::InternalFailure(cause.0).into() }
            }
        )*
    };
}

answers! {
    CreateStreamError: InUse => ResourceInUse, LimitExceeded => LimitExceeded, InvalidArgument => InvalidArgument;
    DeleteStreamError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument, AccessDenied => AccessDenied,
        InUse => ResourceInUse;
    DescribeStreamError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument, AccessDenied => AccessDenied;
    DescribeStreamSummaryError:
        NotFound => ResourceNotFound, InvalidArgument => InvalidArgument, AccessDenied => AccessDenied;
    ListStreamsError: InvalidArgument => InvalidArgument, ExpiredNextToken => ExpiredNextToken;
    ListShardsError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument, AccessDenied => AccessDenied,
        ExpiredNextToken => ExpiredNextToken, InUse => ResourceInUse;
    PutRecordError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument, AccessDenied => AccessDenied,
        ThroughputExceeded => ProvisionedThroughputExceeded, KmsNotFound => KMSNotFound;
    PutRecordsError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument, AccessDenied => AccessDenied,
        KmsNotFound => KMSNotFound;
    GetShardIteratorError:
        NotFound => ResourceNotFound, InvalidArgument => InvalidArgument, AccessDenied => AccessDenied,
        ThroughputExceeded => ProvisionedThroughputExceeded;
    GetRecordsError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument, AccessDenied => AccessDenied,
        ExpiredIterator => ExpiredIterator, ThroughputExceeded => ProvisionedThroughputExceeded,
        KmsNotFound => KMSNotFound;
    StartStreamEncryptionError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument,
        AccessDenied => AccessDenied, InUse => ResourceInUse, LimitExceeded => LimitExceeded,
        KmsNotFound => KMSNotFound, KmsAccessDenied => KMSAccessDenied;
    StopStreamEncryptionError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument,
        AccessDenied => AccessDenied, InUse => ResourceInUse, LimitExceeded => LimitExceeded;
    IncreaseStreamRetentionPeriodError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument,
        AccessDenied => AccessDenied, InUse => ResourceInUse;
    DecreaseStreamRetentionPeriodError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument,
        AccessDenied => AccessDenied, InUse => ResourceInUse;
    SplitShardError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument, AccessDenied => AccessDenied,
        InUse => ResourceInUse, LimitExceeded => LimitExceeded, Validation => Validation;
    MergeShardsError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument, AccessDenied => AccessDenied,
        InUse => ResourceInUse, Validation => Validation;
    UpdateShardCountError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument,
        AccessDenied => AccessDenied, InUse => ResourceInUse, LimitExceeded => LimitExceeded, Validation => Validation;
    UpdateStreamModeError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument, InUse => ResourceInUse,
        LimitExceeded => LimitExceeded, Validation => Validation;
    UpdateStreamWarmThroughputError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument,
        AccessDenied => AccessDenied, InUse => ResourceInUse, LimitExceeded => LimitExceeded, Validation => Validation;
    UpdateMaxRecordSizeError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument,
        AccessDenied => AccessDenied, InUse => ResourceInUse;
    EnableEnhancedMonitoringError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument,
        AccessDenied => AccessDenied, InUse => ResourceInUse;
    DisableEnhancedMonitoringError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument,
        AccessDenied => AccessDenied, InUse => ResourceInUse;
    PutResourcePolicyError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument,
        AccessDenied => AccessDenied, InUse => ResourceInUse, LimitExceeded => LimitExceeded;
    GetResourcePolicyError:
        NotFound => ResourceNotFound, InvalidArgument => InvalidArgument, AccessDenied => AccessDenied;
    DeleteResourcePolicyError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument,
        AccessDenied => AccessDenied, LimitExceeded => LimitExceeded;
    TagResourceError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument, AccessDenied => AccessDenied,
        InUse => ResourceInUse, LimitExceeded => LimitExceeded;
    UntagResourceError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument, AccessDenied => AccessDenied,
        InUse => ResourceInUse, LimitExceeded => LimitExceeded;
    ListTagsForResourceError:
        NotFound => ResourceNotFound, InvalidArgument => InvalidArgument, AccessDenied => AccessDenied;
    DescribeAccountSettingsError:;
    UpdateAccountSettingsError:;
    DescribeLimitsError:;
    AddTagsToStreamError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument,
        AccessDenied => AccessDenied, InUse => ResourceInUse;
    RemoveTagsFromStreamError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument,
        AccessDenied => AccessDenied, InUse => ResourceInUse;
    ListTagsForStreamError:
        NotFound => ResourceNotFound, InvalidArgument => InvalidArgument, AccessDenied => AccessDenied;
    RegisterStreamConsumerError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument,
        InUse => ResourceInUse, LimitExceeded => LimitExceeded;
    DescribeStreamConsumerError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument;
    ListStreamConsumersError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument,
        ExpiredNextToken => ExpiredNextToken;
    DeregisterStreamConsumerError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument;
    SubscribeToShardError: NotFound => ResourceNotFound, InvalidArgument => InvalidArgument,
        AccessDenied => AccessDenied, InUse => ResourceInUse, LimitExceeded => LimitExceeded;
}

/// Operations whose only limit is that of calls per second.
macro_rules! rate_answers {
    ($($error:ident),* $(,)?) => {
        $(impl From<LimitExceeded> for wire::$error {
            fn from(cause: LimitExceeded) -> Self { Self::LimitExceeded(cause.0) }
        })*
    };
}

rate_answers! {
    DeleteStreamError, DescribeStreamError, DescribeStreamSummaryError, ListStreamsError, ListShardsError,
    IncreaseStreamRetentionPeriodError, DecreaseStreamRetentionPeriodError, MergeShardsError,
    EnableEnhancedMonitoringError, DisableEnhancedMonitoringError, ListTagsForResourceError,
    DescribeAccountSettingsError, UpdateAccountSettingsError, DescribeLimitsError,
    AddTagsToStreamError, RemoveTagsFromStreamError, ListTagsForStreamError,
    DescribeStreamConsumerError, ListStreamConsumersError, DeregisterStreamConsumerError,
}

/// Operations that refuse like all others though their model lists no such exception.
macro_rules! denied_answers {
    ($($error:ident),* $(,)?) => {
        $(impl From<AccessDenied> for wire::$error {
            fn from(cause: AccessDenied) -> Self { CommonError::AccessDenied(cause.0).into() }
        })*
    };
}

denied_answers! {
    RegisterStreamConsumerError, DescribeStreamConsumerError, ListStreamConsumersError, DeregisterStreamConsumerError,
    UpdateStreamModeError,
}

macro_rules! target_answers {
    ($($error:ident),* $(,)?) => {
        $(
            impl From<TargetError> for wire::$error {
                fn from(error: TargetError) -> Self {
                    match error {
                        TargetError::InvalidArgument(cause) => cause.into(),
                        TargetError::AccessDenied(cause) => cause.into(),
                        TargetError::NotFound(cause) => cause.into(),
                    }
                }
            }
            impl From<LookupError> for wire::$error {
                fn from(error: LookupError) -> Self {
                    match error {
                        LookupError::NotFound(cause) => cause.into(),
                        LookupError::Internal(cause) => cause.into(),
                    }
                }
            }
        )*
    };
}

target_answers! {
    DeleteStreamError, DescribeStreamError, DescribeStreamSummaryError, ListShardsError, PutRecordError,
    PutRecordsError, GetShardIteratorError, GetRecordsError, IncreaseStreamRetentionPeriodError,
    DecreaseStreamRetentionPeriodError, AddTagsToStreamError, RemoveTagsFromStreamError, ListTagsForStreamError,
    SplitShardError, MergeShardsError, UpdateShardCountError, UpdateStreamModeError, UpdateStreamWarmThroughputError,
    PutResourcePolicyError, GetResourcePolicyError, DeleteResourcePolicyError,
    TagResourceError, UntagResourceError, ListTagsForResourceError, UpdateMaxRecordSizeError, EnableEnhancedMonitoringError, DisableEnhancedMonitoringError,
    RegisterStreamConsumerError, DescribeStreamConsumerError, ListStreamConsumersError, DeregisterStreamConsumerError,
    SubscribeToShardError, StartStreamEncryptionError, StopStreamEncryptionError,
}

macro_rules! validation_answers {
    ($($error:ident),* $(,)?) => {
        $(impl From<Validation> for wire::$error {
            fn from(cause: Validation) -> Self { CommonError::Validation(cause.0).into() }
        })*
    };
}

validation_answers! {
    PutRecordError, PutRecordsError, IncreaseStreamRetentionPeriodError, DecreaseStreamRetentionPeriodError,
}
