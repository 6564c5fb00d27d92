//! awsQuery requests: a form whose keys are paths (`Tags.member.1.Key`).

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_env::Timestamp;
use percent_encoding::percent_decode;

use crate::limits::{DEPTH_MAX, DecodeError, VALUES_MAX};
use crate::protocol::coerce::{self, Given, mismatch};
use crate::protocol::rest_json::scalar;
use crate::protocol::{Request, xml};
use crate::shape::{Kind, Shape};
use crate::value::Value;

/// The pairs of a form, decoded.
pub type Form<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// Reads `application/x-www-form-urlencoded` text; `None` when it is not that or holds too many pairs.
pub fn parse_form(text: &[u8]) -> Option<Form<'_>> {
    let pieces = text.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty());
    let mut form = Form::new();
    for piece in pieces {
        if form.len() == VALUES_MAX {
            return None;
        }
        let split = memchr::memchr(b'=', piece).unwrap_or(piece.len());
        form.push((form_text(&piece[..split])?, form_text(piece.get(split + 1..).unwrap_or_default())?));
    }
    Some(form)
}

/// As [`parse_form`], for a query string.
pub(super) fn form_pairs(text: &str) -> Result<Form<'_>, DecodeError> {
    parse_form(text.as_bytes()).ok_or(DecodeError::Malformed)
}

fn form_text(raw: &[u8]) -> Option<Cow<'_, str>> {
    if !raw.contains(&b'+') {
        return percent_decode(raw).decode_utf8().ok();
    }
    let spaced: Vec<u8> = raw.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let text = percent_decode(&spaced).decode_utf8().ok()?.into_owned();
    Some(Cow::Owned(text))
}

/// Decodes the input from the form in the body, and from the query string, which `GET` uses.
pub(super) fn decode(shape: &'static Shape, request: &Request<'_>) -> Result<Value, DecodeError> {
    let mut root = Node::default();
    for form in [request.query.as_bytes(), &request.body[..]] {
        for (key, text) in parse_form(form).ok_or(DecodeError::Malformed)? {
            root.insert(&key, text.into_owned())?;
        }
    }
    structure(shape, &mut root)
}

/// The pairs below one path.
#[derive(Debug, Default)]
struct Node {
    text: Option<String>,
    children: BTreeMap<String, Node>,
}

impl Node {
    fn insert(&mut self, key: &str, text: String) -> Result<(), DecodeError> {
        let mut node = self;
        for (depth, segment) in key.split('.').enumerate() {
            if depth == DEPTH_MAX {
                return Err(DecodeError::Malformed);
            }
            node = node.children.entry(segment.to_owned()).or_default();
        }
        node.text = Some(text);
        Ok(())
    }

    /// The children under `name` (or, in the flattened form, directly below), by number.
    fn numbered(&mut self, name: &str) -> Vec<Node> {
        let inner = self.children.remove(name).unwrap_or_else(|| std::mem::take(self));
        let mut numbered: Vec<(u32, Node)> =
            inner.children.into_iter().filter_map(|(number, node)| Some((number.parse().ok()?, node))).collect();
        numbered.sort_by_key(|(number, _)| *number);
        numbered.into_iter().map(|(_, node)| node).collect()
    }
}

fn structure(shape: &'static Shape, node: &mut Node) -> Result<Value, DecodeError> {
    let mut members = Vec::with_capacity(shape.members().len());
    for member in shape.members() {
        members.push(match node.children.get_mut(member.name) {
            Some(child) => value(member.shape, child)?,
            None => None,
        });
    }
    Ok(Value::Structure(members))
}

fn value(shape: &'static Shape, node: &mut Node) -> Result<Option<Value>, DecodeError> {
    Ok(match &shape.kind {
        Kind::Structure(_) => Some(structure(shape, node)?),
        Kind::List { member, .. } => {
            let mut items = Vec::new();
            for mut item in node.numbered("member") {
                items.push(value(member, &mut item)?.unwrap_or(Value::Null));
            }
            Some(Value::List(items))
        }
        Kind::Map { value: entry, parts, .. } => {
            let mut entries = Vec::new();
            for mut pair in node.numbered("entry") {
                let key = pair.children.remove(parts.0).and_then(|node| node.text).unwrap_or_default();
                let given = match pair.children.get_mut(parts.1) {
                    Some(child) => value(entry, child)?,
                    None => None,
                };
                entries.push((key, given.unwrap_or(Value::Null)));
            }
            Some(Value::Map(entries))
        }
        _ => match &node.text {
            Some(text) => Some(from_text(shape, text)?),
            None if node.children.is_empty() => None,
            None => return Err(mismatch(shape, &Given::Structure)),
        },
    })
}

fn from_text(shape: &Shape, text: &str) -> Result<Value, DecodeError> {
    match shape.kind {
        Kind::Blob(_) => Ok(Value::Blob(Bytes::from(coerce::blob(text)?))),
        Kind::Timestamp => {
            let millis = xml::parse_date(text).ok_or_else(|| mismatch(shape, &Given::Text(text)))?;
            Ok(Value::Timestamp(Timestamp::from_millis(millis)))
        }
        _ => scalar(shape, text),
    }
}
