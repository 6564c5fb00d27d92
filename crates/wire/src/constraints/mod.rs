//! The constraint interpreter: checks a decoded value against its shape and lists what it breaks, in the service's words.
//!
//! The order of several errors is not fixed in the recordings; here it is the order of the shape tables. A value that is
//! null where a member is required, a length, a range, a pattern, an enum: each broken constraint is one error. The items
//! of a list and the keys and values of a map that are no structures have one error for all of their constraints.

mod describe;
#[cfg(test)]
mod tests;

use crate::operation::Service;
use crate::shape::{Bounds, Kind, Member, Pattern, Shape};
use crate::value::Value;

/// How many errors the text lists (recorded).
const ERRORS_LISTED_MAX: usize = 10;

/// The text of a validation error, or nothing when the value keeps every constraint.
pub fn violations(service: &Service, shape: &Shape, value: &Value) -> Option<String> {
    let mut found = Found { service, errors: Vec::new(), count: 0 };
    found.check(shape, value, "");
    let plural = match found.count {
        0 => return None,
        1 => "",
        _ => "s",
    };
    Some(format!("{} validation error{plural} detected: {}", found.errors.len(), found.errors.join("; ")))
}

struct Found<'a> {
    service: &'a Service,
    /// The first ten.
    errors: Vec<String>,
    count: usize,
}

impl Found<'_> {
    fn check(&mut self, shape: &Shape, value: &Value, path: &str) {
        let mut broken = Vec::new();
        own_constraints(shape, value, &mut broken);
        for constraint in broken {
            self.report(shape, value, path, &constraint.text());
        }
        match (&shape.kind, value) {
            (Kind::Structure(members), Value::Structure(values)) => self.members(members, values, path),
            (Kind::List { member, .. }, Value::List(items)) => self.items(shape, member, value, items, path),
            (Kind::Map { key, value: entry, .. }, Value::Map(entries)) => {
                self.keys(shape, key, value, entries, path);
                self.entries(shape, entry, value, entries, path);
            }
            _ => {}
        }
    }

    fn members(&mut self, members: &[Member], values: &[Option<Value>], path: &str) {
        for (member, value) in members.iter().zip(values) {
            let nested = matches!(member.shape.kind, Kind::Structure(_) | Kind::List { .. } | Kind::Map { .. });
            match value {
                None if member.required => {
                    self.report(member.shape, &Value::Null, &join(path, member.name), &Constraint::NotNull.text());
                }
                None => {}
                // Paths are made for the few values that need them.
                Some(value) if !nested && keeps(member.shape, value) => {}
                Some(value) => self.check(member.shape, value, &join(path, member.name)),
            }
        }
    }

    /// Structures have paths of their own; the constraints of scalar items are named with the list.
    fn items(&mut self, list: &Shape, member: &Shape, whole: &Value, items: &[Value], path: &str) {
        if matches!(member.kind, Kind::Structure(_) | Kind::List { .. } | Kind::Map { .. }) {
            for (index, item) in items.iter().enumerate() {
                let path = format!("{path}.{}.member", index + 1);
                match item {
                    Value::Null => self.report(member, item, &path, &Constraint::NotNull.text()),
                    item => self.check(member, item, &path),
                }
            }
        } else if items.iter().any(|item| !keeps(member, item)) {
            let text = format!("Member must satisfy constraint: [{}]", all_constraints(self.service, member));
            self.report(list, whole, path, &text);
        }
    }

    fn keys(&mut self, map: &Shape, key: &Shape, whole: &Value, entries: &[(String, Value)], path: &str) {
        if entries.iter().any(|(name, _)| !keeps_text(key, name)) {
            let text = format!("Map keys must satisfy constraint: [{}]", all_constraints(self.service, key));
            self.report(map, whole, path, &text);
        }
    }

    fn entries(&mut self, map: &Shape, entry: &Shape, whole: &Value, entries: &[(String, Value)], path: &str) {
        if matches!(entry.kind, Kind::Structure(_) | Kind::List { .. } | Kind::Map { .. }) {
            for (name, value) in entries {
                let path = format!("{path}.{name}.member");
                match value {
                    Value::Null => self.report(entry, value, &path, &Constraint::NotNull.text()),
                    value => self.check(entry, value, &path),
                }
            }
        } else if entries.iter().any(|(_, value)| !keeps(entry, value)) {
            let text = format!("Map value must satisfy constraint: [{}]", all_constraints(self.service, entry));
            self.report(map, whole, path, &text);
        }
    }

    fn report(&mut self, shape: &Shape, value: &Value, path: &str, constraint: &str) {
        self.count += 1;
        if self.errors.len() < ERRORS_LISTED_MAX {
            let value = describe::value(self.service, shape, value);
            self.errors.push(format!("Value {value}at '{path}' failed to satisfy constraint: {constraint}"));
        }
    }
}

/// A single constraint.
enum Constraint<'a> {
    NotNull,
    LengthMax(i64),
    LengthMin(i64),
    ValueMax(i64),
    ValueMin(i64),
    /// Bounds of a real number are written as one (`1.0`).
    RealMax(i64),
    RealMin(i64),
    Pattern(&'a Pattern),
    OneOf(&'a [&'static str]),
}

