//! restJson1: members in the path, the query string, headers and a JSON body, or a body that is one member.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderName, StatusCode, header};
use percent_encoding::percent_decode_str;

use crate::json::{integer, real};
use crate::limits::DecodeError;
use crate::operation::{OperationShape, Service};
use crate::protocol::coerce::{Given, mismatch};
use crate::protocol::query::form_pairs;
use crate::protocol::{Answer, Request, json};
use crate::shape::{Kind, Location, Member, Shape};
use crate::value::Value;

/// The operation that a method, a path and, where two share these, a part of the query string name. A slash at the end of
/// the path makes no difference.
pub fn route(service: &Service, method: &str, path: &str, query: &str) -> Option<&'static OperationShape> {
    let fits = |operation: &&OperationShape| {
        let (template, fixed) = split(operation.uri);
        let has = |pair: &str| query.split('&').any(|other| other == pair);
        operation.method == method && labels(template, path).is_some() && fixed.is_none_or(has)
    };
    let found = service.operations.iter().filter(fits);
    found.max_by_key(|operation| split(operation.uri).1.is_some())
}

/// The template of a path, and the pair that the query string must have.
fn split(uri: &str) -> (&str, Option<&str>) {
    uri.split_once('?').map_or((uri, None), |(template, fixed)| (template, Some(fixed)))
}

/// The raw labels of a path that fits the template.
fn labels<'a>(template: &'a str, path: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
    let mut labels = Vec::new();
    let mut segments = path.strip_suffix('/').unwrap_or(path).split('/');
    for wanted in template.strip_suffix('/').unwrap_or(template).split('/') {
        let segment = segments.next()?;
        match wanted.strip_prefix('{').and_then(|label| label.strip_suffix('}')) {
            Some(label) if !segment.is_empty() => labels.push((label, segment)),
            None if wanted == segment => {}
            _ => return None,
        }
    }
    segments.next().is_none().then_some(labels)
}

pub(super) fn decode(operation: &OperationShape, request: &Request<'_>) -> Result<Value, DecodeError> {
    let members = operation.input.members();
    let mut values = body(operation.input, request.body)?;
    let labels = labels(split(operation.uri).0, request.path).unwrap_or_default();
    let pairs = form_pairs(request.query)?;
    for (member, value) in members.iter().zip(&mut values) {
        *value = match member.location {
            Location::Body | Location::StatusCode => continue,
            Location::Payload => payload(member, request.body),
            Location::Uri => match labels.iter().find(|(label, _)| *label == member.wire_name) {
                Some((_, raw)) => {
                    let text = percent_decode_str(raw).decode_utf8().map_err(|_| DecodeError::Malformed)?;
                    Some(scalar(member.shape, &text)?)
                }
                None => None,
            },
            Location::Query => from_query(member, &pairs)?,
            Location::Header => match request.headers.get(member.wire_name) {
                Some(text) => {
                    let text = text.to_str().map_err(|_| DecodeError::Malformed)?;
                    Some(scalar(member.shape, text)?)
                }
                None => None,
            },
        };
    }
    Ok(Value::Structure(values))
}

/// The members of a JSON body. An operation without such members does not look at its body.
fn body(shape: &'static Shape, body: &Bytes) -> Result<Vec<Option<Value>>, DecodeError> {
    let has_body = shape.members().iter().any(|member| member.location == Location::Body);
    if !has_body || body.is_empty() {
        return Ok(vec![None; shape.members().len()]);
    }
    Ok(json::decode(shape, body)?.into_members().collect())
}

fn payload(member: &Member, body: &Bytes) -> Option<Value> {
    let wanted = matches!(member.shape.kind, Kind::Blob(_)) && !body.is_empty();
    wanted.then(|| Value::Blob(body.clone()))
}

fn from_query(member: &Member, pairs: &[(Cow<'_, str>, Cow<'_, str>)]) -> Result<Option<Value>, DecodeError> {
    let mut given = pairs.iter().filter(|(name, _)| name == member.wire_name).map(|(_, text)| text);
    if let Kind::List { member: item, .. } = member.shape.kind {
        let items = given.map(|text| scalar(item, text)).collect::<Result<Vec<_>, _>>()?;
        return Ok((!items.is_empty()).then_some(Value::List(items)));
    }
    given.next().map(|text| scalar(member.shape, text)).transpose()
}

/// A value from its text form, as it stands outside a body.
pub(super) fn scalar(shape: &Shape, text: &str) -> Result<Value, DecodeError> {
    let number = || text.parse::<f64>().is_ok_and(f64::is_finite);
    Ok(match shape.kind {
        Kind::String(_) => Value::String(text.to_owned()),
        Kind::Boolean if text == "true" => Value::Boolean(true),
        Kind::Boolean if text == "false" => Value::Boolean(false),
        Kind::Integer(_) if number() => Value::Integer(integer(text, i32::MIN.into(), i32::MAX.into())),
        Kind::Long(_) if number() => Value::Integer(integer(text, i64::MIN, i64::MAX)),
        Kind::Double(_) if number() => Value::Double(real(text)),
        _ => return Err(mismatch(shape, &Given::Text(text))),
    })
}

pub(super) fn encode(answer: &mut Answer, operation: &OperationShape, output: &Value) {
    let (Some(shape), Value::Structure(values)) = (operation.output, output) else { return };
    let members = shape.members();
    for (member, value) in members.iter().zip(values) {
        match (member.location, value) {
            (Location::Header, Some(value)) => set_header(answer, member, value),
            (Location::StatusCode, Some(Value::Integer(status))) => {
                answer.status = u16::try_from(*status).unwrap_or(operation.status);
            }
            (Location::Payload, Some(Value::Blob(data))) => answer.body.extend_from_slice(data),
            _ => {}
        }
    }
    let in_body = |member: &Member| member.location == Location::Body;
    let elsewhere = members.iter().any(|member| !in_body(member));
    if members.iter().any(in_body) && !members.iter().any(|member| member.location == Location::Payload) {
        json::encode(&mut answer.body, shape, output);
    } else if !elsewhere {
        answer.body.extend_from_slice(b"{}");
    }
    if answer.status == StatusCode::NO_CONTENT.as_u16() {
        answer.body.clear();
        answer.headers.remove(header::CONTENT_TYPE);
    }
}

fn set_header(answer: &mut Answer, member: &Member, value: &Value) {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Boolean(value) => value.to_string(),
        _ => return,
    };
    if let Ok(name) = HeaderName::from_bytes(member.wire_name.as_bytes()) {
        answer.header(name, &text);
    }
}
