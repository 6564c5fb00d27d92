//! Which group and stream a request means, and their ARNs.

use millstream_types::{Arn, Scope};

use super::errors::{InvalidParameter, LookupError, Validation};

/// A log group by where it is and what it is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct GroupName {
    pub(crate) scope: Scope,
    /// 1 to 512 of `[.\-_/#A-Za-z0-9]`.
    pub(crate) name: String,
}

impl GroupName {
    pub(crate) fn new(scope: &Scope, name: &str) -> Self {
        Self { scope: scope.clone(), name: name.to_owned() }
    }

    /// The group of a request that names it by name or by identifier (a name or an ARN, with or without `:*`).
    pub(crate) fn from_request(
        scope: &Scope,
        name: Option<&String>,
        identifier: Option<&String>,
    ) -> Result<Self, LookupError> {
        match (name, identifier) {
            (Some(_), Some(_)) => {
                Err(Validation("LogGroup name and LogGroup ARN are mutually exclusive parameters.".to_owned()).into())
            }
            (Some(name), None) => Ok(Self::new(scope, name)),
            (None, Some(identifier)) if identifier.starts_with("arn:") => Self::from_arn(scope, identifier),
            (None, Some(identifier)) => Ok(Self::new(scope, identifier)),
            (None, None) => {
                Err(InvalidParameter("Either logGroupName or logGroupIdentifier must be specified.".to_owned()).into())
            }
        }
    }

    fn from_arn(scope: &Scope, text: &str) -> Result<Self, LookupError> {
        let arn: Option<Arn> = text.parse().ok();
        let name = arn.as_ref().filter(|arn| arn.service == "logs").and_then(|arn| {
            let name = arn.resource.strip_prefix("log-group:")?;
            Some(name.strip_suffix(":*").unwrap_or(name))
        });
        let (Some(arn), Some(name)) = (&arn, name) else {
            return Err(InvalidParameter(format!("The ARN {text} is not the ARN of a log group.")).into());
        };
        if arn.account != scope.account.as_str() || arn.region != scope.region.as_str() {
            return Err(LookupError::no_group());
        }
        Ok(Self::new(scope, name))
    }

    /// Without the `:*` that policies carry.
    pub(crate) fn arn(&self) -> Arn {
        self.scope.arn("logs", format_args!("log-group:{}", self.name))
    }

    pub(crate) fn stream_arn(&self, stream: &str) -> Arn {
        self.scope.arn("logs", format_args!("log-group:{}:log-stream:{stream}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(identifier: &str, expected: Option<&str>) {
        let scope = Scope { account: "123456789012".parse().unwrap(), region: "eu-west-1".parse().unwrap() };
        let group = GroupName::from_request(&scope, None, Some(&identifier.to_owned()));
        assert_eq!(group.ok().map(|group| group.name).as_deref(), expected, "{identifier}");
    }

    #[test]
    fn groups_are_named_by_name_or_arn() {
        check("/aws/lambda/f", Some("/aws/lambda/f"));
        check("arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/f", Some("/aws/lambda/f"));
        check("arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/f:*", Some("/aws/lambda/f"));
        check("arn:aws:logs:eu-west-1:000000000000:log-group:/aws/lambda/f", None);
        check("arn:aws:kinesis:eu-west-1:123456789012:stream/f", None);
        check("arn:", None);
    }
}
