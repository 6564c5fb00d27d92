//! What an operation answers instead of its output.
//!
//! Each operation has an enumeration of the exceptions that its model lists, plus [`CommonError`] for those that any
//! operation can meet. Both become an [`ApiError`], which the protocols render: the code, the status and the letter case
//! of an error depend on the protocol and the service, so they are settled only there.

use crate::shape::Location;

/// An error on its way to a protocol.
#[derive(Clone, Debug, PartialEq)]
pub enum ApiError {
    /// An exception of the service's model.
    Modelled(Box<ModelledError>),
    Common(CommonError),
}

/// An exception of the model with its values.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelledError {
    pub shape: ErrorShape,
    pub message: String,
    pub fields: Vec<ErrorField>,
}

/// What the model says about an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorShape {
    /// As the wire has it: with the `Exception` ending in the JSON protocols, mostly without in the query protocol.
    pub code: &'static str,
    pub status: u16,
    pub fault: Fault,
    pub message_key: MessageKey,
    /// Lambda: the body carries `Type`, `User` or `Service`.
    pub typed: bool,
}

/// Who is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Sender,
    Receiver,
}

/// How the body spells the key of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKey {
    /// `message`
    Small,
    /// `Message`
    Capital,
}

/// A further value of an exception.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorField {
    pub name: &'static str,
    pub location: Location,
    pub value: String,
}

/// Errors that every operation of every service can meet, mostly before it is called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommonError {
    /// The input breaks constraints of the model; the text lists them.
    #[error("{0}")]
    Validation(String),
    /// Lambda's `InvalidParameterValueException` in the form that some refusals have: without a `Type` (recorded).
    #[error("{0}")]
    InvalidParameter(String),
    #[error("{0}")]
    AccessDenied(String),
    /// A value of the wrong type.
    #[error("{0}")]
    Serialization(String),
    /// The body is not of the format it claims.
    #[error("the body cannot be parsed")]
    Malformed,
    #[error("there is no such operation")]
    UnknownOperation,
    /// The text is for the log; it is not sent.
    #[error("{0}")]
    InternalFailure(String),
    #[error("{0}")]
    Throttling(String),
    #[error("the service is not available: {0}")]
    Unavailable(String),
    /// The text names the limit.
    #[error("{0}")]
    RequestTooLarge(String),
    #[error("the request is not signed")]
    MissingAuthenticationToken,
    /// Parts of the signature are missing; the text names them.
    #[error("{0}")]
    IncompleteSignature(String),
    /// The access key is unknown or the session token does not belong to it.
    #[error("the security token is invalid")]
    UnrecognizedClient,
    /// The signature, its date or its scope is wrong; the text says which.
    #[error("{0}")]
    InvalidSignature(String),
    #[error("the security token is expired")]
    ExpiredToken,
}

impl From<CommonError> for ApiError {
    fn from(error: CommonError) -> Self {
        Self::Common(error)
    }
}

impl ApiError {
    pub(crate) fn modelled(shape: ErrorShape, detail: impl ErrorDetail) -> Self {
        let (message, fields) = detail.into_parts();
        Self::Modelled(Box::new(ModelledError { shape, message, fields }))
    }
}

/// What an error variant holds: a message alone, or a generated structure.
pub(crate) trait ErrorDetail {
    fn into_parts(self) -> (String, Vec<ErrorField>);

    #[cfg(test)]
    fn sample() -> Self;
}

impl ErrorDetail for String {
    fn into_parts(self) -> (String, Vec<ErrorField>) {
        (self, Vec::new())
    }

    #[cfg(test)]
    fn sample() -> Self {
        "Some \"message\" <here>.".to_owned()
    }
}

/// One sample of each modelled error of an operation, for the transcripts.
#[cfg(test)]
pub(crate) trait Samples: Sized {
    fn samples() -> Vec<Self>;
}

/// An exception with more than a message. All such members are texts.
macro_rules! exception {
    (pub struct $name:ident { $($field:ident: $type:ty = $location:expr, $wire_name:literal,)* }) => {
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            pub message: String,
            $(pub $field: $type,)*
        }

        impl crate::error::ErrorDetail for $name {
            fn into_parts(self) -> (String, Vec<crate::error::ErrorField>) {
                let fields = [$(($wire_name, $location, self.$field.map(|value| value.to_string())),)*];
                let field = |(name, location, value): (_, _, Option<String>)| {
                    Some(crate::error::ErrorField { name, location, value: value? })
                };
                (self.message, fields.into_iter().filter_map(field).collect())
            }

            #[cfg(test)]
            fn sample() -> Self {
                Self { message: String::sample(), $($field: crate::error::sample_text()),* }
            }
        }
    };
}
pub(crate) use exception;

/// A member of an exception, from the text that fits: an enumeration's value, or any.
#[cfg(test)]
pub(crate) fn sample_text<T: std::str::FromStr>() -> Option<T> {
    ["ConcurrentInvocationLimitExceeded", "1"].iter().find_map(|text| text.parse().ok())
}

/// The errors of one operation.
macro_rules! operation_error {
    (pub enum $name:ident { $($variant:ident($holds:ty) = $shape:ident,)* }) => {
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name {
            $($variant($holds),)*
            /// What any operation can meet.
            Common(crate::CommonError),
        }

        impl From<crate::CommonError> for $name {
            fn from(error: crate::CommonError) -> Self {
                Self::Common(error)
            }
        }

        #[cfg(test)]
        impl crate::error::Samples for $name {
            fn samples() -> Vec<Self> {
                vec![$(Self::$variant(crate::error::ErrorDetail::sample()),)*]
            }
        }

        impl From<$name> for crate::ApiError {
            fn from(error: $name) -> Self {
                match error {
                    $($name::$variant(detail) => Self::modelled($shape, detail),)*
                    $name::Common(error) => Self::Common(error),
                }
            }
        }
    };
}
pub(crate) use operation_error;
