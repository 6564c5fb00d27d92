//! Policy documents from text, refused as IAM refuses them.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};

use super::condition::Condition;
use super::document::{Document, DocumentKind, Effect, Listed, Statement};
use super::pattern::{ArnPattern, Pattern, Syntax};
use super::principal::PrincipalPattern;

/// A policy document that is none; the text is AWS's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MalformedPolicy(pub String);

type Parsed<T> = Result<T, MalformedPolicy>;

fn malformed<T>(text: impl Into<String>) -> Parsed<T> {
    Err(MalformedPolicy(text.into()))
}

fn syntax<T>() -> Parsed<T> {
    malformed("Syntax errors in policy.")
}

impl Document {
    pub(crate) fn parse(text: &str, kind: DocumentKind) -> Parsed<Self> {
        let Ok(value) = serde_json::from_str::<Value>(text) else {
            return malformed("This policy contains invalid Json");
        };
        let Value::Object(top) = value else { return syntax() };
        if top.keys().any(|key| !matches!(key.as_str(), "Version" | "Id" | "Statement")) {
            return syntax();
        }
        let variables = match top.get("Version") {
            None => false,
            Some(Value::String(version)) if version == "2008-10-17" => false,
            Some(Value::String(version)) if version == "2012-10-17" => true,
            Some(Value::String(_)) => return malformed("Policy document must be version 2012-10-17 or greater."),
            Some(_) => return syntax(),
        };
        if top.get("Id").is_some_and(|id| !id.is_string()) {
            return syntax();
        }
        let statements = match top.get("Statement") {
            Some(Value::Array(list)) if !list.is_empty() => list.iter().collect(),
            Some(statement @ Value::Object(_)) => vec![statement],
            _ => return syntax(),
        };
        let mut sids = HashSet::new();
        let statements = statements.into_iter().map(|statement| {
            let Value::Object(statement) = statement else { return syntax() };
            check_sid(statement, &mut sids)?;
            parse_statement(statement, kind, variables)
        });
        Ok(Self { statements: statements.collect::<Parsed<_>>()? })
    }

    /// Account, name and ARN of the roles it names as principals, which must exist when a trust policy is saved.
    pub(crate) fn named_roles(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let principals = self.statements.iter().filter_map(|statement| statement.principals.as_ref());
        principals.flat_map(|listed| &listed.patterns).filter_map(|pattern| match pattern {
            PrincipalPattern::Role { account, name, arn, .. } => Some((account.as_str(), name.as_str(), arn.as_str())),
            _ => None,
        })
    }

    /// Lets each role it names stand for the one with the unique id in `ids` (by ARN) only.
    pub(crate) fn pin_roles(&mut self, ids: &BTreeMap<String, String>) {
        let principals = self.statements.iter_mut().filter_map(|statement| statement.principals.as_mut());
        for pattern in principals.flat_map(|listed| &mut listed.patterns) {
            if let PrincipalPattern::Role { arn, id, .. } = pattern {
                *id = ids.get(arn).cloned();
            }
        }
    }

    /// Condition operators that are not known.
    pub(crate) fn unknown_operators(&self) -> impl Iterator<Item = &str> {
        self.statements.iter().flat_map(|statement| &statement.conditions).filter_map(Condition::unknown_operator)
    }
}

fn check_sid(statement: &Map<String, Value>, sids: &mut HashSet<String>) -> Parsed<()> {
    match statement.get("Sid") {
        None => Ok(()),
        Some(Value::String(sid)) if sid.is_empty() || sids.insert(sid.clone()) => Ok(()),
        Some(Value::String(_)) => malformed("Statement IDs (SID) in a single policy must be unique."),
        Some(_) => syntax(),
    }
}

fn parse_statement(statement: &Map<String, Value>, kind: DocumentKind, variables: bool) -> Parsed<Statement> {
    const KNOWN: [&str; 9] =
        ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];
    if statement.keys().any(|key| !KNOWN.contains(&key.as_str())) {
        return syntax();
    }
    let prohibited: &[&str] = match kind {
        DocumentKind::Identity => &["Principal", "NotPrincipal"],
        DocumentKind::Trust => &["Resource", "NotResource"],
        DocumentKind::Resource => &[],
    };
    if let Some(field) = prohibited.iter().find(|field| statement.contains_key(**field)) {
        return malformed(format!("Has prohibited field {field}"));
    }
    let effect = match statement.get("Effect").and_then(Value::as_str) {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        _ => return syntax(),
    };
    let principals = match either(statement, "Principal", "NotPrincipal")? {
        None if kind == DocumentKind::Identity => None,
        None => return malformed("Missing required field Principal"),
        Some((negated, value)) => Some(Listed { negated, patterns: parse_principals(value)? }),
    };
    let actions = match either(statement, "Action", "NotAction")? {
        None => return malformed("Policy statement must contain actions."),
        Some((negated, value)) => parse_actions(negated, value, kind)?,
    };
    let resources = match either(statement, "Resource", "NotResource")? {
        None if kind == DocumentKind::Trust => None,
        None => return malformed("Policy statement must contain resources."),
        Some((negated, value)) => Some(parse_resources(negated, value, variables)?),
    };
    let conditions = statement.get("Condition").map_or(Ok(Vec::new()), |value| parse_conditions(value, variables))?;
    Ok(Statement { effect, principals, actions, resources, conditions })
}

