//! Patterns with wildcards and variables.

use super::context::ConditionContext;

/// One step of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`
    One,
    /// `*`
    Many,
    /// `${name}` or `${name, 'default'}`; the name is lower-case.
    Variable {
        name: String,
        default: Option<String>,
    },
}

/// What is special in a pattern's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Syntax {
    /// `*` and `?` stand for other characters.
    pub(super) wildcards: bool,
    /// `${…}` is replaced (policy version 2012-10-17).
    pub(super) variables: bool,
}

/// A text with wildcards and variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    tokens: Vec<Token>,
    has_variables: bool,
}

impl Pattern {
    pub(super) fn compile(text: &str, syntax: Syntax) -> Self {
        let mut tokens = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            if syntax.variables
                && let Some((token, after)) = read_variable(rest)
            {
                tokens.push(token);
                rest = after;
                continue;
            }
            tokens.push(match next {
                '*' if syntax.wildcards => Token::Many,
                '?' if syntax.wildcards => Token::One,
                other => Token::Char(other),
            });
            rest = &rest[next.len_utf8()..];
        }
        let has_variables = tokens.iter().any(|token| matches!(token, Token::Variable { .. }));
        Self { tokens, has_variables }
    }

    /// Whether the whole of `text` fits. A pattern with a variable that has no value fits nothing.
    pub(super) fn matches(&self, text: &str, ignore_case: bool, context: &ConditionContext) -> bool {
        let text: Vec<char> = text.chars().collect();
        if !self.has_variables {
            return glob(&self.tokens, &text, ignore_case);
        }
        match self.resolve(context) {
            Some(tokens) => glob(&tokens, &text, ignore_case),
            None => false,
        }
    }

    /// Replaces variables by their values, whose characters stand for themselves.
    fn resolve(&self, context: &ConditionContext) -> Option<Vec<Token>> {
        let mut resolved = Vec::with_capacity(self.tokens.len());
        for token in &self.tokens {
            match token {
                Token::Variable { name, default } => {
                    let value = context.single(name).or(default.as_deref())?;
                    resolved.extend(value.chars().map(Token::Char));
                }
                other => resolved.push(other.clone()),
            }
        }
        Some(resolved)
    }
}

/// Reads a variable, or one of the escapes `${*}`, `${?}`, `${$}`, at the start of `text`.
fn read_variable(text: &str) -> Option<(Token, &str)> {
    let (inside, after) = text.strip_prefix("${")?.split_once('}')?;
    if let "*" | "?" | "$" = inside {
        return Some((Token::Char(inside.chars().next()?), after));
    }
    let (name, default) = match inside.split_once(',') {
        None => (inside, None),
        Some((name, default)) => {
            let default = default.trim().strip_prefix('\'')?.strip_suffix('\'')?;
            (name, Some(default.to_owned()))
        }
    };
    let name = name.trim().to_ascii_lowercase();
    if name.is_empty() { None } else { Some((Token::Variable { name, default }, after)) }
}

/// Goes back to the last `*` only, so that the time is at most the product of both lengths.
fn glob(pattern: &[Token], text: &[char], ignore_case: bool) -> bool {
    let same = |a: char, b: char| a == b || (ignore_case && a.eq_ignore_ascii_case(&b));
    let (mut p, mut t) = (0, 0);
    let mut last_many: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(Token::Many) => {
                last_many = Some((p, t));
                p += 1;
                continue;
            }
            Some(Token::One) => {
                (p, t) = (p + 1, t + 1);
                continue;
            }
            Some(Token::Char(expected)) if same(*expected, text[t]) => {
                (p, t) = (p + 1, t + 1);
                continue;
            }
            _ => {}
        }
        let Some((many, taken)) = last_many else { return false };
        last_many = Some((many, taken + 1));
        (p, t) = (many + 1, taken + 1);
    }
    pattern[p..].iter().all(|token| *token == Token::Many)
}

/// A resource of a policy: `*`, or an ARN whose six parts are compared one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ArnPattern {
    Any,
    Parts(Box<[Pattern; 6]>),
}

impl ArnPattern {
    /// `None` when `text` is neither `*` nor has six parts.
    pub(super) fn compile(text: &str, variables: bool) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        let parts = split_arn(text, variables)?;
        let mut index = 0;
        let compiled = parts.map(|part| {
            index += 1;
            // Variables count after the fifth colon only (IAM guide, "Policy variables").
            Pattern::compile(part, Syntax { wildcards: true, variables: variables && index == 6 })
        });
        Some(Self::Parts(Box::new(compiled)))
    }

    /// Whether `resource`, an ARN or `*`, fits.
    pub(super) fn matches(&self, resource: &str, context: &ConditionContext) -> bool {
        let Self::Parts(patterns) = self else { return true };
        let Some(parts) = split_arn(resource, false) else { return false };
        patterns.iter().zip(parts).all(|(pattern, part)| pattern.matches(part, false, context))
    }
}

