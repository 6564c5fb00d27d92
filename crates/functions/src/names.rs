//! The spellings of a function's name, and what they mean for a caller in one account and region.

use millstream_iam::RequestContext;
use millstream_types::{Arn, Scope};

use crate::failure::Failure;

/// Longest bare function name.
const NAME_CHARACTERS_MAX: usize = 64;
/// The version that every function has.
pub(crate) const LATEST: &str = "$LATEST";

/// A function in the caller's region, perhaps one version of it. It may belong to another account: who may do what with it
/// is decided before an operation begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) scope: Scope,
    pub(crate) name: String,
    /// `$LATEST`, a number, or the name of an alias.
    pub(crate) qualifier: Option<String>,
}

impl Target {
    /// From what a request says: the name in any spelling, and the separate qualifier.
    pub(crate) fn of(context: &RequestContext, text: &str, qualifier: Option<&str>) -> Result<Self, Failure> {
        let spelled = Spelled::parse(text)
            .ok_or_else(|| Failure::InvalidParameterValue(format!("'{text}' is not the name or ARN of a function.")))?;
        let scope = spelled.scope(context)?;
        if spelled.name.len() > NAME_CHARACTERS_MAX {
            return Err(Failure::InvalidParameterValue(format!(
                "1 validation error detected: Value '{text}' at 'functionName' failed to satisfy constraint: \
                 Member must have length less than or equal to {NAME_CHARACTERS_MAX}"
            )));
        }
        let qualifier = match (spelled.qualifier, qualifier) {
            (Some(derived), Some(given)) if derived != given => {
                return Err(Failure::InvalidParameterValue(
                    "The derived qualifier from the function name does not match the specified qualifier.".to_owned(),
                ));
            }
            (derived, given) => derived.or(given).map(str::to_owned),
        };
        Ok(Self { scope, name: spelled.name.to_owned(), qualifier })
    }

    /// The same function with another qualifier, or none.
    pub(crate) fn qualified(&self, qualifier: Option<&str>) -> Self {
        Self { scope: self.scope.clone(), name: self.name.clone(), qualifier: qualifier.map(str::to_owned) }
    }

    /// The ARN as the caller named it: with the qualifier only when one was given.
    pub(crate) fn arn(&self) -> String {
        function_arn(&self.scope, &self.name, self.qualifier.as_deref())
    }

    /// Without a qualifier.
    pub(crate) fn function_arn(&self) -> String {
        function_arn(&self.scope, &self.name, None)
    }

    /// AWS's answer for a function or version that is not there.
    pub(crate) fn not_found(&self) -> Failure {
        Failure::ResourceNotFound(format!("Function not found: {}", self.arn()))
    }
}

/// The ARN of a function or, with a qualifier, of one of its versions.
pub(crate) fn function_arn(scope: &Scope, name: &str, qualifier: Option<&str>) -> String {
    match qualifier {
        Some(qualifier) => scope.arn("lambda", format_args!("function:{name}:{qualifier}")).to_string(),
        None => scope.arn("lambda", format_args!("function:{name}")).to_string(),
    }
}

/// The function, version or alias that an ARN names.
pub(crate) fn named_by(arn: &Arn) -> Option<Target> {
    let text = arn.to_string();
    let Spelled { region, account, name, qualifier } = Spelled::parse(&text)?;
    let scope = Scope { account: account?.parse().ok()?, region: region?.parse().ok()? };
    Some(Target { scope, name: name.to_owned(), qualifier: qualifier.map(str::to_owned) })
}

/// The ARN of a function as a caller names it, which may lie in another place: with the qualifier only when one is given.
/// `None` for what names no function.
pub fn spelled_arn(scope: &Scope, text: &str, qualifier: Option<&str>) -> Option<String> {
    let Spelled { region, account, name, qualifier: derived } = Spelled::parse(text)?;
    let region = region.unwrap_or(scope.region.as_str());
    let account = account.unwrap_or(scope.account.as_str());
    let qualifier = derived.or(qualifier).map_or_else(String::new, |qualifier| format!(":{qualifier}"));
    Some(format!("arn:aws:lambda:{region}:{account}:function:{name}{qualifier}"))
}

/// The parts of a spelling: `[[arn:aws:lambda:][region:][account:]function:]name[:qualifier]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spelled<'a> {
    region: Option<&'a str>,
    account: Option<&'a str>,
    name: &'a str,
    qualifier: Option<&'a str>,
}

