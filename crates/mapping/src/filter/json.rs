//! The JSON of a pattern as a tree. Unlike a generic one it keeps the text of numbers; of equal keys the last one wins.

use super::scanner::{NotJson, Scalar, Scanner};

/// Deepest nesting of a pattern; AWS documents no bound, and 4096 characters allow some 680 levels.
pub(super) const PATTERN_DEPTH_MAX: usize = 128;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(String),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

pub(super) fn parse(text: &str) -> Result<Json, NotJson> {
    let mut scanner = Scanner::new(text);
    let value = value(&mut scanner, PATTERN_DEPTH_MAX)?;
    scanner.end()?;
    Ok(value)
}

fn value(scanner: &mut Scanner<'_>, depth: usize) -> Result<Json, NotJson> {
    let open = scanner.peek()?;
    match open {
        b'{' | b'[' if depth == 0 => Err(NotJson),
        b'{' => object(scanner, depth - 1).map(Json::Object),
        b'[' => array(scanner, depth - 1).map(Json::Array),
        _ => Ok(match scanner.scalar()? {
            Scalar::Null => Json::Null,
            Scalar::Bool(value) => Json::Bool(value),
            Scalar::Number(text) => Json::Number(text.to_owned()),
            Scalar::String(text) => Json::String(text.into_owned()),
        }),
    }
}

fn object(scanner: &mut Scanner<'_>, depth: usize) -> Result<Vec<(String, Json)>, NotJson> {
    let mut members: Vec<(String, Json)> = Vec::new();
    let mut more = scanner.enter(b'{')?;
    while more {
        let key = scanner.key()?.decode().into_owned();
        let value = value(scanner, depth)?;
        members.retain(|(known, _)| *known != key);
        members.push((key, value));
        more = scanner.more(b'{')?;
    }
    Ok(members)
}

fn array(scanner: &mut Scanner<'_>, depth: usize) -> Result<Vec<Json>, NotJson> {
    let mut elements = Vec::new();
    let mut more = scanner.enter(b'[')?;
    while more {
        elements.push(value(scanner, depth)?);
        more = scanner.more(b'[')?;
    }
    Ok(elements)
}
