//! What a pattern asks of a single value.

use super::cidr::Cidr;
use super::decimal::{MILLIONTHS_MAX, millionths};
use super::scanner::Scalar;
use super::wildcard::Wildcard;

/// The array of a pattern at one path: any of its members suffices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) tests: Vec<Test>,
    /// `{"exists": false}` is among them.
    pub(super) or_absent: bool,
}

impl Condition {
    pub(super) fn matches(&self, value: &Scalar<'_>) -> bool {
        self.tests.iter().any(|test| test.matches(value))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Test {
    Null,
    Bool(bool),
    /// The same text: `300` is not `300.0` (documented for Lambda).
    Number(Box<str>),
    String(Box<str>),
    EqualsIgnoreCase(Box<str>),
    Prefix(Box<str>),
    PrefixIgnoreCase(Box<str>),
    Suffix(Box<str>),
    SuffixIgnoreCase(Box<str>),
    Wildcard(Wildcard),
    Cidr(Cidr),
    Numeric(Range),
    /// `{"exists": true}`.
    Exists,
    /// `anything-but`: none of these, but some value.
    Not(Vec<Test>),
}

/// Numbers from `low` to `high`, both included, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) low: i64,
    pub(super) high: i64,
}

impl Range {
    pub(super) const ALL: Self = Self { low: -MILLIONTHS_MAX, high: MILLIONTHS_MAX };
}

impl Test {
    fn matches(&self, value: &Scalar<'_>) -> bool {
        match (self, value) {
            (Self::Exists, _) | (Self::Null, Scalar::Null) => true,
            (Self::Not(tests), value) => !tests.iter().any(|test| test.matches(value)),
            (Self::Bool(expected), Scalar::Bool(value)) => expected == value,
            (Self::Number(expected), Scalar::Number(text)) => **expected == **text,
            (Self::Numeric(range), Scalar::Number(text)) => {
                millionths(text).is_some_and(|number| range.low <= number && number <= range.high)
            }
            (test, Scalar::String(text)) => test.matches_text(text),
            _ => false,
        }
    }

    fn matches_text(&self, text: &str) -> bool {
        match self {
            Self::String(expected) => **expected == *text,
            Self::Prefix(prefix) => text.starts_with(&**prefix),
            Self::Suffix(suffix) => text.ends_with(&**suffix),
            Self::EqualsIgnoreCase(expected) => {
                text.chars().count() == expected.chars().count() && same_start(text.chars(), expected.chars())
            }
            Self::PrefixIgnoreCase(prefix) => same_start(text.chars(), prefix.chars()),
            Self::SuffixIgnoreCase(suffix) => same_start(text.chars().rev(), suffix.chars().rev()),
            Self::Wildcard(wildcard) => wildcard.matches(text),
            Self::Cidr(cidr) => cidr.contains(text),
            _ => false,
        }
    }
}

/// Whether `text` begins with `start`, letters of either case taken as equal.
fn same_start(mut text: impl Iterator<Item = char>, mut start: impl Iterator<Item = char>) -> bool {
    start.all(|expected| text.next().is_some_and(|character| same_letter(character, expected)))
}

fn same_letter(a: char, b: char) -> bool {
    a == b
        || if a.is_ascii() && b.is_ascii() {
            a.eq_ignore_ascii_case(&b)
        } else {
            a.to_lowercase().eq(b.to_lowercase()) || a.to_uppercase().eq(b.to_uppercase())
        }
}
