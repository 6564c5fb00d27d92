//! Patterns of words.

use super::refused;
use crate::logs::errors::InvalidParameter;

/// An event matches when it holds all of `required`, none of `excluded`, and one of `alternatives` if there are any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    required: Vec<String>,
    alternatives: Vec<String>,
    excluded: Vec<String>,
}

impl Terms {
    /// Upper and lower case differ, as at AWS.
    pub(super) fn matches(&self, message: &str) -> bool {
        let held = |term: &String| message.contains(term.as_str());
        self.required.iter().all(held)
            && !self.excluded.iter().any(held)
            && (self.alternatives.is_empty() || self.alternatives.iter().any(held))
    }
}

pub(super) fn parse(text: &str) -> Result<Terms, InvalidParameter> {
    let mut terms = Terms::default();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let place = match first {
            '?' => &mut terms.alternatives,
            '-' => &mut terms.excluded,
            _ => &mut terms.required,
        };
        let body = if matches!(first, '?' | '-') { &rest[1..] } else { rest };
        let (term, after) = one_term(body)?;
        place.push(term);
        rest = after.trim_start();
    }
    Ok(terms)
}

fn one_term(text: &str) -> Result<(String, &str), InvalidParameter> {
    if let Some(quoted) = text.strip_prefix('"') {
        return one_phrase(quoted);
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (term, rest) = text.split_at(end);
    if term.starts_with('%') {
        return Err(refused("regular expressions are not supported by this server"));
    }
    if term.is_empty() || !term.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return Err(InvalidParameter(format!("Invalid character(s) in term '{term}'")));
    }
    Ok((term.to_owned(), rest))
}

/// Up to the closing quote; `\"` and `\\` stand for themselves.
fn one_phrase(text: &str) -> Result<(String, &str), InvalidParameter> {
    let mut phrase = String::new();
    let mut characters = text.char_indices();
    while let Some((i, character)) = characters.next() {
        match character {
            '"' => return Ok((phrase, &text[i + 1..])),
            '\\' => match characters.next() {
                Some((_, escaped @ ('"' | '\\'))) => phrase.push(escaped),
                Some((_, other)) => phrase.extend(['\\', other]),
                None => break,
            },
            other => phrase.push(other),
        }
    }
    Err(refused("a quoted phrase does not end"))
}
