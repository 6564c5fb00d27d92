//! One runtime per protocol: requests to typed inputs, outputs and errors to answers, guided by the shape tables.
//!
//! [`decode`], [`encode`] and [`encode_error`] are the way in; [`Encoding`] says which runtime serves a request. The
//! modules below know one body format each and meet in [`Value`].

mod build;
pub(crate) mod cbor;
pub(crate) mod coerce;
mod error_body;
pub(crate) mod json;
mod query;
mod rest_json;
mod xml;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use crate::constraints;
use crate::error::{ApiError, CommonError};
use crate::limits::DecodeError;
use crate::operation::{Operation, OperationShape, Service};
use crate::typed::Typed;
use crate::value::Value;

pub use error_body::describe;
pub use query::{Form, parse_form};
pub use rest_json::route;

/// How one request is written, and so its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// awsJson 1.0
    Json10,
    /// awsJson 1.1
    Json11,
    /// awsJson with CBOR in place of JSON, as the Java SDKs speak to Kinesis.
    Cbor,
    RestJson,
    /// A form in, XML out.
    Query,
    /// Smithy RPC v2 with CBOR: standard timestamps, the operation in the path.
    RpcCbor,
}

/// The parts of a request that hold its input.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// As it arrived: percent-encoded, without the query string.
    pub path: &'a str,
    /// What follows the `?`; empty when nothing does.
    pub query: &'a str,
    pub headers: &'a HeaderMap,
    pub body: &'a Bytes,
}

const SMITHY_PROTOCOL: HeaderName = HeaderName::from_static("smithy-protocol");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

impl Encoding {
    /// The content type of the answers.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json10 => "application/x-amz-json-1.0",
            Self::Json11 => "application/x-amz-json-1.1",
            Self::Cbor => "application/x-amz-cbor-1.1",
            Self::RestJson => "application/json",
            Self::Query => "text/xml",
            Self::RpcCbor => "application/cbor",
        }
    }
}

/// Decodes the input of an operation and checks its constraints.
pub fn decode<O: Operation>(
    service: &Service,
    encoding: Encoding,
    request: &Request<'_>,
) -> Result<O::Input, ApiError> {
    let value = decode_value(service, O::shape(), encoding, request)?;
    Ok(O::Input::from_value(value))
}

/// As [`decode`], for callers that hold the operation as data.
pub fn decode_value(
    service: &Service,
    operation: &OperationShape,
    encoding: Encoding,
    request: &Request<'_>,
) -> Result<Value, CommonError> {
    let decoded = match encoding {
        Encoding::Json10 | Encoding::Json11 => json::decode(operation.input, request.body),
        Encoding::Cbor => cbor::decode(operation.input, request.body, cbor::Dialect::Kinesis),
        Encoding::RpcCbor => cbor::decode(operation.input, request.body, cbor::Dialect::Smithy),
        Encoding::RestJson => rest_json::decode(operation, request),
        Encoding::Query => query::decode(operation.input, request),
    };
    let value = decoded?;
    match constraints::violations(service, operation.input, &value) {
        None => Ok(value),
        Some(text) => Err(CommonError::Validation(text)),
    }
}

/// The answer of a successful operation.
pub fn encode<O: Operation>(
    service: &Service,
    encoding: Encoding,
    request_id: &str,
    output: O::Output,
) -> Response<Bytes> {
    encode_value(service, O::shape(), encoding, request_id, &output.into_value())
}

/// As [`encode`], for callers that hold the operation as data.
pub fn encode_value(
    service: &Service,
    operation: &OperationShape,
    encoding: Encoding,
    request_id: &str,
    output: &Value,
) -> Response<Bytes> {
    let mut answer = Answer::new(operation.status, encoding, request_id);
    match encoding {
        Encoding::Json10 | Encoding::Json11 => {
            operation.output.iter().for_each(|shape| json::encode(&mut answer.body, shape, output));
        }
        Encoding::Cbor | Encoding::RpcCbor => {
            let dialect = if encoding == Encoding::Cbor { cbor::Dialect::Kinesis } else { cbor::Dialect::Smithy };
            operation.output.iter().for_each(|shape| cbor::encode(&mut answer.body, shape, output, dialect));
        }
        Encoding::RestJson => rest_json::encode(&mut answer, operation, output),
        Encoding::Query => xml::encode(&mut answer.body, service, operation, request_id, output),
    }
    answer.finish()
}

/// An answer whose body one of the direct codecs wrote.
pub fn encode_body(encoding: Encoding, request_id: &str, body: Vec<u8>) -> Response<Bytes> {
    let mut answer = Answer::new(StatusCode::OK.as_u16(), encoding, request_id);
    answer.body = body;
    answer.finish()
}

/// The answer of an operation that failed.
pub fn encode_error(service: &Service, encoding: Encoding, request_id: &str, error: &ApiError) -> Response<Bytes> {
    let described = describe(service, encoding, error);
    let mut answer = Answer::new(described.status, encoding, request_id);
    error_body::write(&mut answer, service, encoding, request_id, &described);
    if let Some(text) = error_body::query_error(service, error) {
        error_body::write_query_error(&mut answer, &text);
    }
    answer.finish()
}

/// An answer being written.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn new(status: u16, encoding: Encoding, request_id: &str) -> Self {
        let mut answer = Self { status, headers: HeaderMap::new(), body: Vec::new() };
        answer.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(encoding.content_type()));
        answer.header(REQUEST_ID, request_id);
        if encoding == Encoding::RpcCbor {
            answer.header(SMITHY_PROTOCOL, "rpc-v2-cbor");
        }
        answer
    }

    /// A value that no header can carry (a line break) is left out.
    fn header(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
    }

    fn finish(self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *response.headers_mut() = self.headers;
        response
    }
}

impl From<DecodeError> for CommonError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Malformed => Self::Malformed,
            DecodeError::Type(text) => Self::Serialization(text),
        }
    }
}
