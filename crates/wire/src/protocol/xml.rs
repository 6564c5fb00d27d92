//! XML answers of the query protocol, and its dates.

use std::fmt::Write as _;

use millstream_env::Timestamp;

use crate::operation::{OperationShape, Protocol, Service};
use crate::shape::{Kind, Shape};
use crate::value::Value;

const MILLIS_PER_DAY: u64 = 86_400_000;

pub(super) fn encode(
    out: &mut Vec<u8>,
    service: &Service,
    operation: &OperationShape,
    request_id: &str,
    output: &Value,
) {
    let name = operation.name;
    let mut text = format!("<{name}Response xmlns=\"{}\">", namespace(service));
    if let Some(shape) = operation.output {
        element(&mut text, &format!("{name}Result"), shape, output);
    }
    text.push_str("<ResponseMetadata>");
    text_element(&mut text, "RequestId", request_id);
    text.push_str("</ResponseMetadata></");
    text.push_str(name);
    text.push_str("Response>");
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn namespace(service: &Service) -> &'static str {
    match service.protocol {
        Protocol::Query { namespace, .. } | Protocol::Several { namespace, .. } => namespace,
        Protocol::Json { .. } | Protocol::RestJson => "",
    }
}

/// Writes an element whose content is escaped text.
pub(super) fn text_element(out: &mut String, name: &str, text: &str) {
    out.extend(["<", name, ">"]);
    escape(out, text);
    out.extend(["</", name, ">"]);
}

fn element(out: &mut String, name: &str, shape: &Shape, value: &Value) {
    out.extend(["<", name, ">"]);
    content(out, shape, value);
    out.extend(["</", name, ">"]);
}

fn content(out: &mut String, shape: &Shape, value: &Value) {
    match (value, &shape.kind) {
        (Value::Structure(values), Kind::Structure(members)) => {
            for (member, value) in members.iter().zip(values) {
                if let Some(value) = value {
                    element(out, member.name, member.shape, value);
                }
            }
        }
        (Value::List(items), Kind::List { member, .. }) => {
            for item in items {
                element(out, "member", member, item);
            }
        }
        (Value::Map(entries), Kind::Map { value: shape, parts, .. }) => {
            for (key, entry) in entries {
                out.push_str("<entry>");
                text_element(out, parts.0, key);
                element(out, parts.1, shape, entry);
                out.push_str("</entry>");
            }
        }
        (Value::String(text), _) => escape(out, text),
        (Value::Blob(data), _) => base64_simd::STANDARD.encode_append(data, out),
        (Value::Timestamp(timestamp), _) => write_date(out, *timestamp),
        (Value::Boolean(value), _) => write!(out, "{value}").expect("writing to a string succeeds"),
        (Value::Integer(number), _) => write!(out, "{number}").expect("writing to a string succeeds"),
        (Value::Double(number), _) => write!(out, "{number}").expect("writing to a string succeeds"),
        (Value::Null | Value::Structure(_) | Value::List(_) | Value::Map(_), _) => {}
    }
}

/// Characters that XML 1.0 cannot hold become U+FFFD.
fn escape(out: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#xD;"),
            '\n' | '\t' => out.push(letter),
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => out.push(char::REPLACEMENT_CHARACTER),
            _ => out.push(letter),
        }
    }
}

/// `2020-01-17T23:19:12Z`: whole seconds.
fn write_date(out: &mut String, timestamp: Timestamp) {
    let (year, month, day) = civil(timestamp.millis() / MILLIS_PER_DAY);
    let seconds = timestamp.seconds() % 86_400;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
        .expect("writing to a string succeeds");
}

/// Milliseconds of a date as [`write_date`] gives it, with an optional fraction.
pub(super) fn parse_date(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let in_range = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !in_range || fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let millis: u64 = format!("{fraction:0<3}")[..3].parse().ok()?;
    Some(days(year, month, day) * MILLIS_PER_DAY + ((hour * 60 + minute) * 60 + second) * 1000 + millis)
}

fn numbers(text: &str, separator: char) -> Option<[u64; 3]> {
    let mut parts = text.split(separator).map(|part| {
        let digits = part.len() <= 4 && part.bytes().all(|b| b.is_ascii_digit());
        part.parse().ok().filter(|_| digits)
    });
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

/// Days since the epoch of a date of the Gregorian calendar, counted in years that begin in March.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

/// The inverse of [`days`].
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn date(millis: u64) -> String {
        let mut text = String::new();
        write_date(&mut text, Timestamp::from_millis(millis));
        text
    }

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_579_303_152, "2020-01-17T23:19:12Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(date(seconds * 1000), text);
            assert_eq!(parse_date(text), Some(seconds * 1000));
        }
        assert_eq!(parse_date("2020-01-17T23:19:12.5Z"), Some(1_579_303_152_500));
        for bad in [
            "",
            "2020-01-17",
            "2020-13-17T23:19:12Z",
            "2020-01-17T24:19:12Z",
            "2020-01-17T23:19:12",
            "x-1-1T0:0:0Z",
            "1960-01-01T00:00:00Z",
        ] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn text_is_escaped() {
        let mut out = String::new();
        text_element(&mut out, "M", "a<b>&\"c\"\r\u{1}");
        assert_eq!(out, "<M>a&lt;b&gt;&amp;&quot;c&quot;&#xD;\u{fffd}</M>");
    }

    proptest! {
        #[test]
        fn dates_round_trip(seconds in 0_u64..253_402_300_799) {
            prop_assert_eq!(parse_date(&date(seconds * 1000)), Some(seconds * 1000));
        }
    }
}
