//! What a `KeyId` names.

use std::fmt::{self, Write};

use millstream_types::{Arn, Scope};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A master key, by its ARN. Forms that mean the same key give the same ARN; an alias is a key of its own, since there
/// is nothing here that says which key it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyId {
    pub(crate) arn: Arn,
}

/// A master key where it is stored: the SHA-256 of its ARN, which is fit for a file's name whatever the caller chose.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct MasterId(String);

impl KeyId {
    /// A key's UUID or ARN, an alias with its `alias/`, or an alias' ARN (Kinesis model). What stands alone is a key of
    /// `scope`. `None` for anything else.
    pub(crate) fn parse(text: &str, scope: &Scope) -> Option<Self> {
        let arn = if text.starts_with("arn:") {
            let arn: Arn = text.parse().ok()?;
            let is_kms = arn.partition == "aws" && arn.service == "kms";
            let is_place = arn.account.parse::<millstream_types::AccountId>().is_ok() && !arn.region.is_empty();
            if !is_kms || !is_place {
                return None;
            }
            arn
        } else if text.starts_with("alias/") {
            scope.arn("kms", text)
        } else {
            scope.arn("kms", format_args!("key/{text}"))
        };
        let resource = arn.resource.as_str();
        let known =
            resource.strip_prefix("key/").is_some_and(is_key) || resource.strip_prefix("alias/").is_some_and(is_alias);
        known.then_some(Self { arn })
    }

    pub(crate) fn master(&self) -> MasterId {
        MasterId::of(&self.arn.to_string())
    }
}

impl MasterId {
    pub(crate) fn of(arn: &str) -> Self {
        let mut text = String::with_capacity(64);
        for byte in Sha256::digest(arn) {
            write!(text, "{byte:02x}").expect("writing to memory succeeds");
        }
        Self(text)
    }
}

impl fmt::Display for MasterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A UUID, or the id of a multi-Region key.
fn is_key(text: &str) -> bool {
    let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(digits) = text.strip_prefix("mrk-") {
        return digits.len() == 32 && is_hex(digits);
    }
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.iter().all(|part| is_hex(part))
}

/// The characters of an alias (KMS model), without its `alias/`.
fn is_alias(text: &str) -> bool {
    (1..=250).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "12345678-1234-1234-1234-1234567890ab";

    fn scope() -> Scope {
        Scope { account: "123456789012".parse().unwrap(), region: "us-east-1".parse().unwrap() }
    }

    fn check(text: &str, expected: Option<&str>) {
        let found = KeyId::parse(text, &scope()).map(|key| key.arn.to_string());
        let expected = expected.map(|resource| format!("arn:aws:kms:us-east-1:123456789012:{resource}"));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn all_forms_of_a_key_are_one() {
        check(UUID, Some(&format!("key/{UUID}")));
        check(&format!("arn:aws:kms:us-east-1:123456789012:key/{UUID}"), Some(&format!("key/{UUID}")));
        check("alias/aws/kinesis", Some("alias/aws/kinesis"));
        check("arn:aws:kms:us-east-1:123456789012:alias/My_Key-1", Some("alias/My_Key-1"));
        check("mrk-1234567890abcdef1234567890abcdef", Some("key/mrk-1234567890abcdef1234567890abcdef"));
    }

    #[test]
    fn other_texts_name_no_key() {
        for text in [
            "",
            "x",
            "alias/",
            "alias/a b",
            "alias/../../etc",
            "alias/é",
            "aws/kinesis",
            &UUID[1..],
            "12345678-1234-1234-1234-1234567890ag",
            "mrk-12",
            "arn:aws:kms:us-east-1:123456789012:key/x",
            "arn:aws:kms:us-east-1:123456789012:alias/",
            "arn:aws:kms:us-east-1:12345:alias/a",
            "arn:aws:kms::123456789012:alias/a",
            "arn:aws-cn:kms:us-east-1:123456789012:alias/a",
            "arn:aws:kinesis:us-east-1:123456789012:alias/a",
            "arn:aws:kms:us-east-1:123456789012:secret/a",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_master_key_is_stored_under_the_digest_of_its_arn() {
        let arn = KeyId::parse("alias/aws/kinesis", &scope()).unwrap();
        // sha256sum of the ARN's text.
        assert_eq!(arn.master().to_string(), "f2286136ae3973cbffb0f0f82e122b585375497f77bf4ab5051daf28320f23e3");
    }
}
