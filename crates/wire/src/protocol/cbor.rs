//! CBOR bodies by shape: Kinesis's `application/x-amz-cbor-1.1`, and Smithy RPC v2.

use bytes::Bytes;
use millstream_env::Timestamp;

use crate::cbor::{self, Extent, Item, Scanner};
use crate::limits::DecodeError;
use crate::protocol::build::{Budget, MapBuilder, StructureBuilder};
use crate::protocol::coerce::{Given, mismatch};
use crate::shape::{Kind, Location, Shape};
use crate::value::Value;

/// What a tagged time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Milliseconds, against RFC 8949.
    Kinesis,
    /// Seconds, with a fraction.
    Smithy,
}

/// Decodes a body that must be a map.
pub(crate) fn decode(shape: &'static Shape, body: &[u8], dialect: Dialect) -> Result<Value, DecodeError> {
    let mut scanner = Scanner::new(body);
    let Item::Map(extent) = scanner.next()? else { return Err(DecodeError::Malformed) };
    match structure(&mut scanner, shape, extent, &mut Reading { budget: Budget::new(), dialect }) {
        Ok(value) => {
            scanner.end()?;
            Ok(value)
        }
        Err(DecodeError::Type(_)) if !cbor::is_well_formed(body) => Err(DecodeError::Malformed),
        Err(error) => Err(error),
    }
}

/// A body being read.
struct Reading {
    budget: Budget,
    dialect: Dialect,
}

fn value(
    scanner: &mut Scanner<'_>,
    shape: &'static Shape,
    reading: &mut Reading,
) -> Result<Option<Value>, DecodeError> {
    let item = scanner.next()?;
    if item == Item::Null {
        return Ok(None);
    }
    reading.budget.take(1)?;
    let value = match (&shape.kind, item) {
        (Kind::Structure(_), Item::Map(extent)) => structure(scanner, shape, extent, reading)?,
        (Kind::List { member, .. }, Item::List(extent)) => list(scanner, member, extent, reading)?,
        (Kind::Map { value, .. }, Item::Map(extent)) => map(scanner, value, extent, reading)?,
        (Kind::String(_), Item::Text(text)) => Value::String(text.into_owned()),
        (Kind::Blob(_), Item::Bytes(bytes)) => Value::Blob(Bytes::copy_from_slice(bytes)),
        (Kind::Boolean, Item::Boolean(value)) => Value::Boolean(value),
        (Kind::Integer(_), Item::Integer(number)) => Value::Integer(number.clamp(i32::MIN.into(), i32::MAX.into())),
        (Kind::Integer(_), Item::Real(number)) => Value::Integer(whole(number).clamp(i32::MIN.into(), i32::MAX.into())),
        (Kind::Long(_), Item::Integer(number)) => Value::Integer(number),
        (Kind::Long(_), Item::Real(number)) => Value::Integer(whole(number)),
        (Kind::Double(_), Item::Real(number)) => Value::Double(number),
        #[expect(clippy::cast_precision_loss, reason = "a double is what the shape asks for")]
        (Kind::Double(_), Item::Integer(number)) => Value::Double(number as f64),
        (Kind::Timestamp, Item::Integer(number)) if reading.dialect == Dialect::Kinesis => {
            Value::Timestamp(timestamp(number))
        }
        (Kind::Timestamp, Item::Real(number)) if reading.dialect == Dialect::Kinesis => {
            Value::Timestamp(timestamp(whole(number)))
        }
        (Kind::Timestamp, Item::Integer(seconds)) => Value::Timestamp(timestamp(seconds.saturating_mul(1000))),
        (Kind::Timestamp, Item::Real(seconds)) => Value::Timestamp(timestamp(whole((seconds * 1000.0).round()))),
        (_, item) => return Err(mismatch(shape, &given(&item))),
    };
    Ok(Some(value))
}