/// The value of `plain` or `not`, and whether it is the latter. Both at once are refused.
fn either<'a>(statement: &'a Map<String, Value>, plain: &str, not: &str) -> Parsed<Option<(bool, &'a Value)>> {
    match (statement.get(plain), statement.get(not)) {
        (Some(_), Some(_)) => syntax(),
        (Some(value), None) => Ok(Some((false, value))),
        (None, Some(value)) => Ok(Some((true, value))),
        (None, None) => Ok(None),
    }
}

/// A string or a list of strings.
fn strings(value: &Value) -> Parsed<Vec<&str>> {
    match value {
        Value::String(text) => Ok(vec![text]),
        Value::Array(list) => list.iter().map(|item| item.as_str().map_or_else(syntax, Ok)).collect(),
        _ => syntax(),
    }
}

fn parse_principals(value: &Value) -> Parsed<Vec<PrincipalPattern>> {
    let map = match value {
        Value::String(text) if text == "*" => return Ok(vec![PrincipalPattern::Any]),
        Value::Object(map) if !map.is_empty() => map,
        _ => return syntax(),
    };
    let mut patterns = Vec::new();
    for (kind, values) in map {
        for text in strings(values)? {
            let pattern = match kind.as_str() {
                "AWS" => PrincipalPattern::parse_aws(text),
                "Service" if text.contains(".amazonaws.com") => Some(PrincipalPattern::Service(text.to_owned())),
                "Service" => None,
                "Federated" | "CanonicalUser" => Some(PrincipalPattern::Foreign),
                _ => return syntax(),
            };
            match pattern {
                Some(pattern) => patterns.push(pattern),
                None => return invalid_principal(kind, text),
            }
        }
    }
    if patterns.is_empty() { syntax() } else { Ok(patterns) }
}

/// The refusal of a principal that names nothing. AWS writes the kind in capitals.
fn invalid_principal<T>(kind: &str, text: &str) -> Parsed<T> {
    malformed(format!("Invalid principal in policy: \"{}\":\"{text}\"", kind.to_ascii_uppercase()))
}

fn parse_actions(negated: bool, value: &Value, kind: DocumentKind) -> Parsed<Listed<Pattern>> {
    let texts = strings(value)?;
    if texts.is_empty() {
        return malformed("Policy statement must contain actions.");
    }
    for text in &texts {
        check_action(text)?;
        if kind == DocumentKind::Trust && !text.to_ascii_lowercase().starts_with("sts:") {
            return malformed("AssumeRole policy may only specify STS AssumeRole actions.");
        }
    }
    let form = Syntax { wildcards: true, variables: false };
    Ok(Listed { negated, patterns: texts.into_iter().map(|text| Pattern::compile(text, form)).collect() })
}

fn check_action(text: &str) -> Parsed<()> {
    if text == "*" {
        return Ok(());
    }
    let Some((vendor, name)) = text.split_once(':') else {
        return malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.");
    };
    if name.contains(':') {
        return malformed("Actions/Condition can contain only one colon.");
    }
    let valid = vendor == "*"
        || !vendor.is_empty() && vendor.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    if valid { Ok(()) } else { malformed(format!("Vendor {vendor} is not valid")) }
}

fn parse_resources(negated: bool, value: &Value, variables: bool) -> Parsed<Listed<ArnPattern>> {
    let texts = strings(value)?;
    if texts.is_empty() {
        return malformed("Policy statement must contain resources.");
    }
    let patterns = texts.into_iter().map(|text| {
        if text != "*" && !text.starts_with("arn:") {
            return malformed(format!("Resource {text} must be in ARN format or \"*\"."));
        }
        let service = text.split(':').nth(2).unwrap_or_default();
        if service.contains(['*', '?']) {
            return malformed("Resource vendor must be fully qualified and cannot contain regexes.");
        }
        ArnPattern::compile(text, variables).map_or_else(|| malformed("The policy failed legacy parsing"), Ok)
    });
    Ok(Listed { negated, patterns: patterns.collect::<Parsed<_>>()? })
}

fn parse_conditions(value: &Value, variables: bool) -> Parsed<Vec<Condition>> {
    let Value::Object(operators) = value else { return syntax() };
    let mut conditions = Vec::new();
    for (operator, keys) in operators {
        let Value::Object(keys) = keys else { return syntax() };
        for (key, values) in keys {
            conditions.push(Condition::compile(operator, key, &condition_values(values)?, variables));
        }
    }
    Ok(conditions)
}

/// Strings, numbers and booleans, alone or in a list.
fn condition_values(value: &Value) -> Parsed<Vec<String>> {
    match value {
        Value::String(text) => Ok(vec![text.clone()]),
        Value::Number(_) | Value::Bool(_) => Ok(vec![value.to_string()]),
        Value::Array(list) => {
            let items = list.iter().map(|item| match item {
                Value::String(text) => Ok(text.clone()),
                Value::Number(_) | Value::Bool(_) => Ok(item.to_string()),
                _ => syntax(),
            });
            items.collect()
        }
        _ => syntax(),
    }
}
