//! Filter patterns: which events `FilterLogEvents` answers.
//!
//! Words that must all be there (`error "two words"`), alternatives (`?warn ?error`), exclusions (`-debug`), and
//! conditions on JSON events (`{ $.level = "error" && $.code >= 500 }`). Space-delimited (`[a, b]`) and regular
//! expression (`%…%`) patterns are refused.

mod json;
mod terms;
#[cfg(test)]
mod tests;

use super::errors::InvalidParameter;

/// A parsed pattern.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Pattern {
    All,
    Terms(terms::Terms),
    Json(json::Condition),
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidParameter> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self::All);
        }
        if text.starts_with('[') {
            return Err(refused("space-delimited patterns are not supported by this server"));
        }
        if text.starts_with('{') {
            return json::parse(text).map(Self::Json);
        }
        terms::parse(text).map(Self::Terms)
    }

    pub(crate) fn matches(&self, message: &str) -> bool {
        match self {
            Self::All => true,
            Self::Terms(terms) => terms.matches(message),
            Self::Json(condition) => {
                serde_json::from_str(message).is_ok_and(|value: serde_json::Value| condition.holds(&value))
            }
        }
    }
}

fn refused(reason: &str) -> InvalidParameter {
    InvalidParameter(format!("Invalid filter pattern: {reason}"))
}
