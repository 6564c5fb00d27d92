//! The attributes of a queue that can be set.

use std::collections::BTreeMap;

use millstream_iam::check_resource_policy;

use super::failure::Failure;

/// Longest policy (SQS quotas: 8,192 characters).
const POLICY_BYTES_MAX: usize = 8192;
/// What `KmsDataKeyReusePeriodSeconds` is when nobody sets it; Terraform sends it along.
const KMS_REUSE_SECONDS_DEFAULT: &str = "300";

/// How a queue behaves. The defaults are those of `CreateQueue`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    pub(crate) delay_seconds: u32,
    /// Of body and attributes together.
    pub(crate) message_bytes_max: u32,
    pub(crate) retention_seconds: u32,
    pub(crate) receive_wait_seconds: u32,
    pub(crate) visibility_timeout_seconds: u32,
    /// Who else may use the queue: a policy document.
    pub(crate) policy: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            delay_seconds: 0,
            message_bytes_max: 1_048_576,
            retention_seconds: 345_600,
            receive_wait_seconds: 0,
            visibility_timeout_seconds: 30,
            policy: None,
        }
    }
}

/// An attribute that is a number: its name, its place, its bounds.
struct Number {
    name: &'static str,
    place: fn(&mut Settings) -> &mut u32,
    min: u32,
    max: u32,
}

/// Bounds as `SetQueueAttributes` documents them.
const NUMBERS: [Number; 5] = [
    Number { name: "DelaySeconds", place: |settings| &mut settings.delay_seconds, min: 0, max: 900 },
    Number { name: "MaximumMessageSize", place: |settings| &mut settings.message_bytes_max, min: 1024, max: 1_048_576 },
    Number {
        name: "MessageRetentionPeriod",
        place: |settings| &mut settings.retention_seconds,
        min: 60,
        max: 1_209_600,
    },
    Number {
        name: "ReceiveMessageWaitTimeSeconds",
        place: |settings| &mut settings.receive_wait_seconds,
        min: 0,
        max: 20,
    },
    Number {
        name: "VisibilityTimeout",
        place: |settings| &mut settings.visibility_timeout_seconds,
        min: 0,
        max: 43_200,
    },
];

impl Settings {
    /// Sets attributes; all of them or, when one is refused, none. An empty text takes a document away.
    pub(crate) fn set(&mut self, attributes: &BTreeMap<String, String>) -> Result<(), Failure> {
        let mut changed = self.clone();
        for (name, value) in attributes {
            changed.set_one(name, value)?;
        }
        *self = changed;
        Ok(())
    }

    fn set_one(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        if let Some(number) = NUMBERS.iter().find(|number| number.name == name) {
            let valid = value.parse().ok().filter(|value| (number.min..=number.max).contains(value));
            *(number.place)(self) = valid.ok_or_else(|| invalid(name))?;
            return Ok(());
        }
        match name {
            "Policy" => self.policy = policy(value)?,
            "SqsManagedSseEnabled" if value.eq_ignore_ascii_case("false") => {}
            "SqsManagedSseEnabled" if value.eq_ignore_ascii_case("true") => {
                return Err(unsupported(name, "messages are not encrypted at rest"));
            }
            "SqsManagedSseEnabled" => return Err(invalid(name)),
            "KmsMasterKeyId" | "RedrivePolicy" | "RedriveAllowPolicy" if value.is_empty() => {}
            "KmsDataKeyReusePeriodSeconds" if value == KMS_REUSE_SECONDS_DEFAULT => {}
            "KmsMasterKeyId" | "KmsDataKeyReusePeriodSeconds" => {
                return Err(unsupported(name, "messages are not encrypted at rest"));
            }
            "RedrivePolicy" | "RedriveAllowPolicy" => {
                return Err(unsupported(name, "dead-letter queues are not supported"));
            }
            "FifoQueue" | "ContentBasedDeduplication" | "DeduplicationScope" | "FifoThroughputLimit" => {
                return Err(unsupported(name, "FIFO queues are not supported"));
            }
            _ => return Err(Failure::InvalidAttributeName(format!("Unknown Attribute {name}."))),
        }
        Ok(())
    }

