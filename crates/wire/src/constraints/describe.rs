//! A value as the service's error texts print it: Java's `toString`.

use std::fmt::Write as _;

use crate::operation::Service;
use crate::protocol::coerce::shown;
use crate::shape::{Kind, Shape};
use crate::value::Value;

/// `'text' ` with the quotes and a space behind, `null `, or nothing for a value that must not be shown.
pub(super) fn value(service: &Service, shape: &Shape, value: &Value) -> String {
    match value {
        Value::Null => "null ".to_owned(),
        _ if shape.sensitive => String::new(),
        Value::Blob(_) => String::new(),
        value => {
            let mut text = String::new();
            print(&mut text, service, shape, value);
            format!("'{}' ", shown(&text))
        }
    }
}

fn print(out: &mut String, service: &Service, shape: &Shape, value: &Value) {
    // What would be cut off is not worth printing.
    if out.len() > 4 * crate::protocol::coerce::SHOWN_VALUE_MAX {
        return;
    }
    match (value, &shape.kind) {
        (Value::Null, _) => out.push_str("null"),
        (Value::Boolean(value), _) => out.push_str(if *value { "true" } else { "false" }),
        (Value::Integer(number), _) => out.push_str(&number.to_string()),
        (Value::Double(number), _) => write!(out, "{number:?}").expect("writing to a string succeeds"),
        (Value::Timestamp(timestamp), _) => out.push_str(&timestamp.to_string()),
        (Value::String(text), _) => out.push_str(shown(text)),
        (Value::List(items), Kind::List { member, .. }) => {
            enclosed(out, "[]", items.iter().enumerate(), |out, (index, item)| match item {
                Value::Structure(_) => object(out, service, member, index),
                item => print(out, service, member, item),
            });
        }
        (Value::Map(entries), Kind::Map { value: shape, .. }) => {
            enclosed(out, "{}", entries.iter(), |out, (key, entry)| {
                out.push_str(key);
                out.push('=');
                print(out, service, shape, entry);
            });
        }
        _ => object(out, service, shape, 0),
    }
}

/// Java's default form of an object; the number behind the `@` is arbitrary.
fn object(out: &mut String, service: &Service, shape: &Shape, number: usize) {
    let package = if service.name == "kinesis" { "kinesis.v20131202" } else { service.name };
    write!(out, "com.amazonaws.{package}.{}@{number:x}", shape.name).expect("writing to a string succeeds");
}

fn enclosed<T>(out: &mut String, brackets: &str, items: impl Iterator<Item = T>, mut each: impl FnMut(&mut String, T)) {
    out.push_str(&brackets[..1]);
    for (index, item) in items.enumerate() {
        if out.len() > 4 * crate::protocol::coerce::SHOWN_VALUE_MAX {
            break;
        }
        if index > 0 {
            out.push_str(", ");
        }
        each(out, item);
    }
    out.push_str(&brackets[1..]);
}
