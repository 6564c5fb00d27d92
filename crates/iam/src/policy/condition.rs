//! Conditions of a statement.

use super::context::ConditionContext;
use super::operator::{Expected, Operator, Quantifier};

/// One operator on one key.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    /// Lower-case.
    key: String,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Compare {
        negated: bool,
        if_exists: bool,
        quantifier: Quantifier,
        expected: Vec<Expected>,
    },
    /// Whether the key must be absent; several values are alternatives.
    Absent(Vec<bool>),
    /// The name of an operator that is not known.
    Unknown(String),
}

/// Whether a condition holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict<'a> {
    Holds,
    Fails,
    /// It cannot be told, because this operator is not known.
    Unknown(&'a str),
}

impl Condition {
    pub(super) fn compile(operator: &str, key: &str, values: &[String], variables: bool) -> Self {
        let test = match Operator::parse(operator) {
            None => Test::Unknown(operator.to_owned()),
            Some(Operator::Null) => {
                Test::Absent(values.iter().map(|value| value.eq_ignore_ascii_case("true")).collect())
            }
            Some(Operator::Compare { comparison, negated, if_exists, quantifier }) => {
                let expected = values.iter().map(|value| Expected::compile(value, comparison, variables)).collect();
                Test::Compare { negated, if_exists, quantifier, expected }
            }
        };
        Self { key: key.to_ascii_lowercase(), test }
    }

    /// The operator's name if it is not known.
    pub(super) fn unknown_operator(&self) -> Option<&str> {
        match &self.test {
            Test::Unknown(name) => Some(name),
            _ => None,
        }
    }

    pub(super) fn verdict(&self, context: &ConditionContext) -> Verdict<'_> {
        let actual = context.get(&self.key);
        let holds = match &self.test {
            Test::Unknown(name) => return Verdict::Unknown(name),
            Test::Absent(expected) => expected.contains(&actual.is_none()),
            Test::Compare { negated, if_exists, quantifier, expected } => {
                // Of a negated operator a value passes when it fits none of those listed.
                let passes = |value: &String| expected.iter().any(|one| one.matches(value, context)) != *negated;
                match (actual, quantifier) {
                    (None, _) if *if_exists => true,
                    (None | Some([]), Quantifier::All) => true,
                    (None | Some([]), Quantifier::Any) => false,
                    (None | Some([]), Quantifier::Single) => *negated,
                    (Some(values), Quantifier::All) => values.iter().all(passes),
                    (Some(values), Quantifier::Single) if *negated => values.iter().all(passes),
                    (Some(values), Quantifier::Any | Quantifier::Single) => values.iter().any(passes),
                }
            }
        };
        if holds { Verdict::Holds } else { Verdict::Fails }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> ConditionContext {
        let mut context = ConditionContext::new()
            .with("s", "Value")
            .with("n", "10")
            .with("d", "2026-01-02T03:04:05Z")
            .with("b", "true")
            .with("ip", "10.1.2.3")
            .with("ip6", "2001:db8::1")
            .with("arn", "arn:aws:lambda:r:1:function:f");
        context.set_all("many", ["a".to_owned(), "b".to_owned()]);
        context.set_all("none", []);
        context
    }

    fn check(operator: &str, key: &str, values: &[&str], expected: bool) {
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        let condition = Condition::compile(operator, key, &values, true);
        let verdict = if expected { Verdict::Holds } else { Verdict::Fails };
        assert_eq!(condition.verdict(&context()), verdict, "{operator} {key} {values:?}");
    }

    #[test]
    fn strings() {
        check("StringEquals", "s", &["other", "Value"], true);
        check("StringEquals", "S", &["value"], false);
        check("StringEqualsIgnoreCase", "s", &["value"], true);
        check("StringEquals", "s", &["V*"], false);
        check("StringLike", "s", &["V*"], true);
        check("StringNotLike", "s", &["V*", "x"], false);
        check("StringNotEquals", "s", &["a", "b"], true);
        check("StringNotEquals", "s", &["a", "Value"], false);
        check("StringEquals", "s", &["${s}"], true);
        check("StringEquals", "s", &["${absent}"], false);
        check("BinaryEquals", "s", &["Value"], true);
    }

    #[test]
    fn numbers_dates_and_flags() {
        check("NumericEquals", "n", &["10.0"], true);
        check("NumericLessThan", "n", &["10"], false);
        check("NumericLessThanEquals", "n", &["10"], true);
        check("NumericGreaterThan", "n", &["x"], false);
        check("NumericNotEquals", "n", &["11"], true);
        check("DateGreaterThan", "d", &["2026-01-01"], true);
        check("DateLessThan", "d", &["2026-01-02T03:04:05Z"], false);
        check("DateEquals", "d", &["1767323045"], true);
        check("Bool", "b", &["True"], true);
        check("Bool", "b", &["false"], false);
        check("Bool", "s", &["false"], false);
    }

    #[test]
    fn addresses_and_arns() {
        check("IpAddress", "ip", &["10.0.0.0/8"], true);
        check("IpAddress", "ip", &["10.1.2.3"], true);
        check("IpAddress", "ip", &["10.1.2.4/32"], false);
        check("IpAddress", "ip", &["::/0"], false);
        check("NotIpAddress", "ip", &["10.0.0.0/8"], false);
        check("IpAddress", "ip6", &["2001:db8::/32"], true);
        check("IpAddress", "ip", &["10.0.0.0/33"], false);
        check("ArnLike", "arn", &["arn:aws:lambda:*:1:function:*"], true);
        check("ArnEquals", "arn", &["arn:*:lambda:r:1:function:?"], true);
        check("ArnNotLike", "arn", &["arn:aws:lambda:*"], true);
    }

    #[test]
    fn absent_keys() {
        check("StringEquals", "absent", &["x"], false);
        check("StringNotEquals", "absent", &["x"], true);
        check("StringEqualsIfExists", "absent", &["x"], true);
        check("StringEqualsIfExists", "s", &["x"], false);
        check("Null", "absent", &["true"], true);
        check("Null", "s", &["true"], false);
        check("Null", "s", &["false"], true);
    }

    #[test]
    fn keys_with_several_values() {
        check("ForAllValues:StringEquals", "many", &["a", "b", "c"], true);
        check("ForAllValues:StringEquals", "many", &["a"], false);
        check("ForAllValues:StringEquals", "absent", &["a"], true);
        check("ForAllValues:StringEquals", "none", &["a"], true);
        check("ForAnyValue:StringEquals", "many", &["b"], true);
        check("ForAnyValue:StringEquals", "none", &["b"], false);
        check("ForAnyValue:StringNotEquals", "many", &["a"], true);
        check("ForAllValues:StringNotEquals", "many", &["a"], false);
        check("StringNotEquals", "many", &["a"], false);
    }

    #[test]
    fn an_unknown_operator_gives_no_verdict() {
        for name in ["StringEqual", "IfExists", "ForAllValues:", "NumericLessThanEqualsX", "NullIfExists"] {
            let condition = Condition::compile(name, "s", &["x".to_owned()], true);
            assert_eq!(condition.verdict(&context()), Verdict::Unknown(name));
        }
    }
}
