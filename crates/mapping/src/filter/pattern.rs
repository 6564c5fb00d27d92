//! What a pattern may say (EventBridge's content filtering), and its form as alternatives of conditions on paths.

use super::PATTERN_CHARACTERS_MAX;
use super::cidr::Cidr;
use super::condition::{Condition, Range, Test};
use super::decimal::millionths;
use super::json::{self, Json};
use super::tree::{Branch, Builder, NodeId, ROOT};
use super::wildcard::Wildcard;

/// Most combinations that the `$or` of one pattern may make. A pattern beyond it is refused.
pub(super) const BRANCHES_MAX: usize = 1000;
/// Most conditions that those combinations may hold together.
pub(super) const BRANCH_CONDITIONS_MAX: usize = 20_000;

const OR: &str = "$or";
/// Names that mean an operator and so cannot be keys inside of `$or`.
const OPERATORS: [&str; 9] =
    ["exactly", "prefix", "suffix", "equals-ignore-case", "anything-but", "numeric", "exists", "wildcard", "cidr"];

/// Why a pattern is refused.
type Reason = &'static str;

/// Adds the pattern `text` to those in `builder`.
pub(super) fn compile(text: &str, builder: &mut Builder) -> Result<(), Reason> {
    if text.chars().count() > PATTERN_CHARACTERS_MAX {
        return Err("a pattern has at most 4096 characters");
    }
    let Ok(Json::Object(members)) = json::parse(text) else { return Err("a pattern is a JSON object") };
    for branch in object(&members, ROOT, false, builder)? {
        builder.add(branch);
    }
    Ok(())
}

/// The alternatives of the object at `node`; `in_or`: it is somewhere inside of `$or`.
fn object(members: &[(String, Json)], node: NodeId, in_or: bool, builder: &mut Builder) -> Result<Vec<Branch>, Reason> {
    if members.is_empty() {
        return Err("an object of a pattern is not empty");
    }
    let mut branches = vec![Branch::default()];
    for (key, value) in members {
        let alternatives = match value {
            value if key == OR => alternatives(value, node, builder)?,
            _ if in_or && OPERATORS.contains(&key.as_str()) => return Err("$or holds objects with keys of the record"),
            Json::Array(_) if node == ROOT && key == "data" => return Err("data is matched by an object"),
            Json::Array(values) => {
                let condition = builder.condition(condition(values)?);
                vec![Branch::of(builder.child(node, key), condition)]
            }
            Json::Object(members) => object(members, builder.child(node, key), in_or, builder)?,
            _ => return Err("a key has an array or an object"),
        };
        branches = both(&branches, &alternatives)?;
    }
    Ok(branches)
}

fn alternatives(value: &Json, node: NodeId, builder: &mut Builder) -> Result<Vec<Branch>, Reason> {
    let Json::Array(elements) = value else { return Err("$or has an array") };
    if elements.len() < 2 {
        return Err("$or has at least two objects");
    }
    let mut branches = Vec::new();
    for element in elements {
        let Json::Object(members) = element else { return Err("$or has objects only") };
        branches.extend(object(members, node, true, builder)?);
        bounded(&branches)?;
    }
    Ok(branches)
}

/// Every way in which one of `left` and one of `right` hold.
fn both(left: &[Branch], right: &[Branch]) -> Result<Vec<Branch>, Reason> {
    let conditions = |branches: &[Branch]| branches.iter().map(Branch::len).sum::<usize>();
    if left.len() * right.len() > BRANCHES_MAX
        || conditions(left) * right.len() + conditions(right) * left.len() > BRANCH_CONDITIONS_MAX
    {
        return Err("$or makes too many combinations");
    }
    Ok(left.iter().flat_map(|l| right.iter().map(move |r| l.and(r))).collect())
}

fn bounded(branches: &[Branch]) -> Result<(), Reason> {
    if branches.len() > BRANCHES_MAX || branches.iter().map(Branch::len).sum::<usize>() > BRANCH_CONDITIONS_MAX {
        return Err("$or makes too many combinations");
    }
    Ok(())
}

fn condition(values: &[Json]) -> Result<Condition, Reason> {
    if values.is_empty() {
        return Err("an array of a pattern is not empty");
    }
    let mut condition = Condition { tests: Vec::new(), or_absent: false };
    for value in values {
        match value {
            Json::Null => condition.tests.push(Test::Null),
            Json::Bool(value) => condition.tests.push(Test::Bool(*value)),
            Json::Number(text) => condition.tests.push(Test::Number(text.as_str().into())),
            Json::String(text) => condition.tests.push(Test::String(text.as_str().into())),
            Json::Array(_) => return Err("an array of a pattern holds no arrays"),
            Json::Object(members) => match single(members)? {
                ("exists", Json::Bool(false)) => condition.or_absent = true,
                (name, operand) => condition.tests.push(operator(name, operand)?),
            },
        }
    }
    Ok(condition)
}