impl Constraint<'_> {
    fn text(&self) -> String {
        match self {
            Self::NotNull => "Member must not be null".to_owned(),
            Self::LengthMax(max) => format!("Member must have length less than or equal to {max}"),
            Self::LengthMin(min) => format!("Member must have length greater than or equal to {min}"),
            Self::ValueMax(max) => format!("Member must have value less than or equal to {max}"),
            Self::ValueMin(min) => format!("Member must have value greater than or equal to {min}"),
            Self::RealMax(max) => format!("Member must have value less than or equal to {max}.0"),
            Self::RealMin(min) => format!("Member must have value greater than or equal to {min}.0"),
            Self::Pattern(pattern) => format!("Member must satisfy regular expression pattern: {}", pattern.text),
            Self::OneOf(values) => format!("Member must satisfy enum value set: [{}]", values.join(", ")),
        }
    }
}

/// Whether a value that is no container keeps its constraints. Null does not.
fn keeps(shape: &Shape, value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => keeps_text(shape, text),
        value => {
            let mut broken = Vec::new();
            own_constraints(shape, value, &mut broken);
            broken.is_empty()
        }
    }
}

fn keeps_text(shape: &Shape, text: &str) -> bool {
    let mut broken = Vec::new();
    text_constraints(shape, text, &mut broken);
    broken.is_empty()
}

/// The constraints of the value itself that it breaks.
fn own_constraints<'a>(shape: &'a Shape, value: &Value, broken: &mut Vec<Constraint<'a>>) {
    match (&shape.kind, value) {
        (Kind::Integer(range) | Kind::Long(range), Value::Integer(number)) => in_range(*range, *number, broken),
        (Kind::Double(range), Value::Double(number)) => in_real_range(*range, *number, broken),
        (Kind::Blob(length), Value::Blob(data)) => in_length(*length, data.len(), broken),
        (Kind::List { length, .. }, Value::List(items)) => in_length(*length, items.len(), broken),
        (Kind::Map { length, .. }, Value::Map(entries)) => in_length(*length, entries.len(), broken),
        (Kind::String(_), Value::String(text)) => text_constraints(shape, text, broken),
        _ => {}
    }
}

fn text_constraints<'a>(shape: &'a Shape, text: &str, broken: &mut Vec<Constraint<'a>>) {
    let Kind::String(constraints) = &shape.kind else { return };
    if constraints.length != Bounds::NONE {
        in_length(constraints.length, characters(text), broken);
    }
    if let Some(pattern) = &constraints.pattern
        && !(pattern.regex)().is_match(text)
    {
        broken.push(Constraint::Pattern(pattern));
    }
    if !constraints.values.is_empty() && !constraints.values.contains(&text) {
        broken.push(Constraint::OneOf(constraints.values));
    }
}

/// The length of a text as Java counts it.
pub(crate) fn characters(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

fn in_length(length: Bounds, actual: usize, broken: &mut Vec<Constraint<'_>>) {
    let actual = i64::try_from(actual).unwrap_or(i64::MAX);
    broken.extend(length.max.filter(|max| actual > *max).map(Constraint::LengthMax));
    broken.extend(length.min.filter(|min| actual < *min).map(Constraint::LengthMin));
}

fn in_range(range: Bounds, actual: i64, broken: &mut Vec<Constraint<'_>>) {
    broken.extend(range.max.filter(|max| actual > *max).map(Constraint::ValueMax));
    broken.extend(range.min.filter(|min| actual < *min).map(Constraint::ValueMin));
}

#[expect(clippy::cast_precision_loss, reason = "the models' bounds are small whole numbers")]
fn in_real_range(range: Bounds, actual: f64, broken: &mut Vec<Constraint<'_>>) {
    broken.extend(range.max.filter(|max| actual > *max as f64).map(Constraint::RealMax));
    broken.extend(range.min.filter(|min| actual < *min as f64).map(Constraint::RealMin));
}

/// What an item, a key or an entry has to keep, as one text. Lambda adds that it must not be null.
fn all_constraints(service: &Service, shape: &Shape) -> String {
    let mut all = Vec::new();
    match &shape.kind {
        Kind::String(text) => {
            all.extend(text.length.max.map(Constraint::LengthMax));
            all.extend(text.length.min.map(Constraint::LengthMin));
            all.extend(text.pattern.as_ref().map(Constraint::Pattern));
            if !text.values.is_empty() {
                all.push(Constraint::OneOf(text.values));
            }
        }
        Kind::Integer(range) | Kind::Long(range) => {
            all.extend(range.max.map(Constraint::ValueMax));
            all.extend(range.min.map(Constraint::ValueMin));
        }
        Kind::Double(range) => {
            all.extend(range.max.map(Constraint::RealMax));
            all.extend(range.min.map(Constraint::RealMin));
        }
        _ => {}
    }
    if service.name == "lambda" || all.is_empty() {
        all.push(Constraint::NotNull);
    }
    all.iter().map(Constraint::text).collect::<Vec<_>>().join(", ")
}

/// `streamName` for the member `StreamName`: only the first letter changes.
fn join(path: &str, member: &str) -> String {
    let mut letters = member.chars();
    let first = letters.next().map(|c| c.to_ascii_lowercase());
    let separator = if path.is_empty() { "" } else { "." };
    let mut joined = format!("{path}{separator}");
    joined.extend(first);
    joined.push_str(letters.as_str());
    joined
}
