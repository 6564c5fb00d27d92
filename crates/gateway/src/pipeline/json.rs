//! Kinesis, Logs, SQS and Millstream's own service: a target header, a JSON (or CBOR) body, and the recorded order of
//! checks.
//!
//! The order is that of the real front end (`kinesis.md` of the design's references, 1.2): method, body present, content
//! type, body parses, target known, caller, types, constraints, permissions, and then the operation.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use hyper::body::Body;
use millstream_wire::protocol::{Encoding, decode_value, encode_value};
use millstream_wire::{ApiError, CommonError, OperationShape, Protocol};

use super::call::{Call, KINESIS_BYTES_MAX};
use super::records;
use crate::answer::Answer;
use crate::body::Received;
use crate::identify::TARGET_HEADER;
use crate::operation::Table;

/// The answers to what is no call at all are bare XML, without a content type.
const NO_OPERATION: &str = "<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be \
                            authorized</Message>\n</AccessDeniedException>\n";
const UNKNOWN_OPERATION: &str = "<UnknownOperationException/>\n";

pub(super) async fn serve<B>(call: &Call<'_>, table: &Table, body: B) -> Answer
where
    B: Body<Data = Bytes> + Send,
{
    if call.head.method != Method::POST {
        return bare(StatusCode::FORBIDDEN, NO_OPERATION);
    }
    let format = format_of(call, table);
    let received = match call.receive(body, KINESIS_BYTES_MAX).await {
        Ok(received) => received,
        Err(CommonError::RequestTooLarge(_)) => return Answer::empty(StatusCode::PAYLOAD_TOO_LARGE).closing(),
        Err(error) => return call.refusal(table, format.unwrap_or(Form::Json).encoding(), &error.into()).closing(),
    };
    let name = operation_name(call, table);
    if received.bytes.is_empty() {
        let known = name.is_some_and(|name| table.get(name).is_some() || records::find(table, name).is_some());
        let error = if known { CommonError::Malformed } else { CommonError::UnknownOperation };
        // Without a content type that says JSON, the service answers in CBOR.
        let encoding = match format {
            Some(form @ (Form::Json | Form::Json10)) => form.encoding(),
            _ => Encoding::Cbor,
        };
        return call.refusal(table, encoding, &error.into());
    }
    match format {
        None if has_operation(call) => bare(StatusCode::NOT_FOUND, UNKNOWN_OPERATION),
        None => bare(StatusCode::FORBIDDEN, NO_OPERATION),
        Some(Form::Old) => old(call, table, &received),
        Some(form) => answer(call, table, form.encoding(), name, &received).await,
    }
}

/// What a content type stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    /// awsJson 1.0, which SQS speaks.
    Json10,
    Cbor,
    /// `application/json`: an older protocol, which knows no operations any more.
    Old,
}

impl Form {
    fn encoding(self) -> Encoding {
        match self {
            Self::Json10 => Encoding::Json10,
            Self::Cbor => Encoding::Cbor,
            Self::Json | Self::Old => Encoding::Json11,
        }
    }
}

fn format_of(call: &Call<'_>, table: &Table) -> Option<Form> {
    let value = call.head.headers.get(CONTENT_TYPE)?.to_str().ok()?;
    match value.split(';').next().unwrap_or_default().trim() {
        "application/x-amz-json-1.1" => Some(Form::Json),
        "application/x-amz-json-1.0" if speaks_json_10(table) => Some(Form::Json10),
        "application/x-amz-cbor-1.1" => Some(Form::Cbor),
        "application/json" => Some(Form::Old),
        _ => None,
    }
}

fn speaks_json_10(table: &Table) -> bool {
    matches!(table.service.protocol, Protocol::Json { version: "1.0", .. })
}

fn target<'a>(call: &'a Call<'_>) -> &'a str {
    call.head.headers.get(TARGET_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The operation of the target header, when its prefix is this service's.
fn operation_name<'a>(call: &'a Call<'_>, table: &Table) -> Option<&'a str> {
    let Protocol::Json { target_prefix, .. } = table.service.protocol else { return None };
    target(call).strip_prefix(target_prefix)?.strip_prefix('.')
}

/// The target has a service part and an operation part, known or not.
fn has_operation(call: &Call<'_>) -> bool {
    target(call).split_once('.').is_some_and(|(service, operation)| !service.is_empty() && !operation.is_empty())
}

async fn answer(call: &Call<'_>, table: &Table, encoding: Encoding, name: Option<&str>, received: &Received) -> Answer {
    let result = match name.and_then(|name| records::find(table, name)) {
        Some(operation) => records::run(call, operation, encoding, received).await,
        None => run(call, table, encoding, name, received).await,
    };
    let name = name.unwrap_or_default();
    let answer = result.unwrap_or_else(|error| {
        call.log_failure(name, &error);
        call.refusal(table, encoding, &error)
    });
    call.log_request(table.service.name, name, encoding, &answer);
    answer
}

async fn run(
    call: &Call<'_>,
    table: &Table,
    encoding: Encoding,
    name: Option<&str>,
    received: &Received,
) -> Result<Answer, ApiError> {
    let Some(entry) = name.and_then(|name| table.get(name)) else {
        if !is_well_formed(call, table, encoding, received) {
            return Err(CommonError::Malformed.into());
        }
        tracing::info!(target = target(call), "an operation was called that is not implemented");
        return Err(CommonError::UnknownOperation.into());
    };
    let decoded = decode_value(table.service, entry.shape, encoding, &call.request(&received.bytes));
    let decoded = before_caller(decoded)?;
    let context = call.authenticate(table.service.name, &received.sha256).await?;
    let output = call.run(entry, &context, decoded?).await?;
    Ok(encode_value(table.service, entry.shape, encoding, &call.request_id, &output).into())
}

/// Splits what is told to anybody (a body that does not parse) from what only a known caller is told.
pub(super) fn before_caller<T, E: Into<ApiError>>(decoded: Result<T, E>) -> Result<Result<T, ApiError>, ApiError> {
    match decoded.map_err(Into::into) {
        Err(error @ ApiError::Common(CommonError::Malformed)) => Err(error),
        decoded => Ok(decoded),
    }
}

/// Whether the body is a structure of its format. Any operation will do to ask: its own members do not matter.
fn is_well_formed(call: &Call<'_>, table: &Table, encoding: Encoding, received: &Received) -> bool {
    let any: &OperationShape = &table.service.operations[0];
    !matches!(decode_value(table.service, any, encoding, &call.request(&received.bytes)), Err(CommonError::Malformed))
}

fn bare(status: StatusCode, text: &'static str) -> Answer {
    Answer { body: Bytes::from_static(text.as_bytes()).into(), ..Answer::empty(status) }
}

/// `application/json` never reaches an operation (recorded).
fn old(call: &Call<'_>, table: &Table, received: &Received) -> Answer {
    let (status, code) = if is_well_formed(call, table, Encoding::Json11, received) {
        (StatusCode::NOT_FOUND, "UnknownOperationException")
    } else {
        (StatusCode::BAD_REQUEST, "SerializationException")
    };
    let body = format!(r#"{{"Output":{{"__type":"com.amazon.coral.service#{code}"}},"Version":"1.0"}}"#);
    Answer::new(status, "application/json", body)
}