/// Splits at the first five colons; with `variables` those inside `${…}` do not count.
fn split_arn(text: &str, variables: bool) -> Option<[&str; 6]> {
    let mut parts = [""; 6];
    let mut rest = text;
    for part in parts.iter_mut().take(5) {
        let colon = first_colon(rest, variables)?;
        *part = &rest[..colon];
        rest = &rest[colon + 1..];
    }
    parts[5] = rest;
    Some(parts)
}

fn first_colon(text: &str, variables: bool) -> Option<usize> {
    let mut from = 0;
    loop {
        let colon = from + text[from..].find(':')?;
        let variable = if variables { text[from..].find("${").map(|start| from + start) } else { None };
        match variable {
            Some(start) if start < colon => match text[start..].find('}') {
                Some(length) => from = start + length,
                None => return Some(colon),
            },
            _ => return Some(colon),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WILD: Syntax = Syntax { wildcards: true, variables: false };
    const FULL: Syntax = Syntax { wildcards: true, variables: true };

    fn fits(pattern: &str, text: &str) -> bool {
        Pattern::compile(pattern, WILD).matches(text, false, &ConditionContext::new())
    }

    #[test]
    fn wildcards_stand_for_one_or_many_characters() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("?", "é", true),
            ("?", "", false),
            ("a*c", "abbbc", true),
            ("a*c", "abbb", false),
            ("a*b*c", "aXbXbc", true),
            ("**", "x", true),
            ("abc", "abcd", false),
            ("abc", "ab", false),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn variables_are_replaced_by_literal_values() {
        let context = ConditionContext::new().with("aws:UserName", "a*b");
        let check = |pattern: &str, text: &str| Pattern::compile(pattern, FULL).matches(text, false, &context);
        assert!(check("x/${AWS:username}/*", "x/a*b/y"));
        assert!(!check("x/${aws:username}/*", "x/aZb/y"));
        assert!(!check("${aws:absent}", ""));
        assert!(check("${aws:absent, 'none'}", "none"));
        assert!(check("${*}${?}${$}", "*?$"));
        assert!(check("${unclosed", "${unclosed"));
        assert!(Pattern::compile("${aws:username}", WILD).matches("${aws:username}", false, &context));
    }

    #[test]
    fn arns_are_compared_part_by_part() {
        let fits = |pattern: &str, arn: &str| {
            ArnPattern::compile(pattern, true).unwrap().matches(arn, &ConditionContext::new().with("aws:x:y", "s"))
        };
        assert!(fits("*", "*"));
        assert!(fits("arn:aws:kinesis:*:*:stream/*", "arn:aws:kinesis:r:1:stream/s/consumer/c:1"));
        assert!(!fits("arn:aws:kinesis:*:1:stream/s", "*"));
        assert!(fits("arn:aws:lambda:r:1:function:f", "arn:aws:lambda:r:1:function:f"));
        assert!(!fits("arn:aws:lambda:r:1:function:f", "arn:aws:lambda:r:1:function:f:1"));
        assert!(!fits("arn:aws:lambda:r:1:function:f:*", "arn:aws:lambda:r:1:function:f"));
        assert!(fits("arn:aws:lambda:r:1:function:f*", "arn:aws:lambda:r:1:function:f:1"));
        assert!(!fits("arn:aws:lambda:r:1:function:F", "arn:aws:lambda:r:1:function:f"));
        assert!(fits("arn:aws:kinesis:r:1:stream/${aws:x:y}", "arn:aws:kinesis:r:1:stream/s"));
        assert!(!fits("arn:aws:kinesis:${aws:x:y}:1:stream/s", "arn:aws:kinesis:s:1:stream/s"));
        assert_eq!(ArnPattern::compile("arn:aws:kinesis:*", true), None);
    }

    /// The plain recursive definition.
    fn slow(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|taken| slow(rest, &text[taken..])),
            Some(('?', rest)) => !text.is_empty() && slow(rest, &text[1..]),
            Some((c, rest)) => text.first() == Some(c) && slow(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_its_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            let characters = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(fits(&pattern, &text), slow(&characters(&pattern), &characters(&text)));
        }

        #[test]
        fn any_text_compiles_and_a_plain_one_fits_itself(text in ".{0,60}") {
            let _outcome = ArnPattern::compile(&text, true);
            let _outcome = Pattern::compile(&text, FULL);
            let literal = Pattern::compile(&text, Syntax { wildcards: false, variables: false });
            prop_assert!(literal.matches(&text, false, &ConditionContext::new()));
        }
    }
}
