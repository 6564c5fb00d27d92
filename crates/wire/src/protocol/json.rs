//! JSON bodies by shape: awsJson 1.0 and 1.1, and the body part of restJson1.

use bytes::Bytes;
use millstream_env::Timestamp;

use crate::json::{self, Kind as Token, Scanner};
use crate::limits::{DecodeError, Malformed};
use crate::protocol::build::{Budget, MapBuilder, StructureBuilder};
use crate::protocol::coerce::{self, Given, mismatch};
use crate::shape::{Kind, Location, Shape};
use crate::value::Value;

/// Decodes a body that must be a structure. Members that travel elsewhere stay absent.
pub(crate) fn decode(shape: &'static Shape, body: &[u8]) -> Result<Value, DecodeError> {
    let mut scanner = Scanner::new(body);
    if scanner.kind() != Ok(Token::Structure) {
        return Err(DecodeError::Malformed);
    }
    let decoded = structure(&mut scanner, shape, &mut Budget::new());
    match decoded {
        Ok(value) => {
            scanner.end()?;
            Ok(value)
        }
        // A body that is no JSON at all is told so, whatever stands in front of the place where it breaks.
        Err(DecodeError::Type(_)) if !json::is_well_formed(body) => Err(DecodeError::Malformed),
        Err(error) => Err(error),
    }
}

/// Decodes one value; `None` for null.
fn value(scanner: &mut Scanner<'_>, shape: &'static Shape, budget: &mut Budget) -> Result<Option<Value>, DecodeError> {
    let token = scanner.kind()?;
    if token == Token::Null {
        scanner.null()?;
        return Ok(None);
    }
    budget.take(1)?;
    let value = match (&shape.kind, token) {
        (Kind::Structure(_), Token::Structure) => structure(scanner, shape, budget)?,
        (Kind::List { member, .. }, Token::List) => list(scanner, member, budget)?,
        (Kind::Map { value, .. }, Token::Structure) => map(scanner, value, budget)?,
        (Kind::String(_), Token::String) => Value::String(scanner.string()?.into_owned()),
        (Kind::Blob(_), Token::String) => Value::Blob(Bytes::from(coerce::blob(&scanner.string()?)?)),
        (Kind::Boolean, Token::Boolean) => Value::Boolean(scanner.boolean()?),
        (Kind::Integer(_), Token::Number) => {
            Value::Integer(json::integer(scanner.number()?, i32::MIN.into(), i32::MAX.into()))
        }
        (Kind::Long(_), Token::Number) => Value::Integer(json::integer(scanner.number()?, i64::MIN, i64::MAX)),
        (Kind::Double(_), Token::Number) => Value::Double(json::real(scanner.number()?)),
        (Kind::Timestamp, Token::Number) => Value::Timestamp(Timestamp::from_millis(json::millis(scanner.number()?))),
        _ => return Err(refuse(scanner, shape, token)?),
    };
    Ok(Some(value))
}

/// The error for a value whose kind the shape does not take.
pub(crate) fn refuse(scanner: &mut Scanner<'_>, shape: &Shape, token: Token) -> Result<DecodeError, Malformed> {
    Ok(match token {
        Token::String => mismatch(shape, &Given::Text(&scanner.string()?)),
        Token::Number => mismatch(shape, &Given::Number),
        Token::List => mismatch(shape, &Given::List),
        Token::Structure => mismatch(shape, &Given::Structure),
        Token::Null | Token::Boolean => mismatch(shape, &Given::Boolean),
    })
}

fn structure(scanner: &mut Scanner<'_>, shape: &'static Shape, budget: &mut Budget) -> Result<Value, DecodeError> {
    let mut builder = StructureBuilder::new(shape, budget)?;
    scanner.enter()?;
    let mut first = true;
    while let Some(name) = scanner.next_key(&mut first)? {
        match builder.member(&name) {
            Some((index, shape)) => {
                let member = value(scanner, shape, budget)?;
                builder.set(index, member);
            }
            None => scanner.skip()?,
        }
    }
    Ok(builder.build())
}

fn list(scanner: &mut Scanner<'_>, shape: &'static Shape, budget: &mut Budget) -> Result<Value, DecodeError> {
    let mut items = Vec::new();
    scanner.enter()?;
    let mut first = true;
    while scanner.next_item(&mut first)? {
        budget.take(1)?;
        items.push(value(scanner, shape, budget)?.unwrap_or(Value::Null));
    }
    Ok(Value::List(items))
}

fn map(scanner: &mut Scanner<'_>, shape: &'static Shape, budget: &mut Budget) -> Result<Value, DecodeError> {
    let mut builder = MapBuilder::default();
    scanner.enter()?;
    let mut first = true;
    while let Some(key) = scanner.next_key(&mut first)? {
        budget.take(1)?;
        let entry = value(scanner, shape, budget)?.unwrap_or(Value::Null);
        builder.insert(key.into_owned(), entry);
    }
    Ok(builder.build())
}

/// Writes a value of the shape. Absent members are left out, as are those that do not travel in the body.
pub(crate) fn encode(out: &mut Vec<u8>, shape: &Shape, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        Value::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Double(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Timestamp(timestamp) => json::write_timestamp(out, *timestamp),
        Value::String(text) => json::write_string(out, text),
        Value::Blob(data) => json::write_blob(out, data),
        Value::List(items) => {
            let Kind::List { member, .. } = shape.kind else { unreachable!("a list value has a list shape") };
            separated(out, *b"[]", items.iter(), |out, item| encode(out, member, item));
        }
        Value::Map(entries) => {
            let Kind::Map { value: shape, .. } = shape.kind else { unreachable!("a map value has a map shape") };
            separated(out, *b"{}", entries.iter(), |out, (key, entry)| {
                json::write_string(out, key);
                out.push(b':');
                encode(out, shape, entry);
            });
        }
        Value::Structure(members) => {
            let present = shape.members().iter().zip(members).filter_map(|(member, value)| {
                value.as_ref().filter(|_| member.location == Location::Body).map(|value| (member, value))
            });
            separated(out, *b"{}", present, |out, (member, value)| {
                json::write_string(out, member.name);
                out.push(b':');
                encode(out, member.shape, value);
            });
        }
    }
}

fn separated<T>(out: &mut Vec<u8>, brackets: [u8; 2], items: impl Iterator<Item = T>, write: impl Fn(&mut Vec<u8>, T)) {
    out.push(brackets[0]);
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(brackets[1]);
}