    /// The set attributes as texts.
    pub(crate) fn attributes(&self) -> BTreeMap<String, String> {
        let mut settings = self.clone();
        let mut attributes: BTreeMap<String, String> =
            NUMBERS.iter().map(|number| (number.name.to_owned(), (number.place)(&mut settings).to_string())).collect();
        attributes.insert("SqsManagedSseEnabled".to_owned(), "false".to_owned());
        if let Some(policy) = &self.policy {
            attributes.insert("Policy".to_owned(), policy.clone());
        }
        attributes
    }

    /// The first of the `given` attributes that differs from what these settings say.
    pub(crate) fn difference(&self, given: &BTreeMap<String, String>) -> Option<String> {
        let mut other = self.clone();
        given
            .iter()
            .find(|(name, value)| other.set_one(name, value).is_err() || other != *self)
            .map(|(name, _)| name.clone())
    }
}

fn policy(text: &str) -> Result<Option<String>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() > POLICY_BYTES_MAX || check_resource_policy(text).is_err() {
        return Err(invalid("Policy"));
    }
    Ok(Some(text.to_owned()))
}

fn invalid(name: &str) -> Failure {
    Failure::InvalidAttributeValue(format!("Invalid value for the parameter {name}."))
}

fn unsupported(name: &str, why: &str) -> Failure {
    Failure::InvalidAttributeValue(format!("Invalid value for the parameter {name}. Reason: {why} by Millstream."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Result<Settings, Failure> {
        let mut settings = Settings::default();
        settings.set(&[(name.to_owned(), value.to_owned())].into()).map(|()| settings)
    }

    #[test]
    fn numbers_keep_their_bounds() {
        for (name, min, max) in [
            ("DelaySeconds", 0, 900),
            ("MaximumMessageSize", 1024, 1_048_576),
            ("MessageRetentionPeriod", 60, 1_209_600),
            ("ReceiveMessageWaitTimeSeconds", 0, 20),
            ("VisibilityTimeout", 0, 43_200_i64),
        ] {
            for good in [min, max] {
                assert_eq!(set(name, &good.to_string()).unwrap().attributes()[name], good.to_string());
            }
            for bad in [(min - 1).to_string(), (max + 1).to_string(), "x".to_owned(), String::new()] {
                assert_eq!(set(name, &bad), Err(invalid(name)), "{name} {bad}");
            }
        }
    }

    #[test]
    fn nothing_is_accepted_and_ignored() {
        assert!(matches!(set("Nonsense", "1"), Err(Failure::InvalidAttributeName(_))));
        assert!(matches!(set("QueueArn", "x"), Err(Failure::InvalidAttributeName(_))));
        for (name, value) in [
            ("SqsManagedSseEnabled", "true"),
            ("KmsMasterKeyId", "alias/aws/sqs"),
            ("KmsDataKeyReusePeriodSeconds", "60"),
            ("FifoQueue", "true"),
            ("Policy", "{}"),
        ] {
            assert!(matches!(set(name, value), Err(Failure::InvalidAttributeValue(_))), "{name}");
        }
    }

    #[test]
    fn all_or_nothing() {
        let mut settings = Settings::default();
        let attributes = [("DelaySeconds", "5"), ("VisibilityTimeout", "x")];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        settings.set(&attributes).unwrap_err();
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn differences_are_of_what_is_given() {
        let settings = set("DelaySeconds", "5").unwrap();
        let given = |name: &str, value: &str| settings.difference(&[(name.to_owned(), value.to_owned())].into());
        assert_eq!(given("DelaySeconds", "5"), None);
        assert_eq!(given("VisibilityTimeout", "30"), None);
        assert_eq!(given("VisibilityTimeout", "31"), Some("VisibilityTimeout".to_owned()));
        assert_eq!(given("DelaySeconds", "0"), Some("DelaySeconds".to_owned()));
    }
}