/// The test of an operator: the one place that says which ones there are.
fn operator(name: &str, operand: &Json) -> Result<Test, Reason> {
    match (name, operand) {
        ("exists", Json::Bool(true)) => Ok(Test::Exists),
        ("exists", _) => Err("exists is true or false"),
        ("numeric", Json::Array(terms)) => range(terms).map(Test::Numeric),
        ("anything-but", operand) => anything_but(operand).map(Test::Not),
        ("exactly", Json::String(text)) => Ok(Test::String(text.as_str().into())),
        ("cidr", Json::String(text)) => Cidr::parse(text).map(Test::Cidr).ok_or("cidr is an address and its bits"),
        ("prefix", Json::Object(members)) => Ok(Test::PrefixIgnoreCase(ignore_case(members)?)),
        ("suffix", Json::Object(members)) => Ok(Test::SuffixIgnoreCase(ignore_case(members)?)),
        (_, Json::String(text)) => text_operator(name, text),
        _ => Err("an operator is not known or has the wrong kind of value"),
    }
}

/// The operators that `anything-but` takes too.
fn text_operator(name: &str, text: &str) -> Result<Test, Reason> {
    match name {
        "prefix" => Ok(Test::Prefix(text.into())),
        "suffix" => Ok(Test::Suffix(text.into())),
        "equals-ignore-case" => Ok(Test::EqualsIgnoreCase(text.into())),
        "wildcard" => Wildcard::parse(text).map(Test::Wildcard).ok_or("a wildcard has ** or a wrong escape"),
        _ => Err("an operator is not known or has the wrong kind of value"),
    }
}

fn ignore_case(members: &[(String, Json)]) -> Result<Box<str>, Reason> {
    match single(members)? {
        ("equals-ignore-case", Json::String(text)) => Ok(text.as_str().into()),
        _ => Err("prefix and suffix take a text or equals-ignore-case"),
    }
}

fn anything_but(operand: &Json) -> Result<Vec<Test>, Reason> {
    let tests: Vec<Test> = match operand {
        Json::Object(members) => {
            let (name, operand) = single(members)?;
            one_or_more(operand).iter().map(|value| anything_but_operator(name, value)).collect::<Result<_, _>>()?
        }
        operand => one_or_more(operand).iter().map(anything_but_value).collect::<Result<_, _>>()?,
    };
    let texts = tests.iter().filter(|test| matches!(test, Test::String(_))).count();
    let numbers = tests.iter().filter(|test| matches!(test, Test::Numeric(_))).count();
    if tests.is_empty() || (texts > 0 && numbers > 0) {
        return Err("anything-but has texts or numbers, not both");
    }
    Ok(tests)
}

fn one_or_more(value: &Json) -> &[Json] {
    if let Json::Array(values) = value { values } else { std::slice::from_ref(value) }
}

fn anything_but_value(value: &Json) -> Result<Test, Reason> {
    match value {
        Json::String(text) => Ok(Test::String(text.as_str().into())),
        Json::Number(text) => number(text).map(|number| Test::Numeric(Range { low: number, high: number })),
        _ => Err("anything-but has texts or numbers"),
    }
}

fn anything_but_operator(name: &str, value: &Json) -> Result<Test, Reason> {
    match value {
        Json::String(text) if text.is_empty() && matches!(name, "prefix" | "suffix") => {
            Err("anything-but has no empty prefix or suffix")
        }
        Json::String(text) => text_operator(name, text),
        _ => Err("an operator inside of anything-but has texts"),
    }
}

/// `["=", n]`, `[">", n]` and the like, or a lower and an upper bound in this order.
fn range(terms: &[Json]) -> Result<Range, Reason> {
    match terms {
        [sign, value] => bound(sign, value),
        [low_sign, low, high_sign, high] => {
            let signs = [low_sign, high_sign].map(|sign| if let Json::String(sign) = sign { sign } else { "" });
            if !matches!(signs, [">" | ">=", "<" | "<="]) {
                return Err("a numeric range has a lower and then an upper bound");
            }
            if operand_number(low)? >= operand_number(high)? {
                return Err("a numeric range has its lower bound first");
            }
            Ok(Range { low: bound(low_sign, low)?.low, high: bound(high_sign, high)?.high })
        }
        _ => Err("numeric has one comparison or a range"),
    }
}

fn bound(sign: &Json, value: &Json) -> Result<Range, Reason> {
    let number = operand_number(value)?;
    let Json::String(sign) = sign else { return Err("numeric has pairs of a sign and a number") };
    match sign.as_str() {
        "=" => Ok(Range { low: number, high: number }),
        "<" => Ok(Range { high: number - 1, ..Range::ALL }),
        "<=" => Ok(Range { high: number, ..Range::ALL }),
        ">" => Ok(Range { low: number + 1, ..Range::ALL }),
        ">=" => Ok(Range { low: number, ..Range::ALL }),
        _ => Err("numeric has one of the signs = < <= > >="),
    }
}

fn operand_number(value: &Json) -> Result<i64, Reason> {
    if let Json::Number(text) = value { number(text) } else { Err("numeric has pairs of a sign and a number") }
}

fn number(text: &str) -> Result<i64, Reason> {
    millionths(text).ok_or("a number is between -5.0e9 and 5.0e9")
}

fn single(members: &[(String, Json)]) -> Result<(&str, &Json), Reason> {
    match members {
        [(name, operand)] => Ok((name, operand)),
        _ => Err("an operator stands alone in its object"),
    }
}
