//! ARNs and what they name.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A 12-digit account id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(Arc<str>);

impl AccountId {
    /// The account of every caller whose access key names no other (design section 6).
    pub fn default_account() -> Self {
        Self("000000000000".into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let valid = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
        if valid { Ok(Self(text.into())) } else { Err(Invalid { what: "account id", value: text.to_owned() }) }
    }
}

/// A region name. Any plausible name is a region here: letters, digits and hyphens, 1 to 64 characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(Arc<str>);

impl Region {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Region {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let valid = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if valid { Ok(Self(text.into())) } else { Err(Invalid { what: "region", value: text.to_owned() }) }
    }
}

macro_rules! text_form {
    ($type:ty) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_form!(AccountId);
text_form!(Region);

/// Where a regional request acts: one account in one region. The partition is always `aws`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    pub account: AccountId,
    pub region: Region,
}

impl Scope {
    /// The ARN of a resource of `service` in this scope.
    pub fn arn(&self, service: &str, resource: impl fmt::Display) -> Arn {
        Arn {
            partition: "aws".to_owned(),
            service: service.to_owned(),
            region: self.region.as_str().to_owned(),
            account: self.account.as_str().to_owned(),
            resource: resource.to_string(),
        }
    }
}

/// `arn:partition:service:region:account:resource`, split at its first five colons.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arn {
    pub partition: String,
    pub service: String,
    /// Empty for global resources (IAM).
    pub region: String,
    /// Empty for resources without an account (S3); `aws` for AWS-managed policies.
    pub account: String,
    /// Keeps its own colons and slashes.
    pub resource: String,
}

impl FromStr for Arn {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        match parts[..] {
            ["arn", partition, service, region, account, resource]
                if !partition.is_empty() && !service.is_empty() && !resource.is_empty() =>
            {
                Ok(Self {
                    partition: partition.to_owned(),
                    service: service.to_owned(),
                    region: region.to_owned(),
                    account: account.to_owned(),
                    resource: resource.to_owned(),
                })
            }
            _ => Err(Invalid { what: "ARN", value: text.to_owned() }),
        }
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, service, region, account, resource } = self;
        write!(f, "arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

/// A text that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a valid {what}")]
pub struct Invalid {
    pub what: &'static str,
    pub value: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_keep_the_colons_of_their_resource() {
        let text = "arn:aws:lambda:us-west-2:123456789012:function:F:$LATEST";
        let arn: Arn = text.parse().unwrap();
        assert_eq!(arn.resource, "function:F:$LATEST");
        assert_eq!(arn.to_string(), text);
    }

    #[test]
    fn short_or_empty_arns_are_refused() {
        for text in ["", "arn", "arn:aws:kinesis:r:a", "arn:aws:kinesis:r:a:", "x:aws:kinesis:r:a:s", "arn::k:r:a:s"] {
            assert!(text.parse::<Arn>().is_err(), "{text}");
        }
    }
}
