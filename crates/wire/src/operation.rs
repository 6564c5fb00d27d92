//! Operations and services as data, and the marker types that tie an operation to its Rust types.

use crate::error::{ApiError, CommonError};
use crate::shape::Shape;
use crate::typed::Typed;

/// One operation of a service: a marker type in the `op` module of the service.
pub trait Operation: Send + Sync + 'static {
    type Input: Typed + Send;
    /// `()` when the operation answers an empty body.
    type Output: Typed + Send;
    type Error: Into<ApiError> + From<CommonError> + Send;
    /// The name in `X-Amz-Target`, `Action` or the authorisation action.
    const NAME: &'static str;

    fn shape() -> &'static OperationShape;
}

/// An operation that answers a stream of events instead of one output.
pub trait EventStream: Operation<Output = ()> {
    type Event: Typed + Send;
    /// What can end the stream early.
    type StreamError: Into<ApiError> + From<CommonError> + Send;
    /// The event's name in `:event-type`.
    const EVENT: &'static str;

    fn event_shape() -> &'static Shape;
}

/// What routing and the protocols need to know of an operation.
#[derive(Clone, Copy, Debug)]
pub struct OperationShape {
    pub name: &'static str,
    pub method: &'static str,
    /// A template such as `/2015-03-31/functions/{FunctionName}`; `/` for the protocols that do not use it.
    pub uri: &'static str,
    /// The status of a success.
    pub status: u16,
    pub input: &'static Shape,
    /// `None` for an empty answer, and for a stream of events.
    pub output: Option<&'static Shape>,
}

/// What the protocols need to know of a service.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    pub name: &'static str,
    pub protocol: Protocol,
    /// The error code of a constraint violation.
    pub validation_code: &'static str,
    /// The error code with which this service asks its callers to slow down, and its status.
    pub throttling_code: &'static str,
    pub throttling_status: u16,
    /// Sorted by name.
    pub operations: &'static [OperationShape],
}

/// The protocol that a service's model names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `X-Amz-Target: <prefix>.<operation>`, JSON body. Kinesis answers CBOR to CBOR as well.
    Json {
        version: &'static str,
        target_prefix: &'static str,
        /// The service once spoke the query protocol, and its clients still know errors by the codes they had there: those
        /// that differ from the exceptions' names, by name. Answers carry them in a header.
        query_codes: Option<&'static [(&'static str, &'static str)]>,
    },
    /// Method and path name the operation.
    RestJson,
    /// A form with `Action` and `Version`; XML answers.
    Query { version: &'static str, namespace: &'static str },
    /// CloudWatch: awsJson 1.0, Smithy RPC v2 with CBOR, and a form; a client speaks the newest that it knows.
    Several { target_prefix: &'static str, version: &'static str, namespace: &'static str },
}

impl Service {
    /// The operation of that exact name, if it is implemented.
    pub fn operation(&self, name: &str) -> Option<&'static OperationShape> {
        let index = self.operations.binary_search_by(|operation| operation.name.cmp(name)).ok()?;
        Some(&self.operations[index])
    }
}

/// A marker type for the operation at `$index` of the table.
macro_rules! operation {
    ($index:literal, $name:ident, $input:ty, $output:ty, $error:ty) => {
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl crate::Operation for $name {
            type Input = $input;
            type Output = $output;
            type Error = $error;
            const NAME: &'static str = stringify!($name);

            fn shape() -> &'static crate::OperationShape {
                &OPERATIONS[$index]
            }
        }
    };
}
pub(crate) use operation;

/// What the events of an operation's stream are.
macro_rules! event_stream {
    ($name:ident, $event_name:literal, $event:ty, $shape:expr, $error:ty) => {
        impl crate::operation::EventStream for $name {
            type Event = $event;
            type StreamError = $error;
            const EVENT: &'static str = $event_name;

            fn event_shape() -> &'static crate::shape::Shape {
                &$shape
            }
        }
    };
}
pub(crate) use event_stream;