/// What an item of the wrong kind counts as.
pub(crate) fn given<'a>(item: &'a Item<'_>) -> Given<'a> {
    match item {
        Item::Null | Item::Boolean(_) => Given::Boolean,
        Item::Integer(_) | Item::Real(_) => Given::Number,
        Item::Bytes(_) => Given::Bytes,
        Item::Text(text) => Given::Text(text),
        Item::List(_) => Given::List,
        Item::Map(_) => Given::Structure,
    }
}

fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millis(u64::try_from(millis).unwrap_or(0))
}

#[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates, which is what is wanted")]
fn whole(number: f64) -> i64 {
    number as i64
}

fn structure(
    scanner: &mut Scanner<'_>,
    shape: &'static Shape,
    mut extent: Extent,
    reading: &mut Reading,
) -> Result<Value, DecodeError> {
    let mut builder = StructureBuilder::new(shape, &mut reading.budget)?;
    while scanner.more(&mut extent)? {
        let name = scanner.key()?;
        match builder.member(&name) {
            Some((index, shape)) => {
                let member = value(scanner, shape, reading)?;
                builder.set(index, member);
            }
            None => scanner.skip()?,
        }
    }
    Ok(builder.build())
}

fn list(
    scanner: &mut Scanner<'_>,
    shape: &'static Shape,
    mut extent: Extent,
    reading: &mut Reading,
) -> Result<Value, DecodeError> {
    let mut items = Vec::new();
    while scanner.more(&mut extent)? {
        reading.budget.take(1)?;
        items.push(value(scanner, shape, reading)?.unwrap_or(Value::Null));
    }
    Ok(Value::List(items))
}

fn map(
    scanner: &mut Scanner<'_>,
    shape: &'static Shape,
    mut extent: Extent,
    reading: &mut Reading,
) -> Result<Value, DecodeError> {
    let mut builder = MapBuilder::default();
    while scanner.more(&mut extent)? {
        reading.budget.take(1)?;
        let key = scanner.key()?.into_owned();
        builder.insert(key, value(scanner, shape, reading)?.unwrap_or(Value::Null));
    }
    Ok(builder.build())
}

/// Writes a value of the shape. Absent members are left out.
pub(crate) fn encode(out: &mut Vec<u8>, shape: &Shape, value: &Value, dialect: Dialect) {
    match value {
        Value::Null => out.push(0xf6),
        Value::Boolean(value) => cbor::write_boolean(out, *value),
        Value::Integer(number) => cbor::write_integer(out, *number),
        Value::Double(number) => cbor::write_real(out, *number),
        Value::Timestamp(timestamp) if dialect == Dialect::Kinesis => cbor::write_timestamp(out, *timestamp),
        Value::Timestamp(timestamp) => cbor::write_seconds(out, *timestamp),
        Value::String(text) => cbor::write_text(out, text),
        Value::Blob(data) => cbor::write_bytes(out, data),
        Value::List(items) => {
            let Kind::List { member, .. } = shape.kind else { unreachable!("a list value has a list shape") };
            out.push(cbor::INDEFINITE_LIST);
            for item in items {
                encode(out, member, item, dialect);
            }
            out.push(cbor::BREAK);
        }
        Value::Map(entries) => {
            let Kind::Map { value: shape, .. } = shape.kind else { unreachable!("a map value has a map shape") };
            out.push(cbor::INDEFINITE_MAP);
            for (key, entry) in entries {
                cbor::write_text(out, key);
                encode(out, shape, entry, dialect);
            }
            out.push(cbor::BREAK);
        }
        Value::Structure(members) => {
            out.push(cbor::INDEFINITE_MAP);
            for (member, value) in shape.members().iter().zip(members) {
                if let Some(value) = value.as_ref().filter(|_| member.location == Location::Body) {
                    cbor::write_text(out, member.name);
                    encode(out, member.shape, value, dialect);
                }
            }
            out.push(cbor::BREAK);
        }
    }
}
