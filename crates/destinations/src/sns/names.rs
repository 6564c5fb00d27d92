//! Names and ARNs of topics and subscriptions.

use millstream_types::{Arn, Scope};

use super::failure::Failure;

/// Longest name (`CreateTopic`).
const NAME_LENGTH_MAX: usize = 256;

/// A topic among all accounts and regions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TopicKey {
    pub(crate) scope: Scope,
    pub(crate) name: String,
}

impl TopicKey {
    /// The topic of `arn:aws:sns:<region>:<account>:<name>`.
    pub(crate) fn from_arn(arn: &Arn) -> Option<Self> {
        let named = arn.service == "sns" && (is_name(&arn.resource) || is_fifo(&arn.resource));
        let scope = Scope { account: arn.account.parse().ok()?, region: arn.region.parse().ok()? };
        named.then(|| Self { scope, name: arn.resource.clone() })
    }

    /// The topic that the parameter `TopicArn` names.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let parsed = text.parse().ok().and_then(|arn| Self::from_arn(&arn));
        parsed.ok_or_else(|| Failure::InvalidParameter("Invalid parameter: TopicArn".to_owned()))
    }

    pub(crate) fn arn(&self) -> Arn {
        self.scope.arn("sns", &self.name)
    }

    /// The ARN of one of its subscriptions.
    pub(crate) fn subscription_arn(&self, id: &str) -> String {
        format!("{}:{id}", self.arn())
    }
}

/// The topic and the id in `<topic ARN>:<id>`.
pub(crate) fn parse_subscription(text: &str) -> Result<(TopicKey, String), Failure> {
    let parsed = text.rsplit_once(':').and_then(|(topic, id)| Some((TopicKey::parse(topic).ok()?, id.to_owned())));
    parsed.ok_or_else(|| {
        Failure::InvalidParameter(
            "Invalid parameter: SubscriptionArn Reason: An ARN must have the form of one".to_owned(),
        )
    })
}

/// Letters, digits, hyphens and underscores, 1 to 256 of them.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=NAME_LENGTH_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// The name of a FIFO topic, which there is none of here.
pub(crate) fn is_fifo(text: &str) -> bool {
    text.strip_suffix(".fifo").is_some_and(|stem| is_name(stem) && text.len() <= NAME_LENGTH_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_name_topics_and_subscriptions() {
        let topic = "arn:aws:sns:us-west-2:123456789012:failed";
        let key = TopicKey::parse(topic).unwrap();
        assert_eq!(key.arn().to_string(), topic);
        assert_eq!(parse_subscription(&key.subscription_arn("4e2a")), Ok((key, "4e2a".to_owned())));
        for bad in ["", "failed", "arn:aws:sqs:us-west-2:123456789012:failed", "arn:aws:sns:us-west-2:1:failed"] {
            assert!(TopicKey::parse(bad).is_err() && parse_subscription(bad).is_err(), "{bad}");
        }
        assert!(parse_subscription(topic).is_err());
    }
}