impl<'a> Spelled<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        // Region and account only stand before `function`: alone they may be names, `eu-west-1:7` is version 7 of a function.
        let (region, account, rest) = match parts[..] {
            ["arn", _, "lambda", region, account, "function", ref rest @ ..]
            | [region, account, "function", ref rest @ ..]
                if is_region(region) && is_account(account) =>
            {
                (Some(region), Some(account), rest)
            }
            ["arn", _, _, ..] => return None,
            [region, "function", ref rest @ ..] if is_region(region) && !rest.is_empty() => (Some(region), None, rest),
            [account, "function", ref rest @ ..] if is_account(account) && !rest.is_empty() => {
                (None, Some(account), rest)
            }
            ["function", ref rest @ ..] if !rest.is_empty() => (None, None, rest),
            ref rest => (None, None, rest),
        };
        let (name, qualifier) = match *rest {
            [name] => (name, None),
            [name, qualifier] if !qualifier.is_empty() => (name, Some(qualifier)),
            _ => return None,
        };
        let valid = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        valid.then_some(Self { region, account, name, qualifier })
    }

    /// Where the function is. Other regions are out of reach.
    fn scope(&self, context: &RequestContext) -> Result<Scope, Failure> {
        let mut scope = context.scope.clone();
        if let Some(other) = self.region.filter(|region| *region != scope.region.as_str()) {
            return Err(Failure::ResourceNotFound(format!(
                "Functions from '{other}' are not reachable in this region ('{}')",
                scope.region
            )));
        }
        if let Some(account) = self.account {
            scope.account = account
                .parse()
                .map_err(|_| Failure::InvalidParameterValue(format!("'{account}' is not an account.")))?;
        }
        Ok(scope)
    }
}

fn is_region(part: &str) -> bool {
    part.contains('-') && part.ends_with(|c: char| c.is_ascii_digit()) && part.split('-').count() >= 3
}

fn is_account(part: &str) -> bool {
    part.len() == 12 && part.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::context;

    fn of(text: &str, qualifier: Option<&str>) -> Result<(String, Option<String>), Failure> {
        Target::of(&context(), text, qualifier).map(|target| (target.name, target.qualifier))
    }

    #[test]
    fn every_spelling_names_the_same_function() {
        for (text, name, qualifier) in [
            ("f", "f", None),
            ("f:1", "f", Some("1")),
            ("f:$LATEST", "f", Some("$LATEST")),
            ("function:f", "f", None),
            ("function:f:live", "f", Some("live")),
            ("function", "function", None),
            ("000000000000:function:f", "f", None),
            ("000000000000:function:f:2", "f", Some("2")),
            ("us-east-1:000000000000:function:f", "f", None),
            ("arn:aws:lambda:us-east-1:000000000000:function:f", "f", None),
            ("arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST", "f", Some("$LATEST")),
            ("us-east-1:function:f:live", "f", Some("live")),
            ("123456789012", "123456789012", None),
            ("123456789012:7", "123456789012", Some("7")),
            ("000000000000:function", "000000000000", Some("function")),
            ("my-fn-1:7", "my-fn-1", Some("7")),
            ("eu-west-1:7", "eu-west-1", Some("7")),
            ("eu-west-1:$LATEST", "eu-west-1", Some("$LATEST")),
            ("eu-west-1", "eu-west-1", None),
            ("function:eu-west-1:7", "eu-west-1", Some("7")),
            ("arn:aws:lambda:us-east-1:000000000000:function:eu-west-1:7", "eu-west-1", Some("7")),
            ("arn:live", "arn", Some("live")),
        ] {
            assert_eq!(of(text, None), Ok((name.to_owned(), qualifier.map(str::to_owned))), "{text}");
        }
    }

    #[test]
    fn wrong_spellings_are_refused() {
        for text in [
            "",
            ":",
            "f:",
            "a b",
            "f:1:2",
            "arn:aws:lambda:us-east-1:000000000000",
            "us-east-1:000000000000:function",
            "arn:aws:s3:::f",
            "f/g",
        ] {
            assert!(matches!(of(text, None), Err(Failure::InvalidParameterValue(_))), "{text}");
        }
        let long = "n".repeat(65);
        let Err(Failure::InvalidParameterValue(message)) = of(&long, None) else { panic!("too long") };
        assert!(message.ends_with(
            "at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64"
        ));
    }

    #[test]
    fn qualifiers_must_agree() {
        assert_eq!(of("f:1", Some("1")), Ok(("f".to_owned(), Some("1".to_owned()))));
        assert_eq!(of("f", Some("1")), Ok(("f".to_owned(), Some("1".to_owned()))));
        let expected = "The derived qualifier from the function name does not match the specified qualifier.";
        assert_eq!(of("f:1", Some("2")), Err(Failure::InvalidParameterValue(expected.to_owned())));
    }

    #[test]
    fn other_places_are_out_of_reach() {
        let other_region = of("arn:aws:lambda:eu-west-1:000000000000:function:f", None);
        let expected = "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')";
        assert_eq!(other_region, Err(Failure::ResourceNotFound(expected.to_owned())));
    }

    #[test]
    fn a_function_may_belong_to_another_account() {
        let target = Target::of(&context(), "111111111111:function:f", None).unwrap();
        assert_eq!(target.arn(), "arn:aws:lambda:us-east-1:111111111111:function:f");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-z0-9:$ -]{0,40}|\\PC{0,20}") {
            let _ = of(&text, None);
        }
    }
}
