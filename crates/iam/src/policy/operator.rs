//! Condition operators (IAM guide, "IAM JSON policy elements: Condition operators").

use std::net::IpAddr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::context::ConditionContext;
use super::pattern::{ArnPattern, Pattern, Syntax};

/// How the values of a key become one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    /// Plain operators.
    Single,
    /// `ForAllValues:`
    All,
    /// `ForAnyValue:`
    Any,
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    String,
    StringIgnoreCase,
    StringLike,
    Numeric(Order),
    Date(Order),
    Bool,
    Binary,
    Ip,
    Arn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn holds<T: PartialOrd>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

/// What an operator's name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Compare {
        comparison: Comparison,
        negated: bool,
        if_exists: bool,
        quantifier: Quantifier,
    },
    /// Whether a key is absent.
    Null,
}

impl Operator {
    /// `None` for a name that is not known. Names ignore case.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        if lower == "null" {
            return Some(Self::Null);
        }
        let (quantifier, rest) = if let Some(rest) = lower.strip_prefix("forallvalues:") {
            (Quantifier::All, rest)
        } else if let Some(rest) = lower.strip_prefix("foranyvalue:") {
            (Quantifier::Any, rest)
        } else {
            (Quantifier::Single, lower.as_str())
        };
        let (base, if_exists) = match rest.strip_suffix("ifexists") {
            Some(base) => (base, true),
            None => (rest, false),
        };
        let (comparison, negated) = comparison(base)?;
        Some(Self::Compare { comparison, negated, if_exists, quantifier })
    }
}

/// The comparison `base` (lower-case) names, and whether it is negated.
fn comparison(base: &str) -> Option<(Comparison, bool)> {
    use Comparison::{Arn, Binary, Bool, Date, Ip, Numeric, String, StringIgnoreCase, StringLike};
    Some(match base {
        "stringequals" => (String, false),
        "stringnotequals" => (String, true),
        "stringequalsignorecase" => (StringIgnoreCase, false),
        "stringnotequalsignorecase" => (StringIgnoreCase, true),
        "stringlike" => (StringLike, false),
        "stringnotlike" => (StringLike, true),
        "bool" => (Bool, false),
        "binaryequals" => (Binary, false),
        "ipaddress" => (Ip, false),
        "notipaddress" => (Ip, true),
        "arnequals" | "arnlike" => (Arn, false),
        "arnnotequals" | "arnnotlike" => (Arn, true),
        _ => {
            if let Some(order) = base.strip_prefix("numeric") {
                let (order, negated) = self::order(order)?;
                (Numeric(order), negated)
            } else {
                let (order, negated) = self::order(base.strip_prefix("date")?)?;
                (Date(order), negated)
            }
        }
    })
}

fn order(name: &str) -> Option<(Order, bool)> {
    Some(match name {
        "equals" => (Order::Equal, false),
        "notequals" => (Order::Equal, true),
        "lessthan" => (Order::Less, false),
        "lessthanequals" => (Order::LessOrEqual, false),
        "greaterthan" => (Order::Greater, false),
        "greaterthanequals" => (Order::GreaterOrEqual, false),
        _ => return None,
    })
}

/// A value of a policy, made ready for its operator. A value that its operator cannot read fits nothing.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    Text { pattern: Pattern, ignore_case: bool },
    Number(f64, Order),
    Moment(i128, Order),
    Flag(bool),
    Network { address: IpAddr, prefix: u8 },
    Arn(ArnPattern),
    Unreadable,
}

impl Expected {
    pub(super) fn compile(text: &str, comparison: Comparison, variables: bool) -> Self {
        let pattern = |wildcards, variables| Pattern::compile(text, Syntax { wildcards, variables });
        let read = match comparison {
            Comparison::String => Some(Self::Text { pattern: pattern(false, variables), ignore_case: false }),
            Comparison::StringIgnoreCase => Some(Self::Text { pattern: pattern(false, variables), ignore_case: true }),
            Comparison::StringLike => Some(Self::Text { pattern: pattern(true, variables), ignore_case: false }),
            Comparison::Binary => Some(Self::Text { pattern: pattern(false, false), ignore_case: false }),
            Comparison::Numeric(order) => number(text).map(|value| Self::Number(value, order)),
            Comparison::Date(order) => moment(text).map(|value| Self::Moment(value, order)),
            Comparison::Bool => flag(text).map(Self::Flag),
            Comparison::Ip => network(text).map(|(address, prefix)| Self::Network { address, prefix }),
            Comparison::Arn => ArnPattern::compile(text, variables).map(Self::Arn),
        };
        read.unwrap_or(Self::Unreadable)
    }

    /// Whether `actual`, a value of the request, fits.
    pub(super) fn matches(&self, actual: &str, context: &ConditionContext) -> bool {
        match self {
            Self::Text { pattern, ignore_case } => pattern.matches(actual, *ignore_case, context),
            Self::Number(expected, order) => number(actual).is_some_and(|actual| order.holds(&actual, expected)),
            Self::Moment(expected, order) => moment(actual).is_some_and(|actual| order.holds(&actual, expected)),
            Self::Flag(expected) => flag(actual) == Some(*expected),
            Self::Network { address, prefix } => actual.parse().is_ok_and(|actual| within(actual, *address, *prefix)),
            Self::Arn(pattern) => pattern.matches(actual, context),
            Self::Unreadable => false,
        }
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// ISO 8601, a day alone, or seconds since 1970; in nanoseconds since 1970.
fn moment(text: &str) -> Option<i128> {
    if let Ok(seconds) = text.parse::<i64>()
        && text.len() != 4
    {
        return Some(i128::from(seconds) * 1_000_000_000);
    }
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    OffsetDateTime::parse(&whole, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp_nanos)
}

fn flag(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address.parse().ok()?, Some(prefix.parse().ok()?)),
        None => (text.parse().ok()?, None),
    };
    let bits = if matches!(address, IpAddr::V4(_)) { 32 } else { 128 };
    let prefix = prefix.unwrap_or(bits);
    (prefix <= bits).then_some((address, prefix))
}

fn within(actual: IpAddr, address: IpAddr, prefix: u8) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)) << 96, 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    };
    let ((left, left_width), (right, right_width)) = (bits(actual), bits(address));
    let mask = if prefix == 0 { 0 } else { u128::MAX << (128 - prefix) };
    left_width == right_width && left & mask == right & mask
}
