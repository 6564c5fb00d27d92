//! Patterns on JSON events: `{ $.a.b[0] = "x*" && ($.n > 3 || $.c IS NULL) }`.

use serde_json::Value;

use super::refused;
use crate::logs::errors::InvalidParameter;

/// How deep conditions may be nested.
const DEPTH_MAX: usize = 16;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Compare(Selector, Comparison, Operand),
    IsNull(Selector),
    Is(Selector, bool),
    NotExists(Selector),
}

/// The steps from the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selector(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    Item(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operand {
    Number(f64),
    /// The parts between wildcards; one part is the whole text.
    Text(Vec<String>),
}

impl Condition {
    pub(super) fn holds(&self, event: &Value) -> bool {
        match self {
            Self::All(conditions) => conditions.iter().all(|condition| condition.holds(event)),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.holds(event)),
            Self::IsNull(selector) => selector.find(event).is_some_and(Value::is_null),
            Self::Is(selector, wanted) => selector.find(event).and_then(Value::as_bool) == Some(*wanted),
            Self::NotExists(selector) => selector.find(event).is_none(),
            Self::Compare(selector, comparison, operand) => {
                selector.find(event).is_some_and(|value| comparison.holds(value, operand))
            }
        }
    }
}

impl Selector {
    fn find<'a>(&self, event: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(event, |value, step| match step {
            Step::Member(name) => value.get(name),
            Step::Item(index) => value.get(index),
        })
    }
}

impl Comparison {
    fn holds(self, value: &Value, operand: &Operand) -> bool {
        match (operand, value) {
            (Operand::Number(wanted), Value::Number(number)) => {
                let order = number.as_f64().and_then(|number| number.partial_cmp(wanted));
                order.is_some_and(|order| match self {
                    Self::Equal => order.is_eq(),
                    Self::NotEqual => order.is_ne(),
                    Self::Greater => order.is_gt(),
                    Self::GreaterOrEqual => order.is_ge(),
                    Self::Less => order.is_lt(),
                    Self::LessOrEqual => order.is_le(),
                })
            }
            (Operand::Text(parts), Value::String(text)) => match self {
                Self::Equal => matches_parts(text, parts),
                Self::NotEqual => !matches_parts(text, parts),
                _ => false,
            },
            _ => self == Self::NotEqual,
        }
    }
}

/// `*` stands between parts for any text.
fn matches_parts(text: &str, parts: &[String]) -> bool {
    let [first, middle @ .., last] = parts else { return parts.first().is_some_and(|whole| whole == text) };
    let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
    for part in middle {
        let Some(at) = rest.find(part.as_str()) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last.as_str())
}

pub(super) fn parse(text: &str) -> Result<Condition, InvalidParameter> {
    let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    let mut parser = Parser { rest: inner.ok_or_else(|| refused("a JSON pattern ends with }"))? };
    let condition = parser.any(0)?;
    parser.skip_space();
    if parser.rest.is_empty() { Ok(condition) } else { Err(unexpected(parser.rest)) }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn any(&mut self, depth: usize) -> Result<Condition, InvalidParameter> {
        if depth > DEPTH_MAX {
            return Err(refused("conditions are nested too deeply"));
        }
        let mut conditions = vec![self.all(depth)?];
        while self.take("||") {
            conditions.push(self.all(depth)?);
        }
        Ok(single(conditions, Condition::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Condition, InvalidParameter> {
        let mut conditions = vec![self.one(depth)?];
        while self.take("&&") {
            conditions.push(self.one(depth)?);
        }
        Ok(single(conditions, Condition::All))
    }

    fn one(&mut self, depth: usize) -> Result<Condition, InvalidParameter> {
        if self.take("(") {
            let condition = self.any(depth + 1)?;
            return if self.take(")") { Ok(condition) } else { Err(refused("a parenthesis is not closed")) };
        }
        let selector = self.selector()?;
        if self.take("NOT EXISTS") {
            return Ok(Condition::NotExists(selector));
        }
        if self.take("IS") {
            return self.is(selector);
        }
        let comparison = self.comparison()?;
        let operand = self.operand()?;
        let ordered = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        if ordered && matches!(operand, Operand::Text(_)) {
            return Err(refused("texts can only be compared with = and !="));
        }
        Ok(Condition::Compare(selector, comparison, operand))
    }

    fn is(&mut self, selector: Selector) -> Result<Condition, InvalidParameter> {
        if self.take("NULL") {
            Ok(Condition::IsNull(selector))
        } else if self.take("TRUE") {
            Ok(Condition::Is(selector, true))
        } else if self.take("FALSE") {
            Ok(Condition::Is(selector, false))
        } else {
            Err(unexpected(self.rest))
        }
    }

    fn selector(&mut self) -> Result<Selector, InvalidParameter> {
        if !self.take("$") {
            return Err(unexpected(self.rest));
        }
        let mut steps = Vec::new();
        loop {
            if let Some(rest) = self.rest.strip_prefix('.') {
                self.rest = rest;
                steps.push(Step::Member(self.word(|c| c.is_alphanumeric() || "_-".contains(c))?.to_owned()));
            } else if let Some(rest) = self.rest.strip_prefix('[') {
                self.rest = rest;
                let digits = self.word(|c| c.is_ascii_digit())?;
                let index = digits.parse().map_err(|_| refused("an index is too large"))?;
                self.rest = self.rest.strip_prefix(']').ok_or_else(|| unexpected(self.rest))?;
                steps.push(Step::Item(index));
            } else {
                break;
            }
        }
        if steps.is_empty() { Err(refused("$ selects nothing")) } else { Ok(Selector(steps)) }
    }

    fn comparison(&mut self) -> Result<Comparison, InvalidParameter> {
        for (text, comparison) in [
            ("!=", Comparison::NotEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<=", Comparison::LessOrEqual),
            ("=", Comparison::Equal),
            (">", Comparison::Greater),
            ("<", Comparison::Less),
        ] {
            if self.take(text) {
                return Ok(comparison);
            }
        }
        Err(unexpected(self.rest))
    }

    fn operand(&mut self) -> Result<Operand, InvalidParameter> {
        self.skip_space();
        if self.rest.starts_with('%') {
            return Err(refused("regular expressions are not supported by this server"));
        }
        if let Some(rest) = self.rest.strip_prefix('"') {
            let end = rest.find('"').ok_or_else(|| refused("a quoted text does not end"))?;
            let (text, after) = rest.split_at(end);
            self.rest = &after[1..];
            return Ok(text_operand(text));
        }
        let word = self.word(|c| !c.is_whitespace() && !"()&|\"".contains(c))?;
        Ok(match word.parse::<f64>() {
            Ok(number) if number.is_finite() => Operand::Number(number),
            _ => text_operand(word),
        })
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> Result<&'a str, InvalidParameter> {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        if word.is_empty() { Err(unexpected(rest)) } else { Ok(word) }
    }

    fn take(&mut self, text: &str) -> bool {
        self.skip_space();
        let Some(rest) = self.rest.strip_prefix(text) else { return false };
        self.rest = rest;
        true
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }
}

fn text_operand(text: &str) -> Operand {
    Operand::Text(text.split('*').map(str::to_owned).collect())
}

fn single(mut conditions: Vec<Condition>, of_several: impl Fn(Vec<Condition>) -> Condition) -> Condition {
    if conditions.len() == 1 { conditions.remove(0) } else { of_several(conditions) }
}

fn unexpected(rest: &str) -> InvalidParameter {
    match rest.chars().next() {
        Some(character) => refused(&format!("'{character}' is not expected there")),
        None => refused("it ends too early"),
    }
}
