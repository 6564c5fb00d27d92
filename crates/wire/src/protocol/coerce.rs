//! The texts with which the service refuses a value of the wrong type (recorded: kinesalite tests).

use base64_simd::STANDARD;

use crate::limits::DecodeError;
use crate::shape::{Kind, Shape};

/// What a body held in place of what the shape wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Given<'a> {
    Boolean,
    Number,
    Text(&'a str),
    /// Bytes, which only CBOR has.
    Bytes,
    List,
    Structure,
}

const NUMBER: &str = "class com.amazon.coral.value.json.numbers.TruncatingBigNumber";
const BOOLEAN: &str = "class java.lang.Boolean";
const TEXT: &str = "class java.lang.String";
const BYTES: &str = "class java.nio.HeapByteBuffer";

/// Longest value that an error text repeats, in characters.
pub(crate) const SHOWN_VALUE_MAX: usize = 4096;

/// The error for `given` where a value of `shape` should be.
pub(crate) fn mismatch(shape: &Shape, given: &Given<'_>) -> DecodeError {
    DecodeError::Type(match given {
        Given::List => "Start of list found where not expected".to_owned(),
        Given::Structure => "Start of structure or map found where not expected.".to_owned(),
        _ => match shape.kind {
            Kind::List { .. } => "Expected list or null".to_owned(),
            Kind::Map { .. } => "Expected map or null".to_owned(),
            Kind::Structure(_) => "Expected null".to_owned(),
            _ => scalar_mismatch(shape, given),
        },
    })
}

fn scalar_mismatch(shape: &Shape, given: &Given<'_>) -> String {
    let class = match given {
        Given::Boolean => BOOLEAN,
        Given::Number => NUMBER,
        Given::Bytes => BYTES,
        _ => TEXT,
    };
    match (&shape.kind, given) {
        (Kind::Boolean, Given::Text(text)) => {
            format!("'{}' can not be converted to an Boolean", shown(text).to_uppercase())
        }
        (Kind::Boolean, _) => format!("{class} can not be converted to an Boolean"),
        (Kind::Integer(_), _) => format!("{class} can not be converted to an Integer"),
        (Kind::Long(_), _) => format!("{class} can not be converted to an Long"),
        (Kind::Double(_), _) => format!("{class} can not be converted to an Double"),
        (Kind::Timestamp, _) => format!("{class} can not be converted to milliseconds since epoch"),
        (Kind::Blob(_), _) => format!("{class} can not be converted to a Blob"),
        _ => format!("{class} can not be converted to an String"),
    }
}

/// Decodes base64, or says what is wrong with it.
pub(crate) fn blob(text: &str) -> Result<Vec<u8>, DecodeError> {
    STANDARD.decode_to_vec(text).map_err(|_| not_base64(text))
}

/// The error for a text that is not base64.
pub(crate) fn not_base64(text: &str) -> DecodeError {
    let shown = shown(text);
    let length = text.encode_utf16().count();
    DecodeError::Type(if !length.is_multiple_of(4) {
        format!(
            "'{shown}' can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes but found: {length}"
        )
    } else if let Some(bad) = first_bad_character(text) {
        format!("'{shown}' can not be converted to a Blob: Invalid Base64 character: '{bad}'")
    } else {
        // The misspelling is the service's.
        format!("'{shown}' can not be converted to a Blob: Invalid last non-pad Base64 character dectected")
    })
}

/// The first character outside the alphabet, padding in its place at the end excepted.
fn first_bad_character(text: &str) -> Option<char> {
    let padding = if text.ends_with("==") { 2 } else { usize::from(text.ends_with('=')) };
    let content = &text[..text.len() - padding];
    content.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/')))
}

/// The value as an error text repeats it: cut where it would make the answer huge.
pub(crate) fn shown(text: &str) -> &str {
    match text.char_indices().nth(SHOWN_VALUE_MAX) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}
