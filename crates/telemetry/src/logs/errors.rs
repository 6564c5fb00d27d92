//! What can go wrong, as small structs with AWS's texts, and which operation may answer which of them.

use millstream_catalog::StoreError;
use millstream_wire::CommonError;
use millstream_wire::logs::error as wire;

macro_rules! causes {
    ($($(#[$meta:meta])* $name:ident),* $(,)?) => {
        $($(#[$meta])* #[derive(Clone, Debug, PartialEq, Eq)] pub(crate) struct $name(pub(crate) String);)*
    };
}

causes! {
    NotFound,
    AlreadyExists,
    InvalidParameter,
    Validation,
    /// Logged, not sent.
    Internal,
}

impl From<StoreError> for Internal {
    fn from(error: StoreError) -> Self {
        Self(format!("catalog: {error}"))
    }
}

impl From<std::io::Error> for Internal {
    fn from(error: std::io::Error) -> Self {
        Self(format!("log events: {error}"))
    }
}

/// What naming a group or stream that must exist can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LookupError {
    NotFound(NotFound),
    InvalidParameter(InvalidParameter),
    Validation(Validation),
    Internal(Internal),
}

macro_rules! wraps {
    ($($cause:ident),*) => {
        $(impl From<$cause> for LookupError { fn from(cause: $cause) -> Self { Self::$cause(cause) } })*
    };
}

wraps!(NotFound, InvalidParameter, Validation, Internal);

impl LookupError {
    pub(crate) fn no_group() -> Self {
        NotFound("The specified log group does not exist.".to_owned()).into()
    }

    pub(crate) fn no_stream() -> Self {
        NotFound("The specified log stream does not exist.".to_owned()).into()
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
    CreateLogGroupError: InvalidParameter => InvalidParameter, AlreadyExists => ResourceAlreadyExists;
    CreateLogStreamError: InvalidParameter => InvalidParameter, AlreadyExists => ResourceAlreadyExists,
        NotFound => ResourceNotFound;
    DeleteLogGroupError: InvalidParameter => InvalidParameter, NotFound => ResourceNotFound;
    DescribeLogGroupsError: InvalidParameter => InvalidParameter;
    DescribeLogStreamsError: InvalidParameter => InvalidParameter, NotFound => ResourceNotFound;
    FilterLogEventsError: InvalidParameter => InvalidParameter, NotFound => ResourceNotFound;
    GetLogEventsError: InvalidParameter => InvalidParameter, NotFound => ResourceNotFound;
    PutLogEventsError: InvalidParameter => InvalidParameter, NotFound => ResourceNotFound;
    PutRetentionPolicyError: InvalidParameter => InvalidParameter, NotFound => ResourceNotFound;
}

macro_rules! lookup_answers {
    ($($error:ident),* $(,)?) => {
        $(
            impl From<LookupError> for wire::$error {
                fn from(error: LookupError) -> Self {
                    match error {
                        LookupError::NotFound(cause) => cause.into(),
                        LookupError::InvalidParameter(cause) => cause.into(),
                        LookupError::Validation(cause) => CommonError::Validation(cause.0).into(),
                        LookupError::Internal(cause) => cause.into(),
                    }
                }
            }
        )*
    };
}

lookup_answers! {
    CreateLogStreamError, DeleteLogGroupError, DescribeLogStreamsError, FilterLogEventsError, GetLogEventsError,
    PutLogEventsError, PutRetentionPolicyError,
}
