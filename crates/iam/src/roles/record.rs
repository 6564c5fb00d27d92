//! A role in the catalog, under `role/<account>/<name in lower case>`: names are unique ignoring case.

use std::collections::BTreeMap;

use millstream_types::{AccountId, Arn, Timestamp};
use serde::{Deserialize, Serialize};

/// The version of the layout. Persisted: never change what a number means.
const LAYOUT: u32 = 1;

/// A role and its policies. Documents are kept as the text that was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RoleRecord {
    pub(crate) v: u32,
    pub(crate) account: String,
    pub(crate) name: String,
    /// With a slash at both ends.
    pub(crate) path: String,
    /// `AROA…`
    pub(crate) id: String,
    pub(crate) created_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    pub(crate) max_session_seconds: u32,
    pub(crate) trust_policy: String,
    /// The unique ids, by ARN, of the roles that the trust policy named when it was saved: a role created again under the
    /// same name is not trusted (IAM guide, "AWS JSON policy elements: Principal").
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) trusted_roles: BTreeMap<String, String>,
    /// The ARN of the permissions boundary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) boundary: Option<String>,
    /// In the order given.
    #[serde(default)]
    pub(crate) tags: Vec<(String, String)>,
    /// Documents by policy name.
    #[serde(default)]
    pub(crate) inline_policies: BTreeMap<String, String>,
    /// ARNs, in the order attached.
    #[serde(default)]
    pub(crate) attached_policies: Vec<String>,
}

impl RoleRecord {
    /// A role without policies, of which the caller fills in what else was given.
    pub(crate) fn new(account: &AccountId, name: &str, id: String, created: Timestamp, trust_policy: String) -> Self {
        Self {
            v: LAYOUT,
            account: account.to_string(),
            name: name.to_owned(),
            path: "/".to_owned(),
            id,
            created_ms: created.millis(),
            description: None,
            max_session_seconds: 3600,
            trust_policy,
            trusted_roles: BTreeMap::new(),
            boundary: None,
            tags: Vec::new(),
            inline_policies: BTreeMap::new(),
            attached_policies: Vec::new(),
        }
    }

    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:iam::{}:role{}{}", self.account, self.path, self.name)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a role is plain strings and numbers")
    }

    /// `None` when the value is damaged or of a later layout.
    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        serde_json::from_slice(value).ok().filter(|record: &Self| record.v == LAYOUT)
    }
}

/// What the keys of an account's roles begin with.
pub(crate) fn account_prefix(account: &str) -> String {
    format!("role/{account}/")
}

pub(crate) fn store_key(account: &str, name: &str) -> String {
    account_prefix(account) + &name.to_ascii_lowercase()
}

/// A role as an ARN names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoleReference {
    pub(crate) account: AccountId,
    pub(crate) name: String,
}

impl RoleReference {
    /// `None` when `arn` is none of a role.
    pub(crate) fn parse(arn: &str) -> Option<Self> {
        let arn: Arn = arn.parse().ok()?;
        if arn.partition != "aws" || arn.service != "iam" || !arn.region.is_empty() {
            return None;
        }
        let (_, name) = arn.resource.strip_prefix("role/").map(|rest| rest.rsplit_once('/').unwrap_or(("", rest)))?;
        // Longer ones exist nowhere, and the catalog's keys are bounded.
        if name.is_empty() || name.len() > 64 {
            return None;
        }
        Some(Self { account: arn.account.parse().ok()?, name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A role as the first release of this layout wrote it.
    const SAMPLE: &str = include_str!("../../samples/role-v1.json");

    #[test]
    fn a_role_of_version_one_keeps_loading() {
        let record = RoleRecord::decode(SAMPLE.trim_end().as_bytes()).unwrap();
        assert_eq!(record.arn(), "arn:aws:iam::123456789012:role/service-role/lambda-role");
        assert_eq!(String::from_utf8(record.encode()).unwrap(), SAMPLE.trim_end());
        assert!(RoleRecord::decode(SAMPLE.replace("\"v\":1", "\"v\":2").as_bytes()).is_none());
        assert!(RoleRecord::decode(b"{").is_none());
    }

    #[test]
    fn arns_of_roles_are_told_from_others() {
        let check = |arn: &str, name: Option<&str>| {
            assert_eq!(RoleReference::parse(arn).map(|role| role.name).as_deref(), name, "{arn}");
        };
        check("arn:aws:iam::123456789012:role/r", Some("r"));
        check("arn:aws:iam::123456789012:role/a/b/r", Some("r"));
        check("arn:aws:iam::123456789012:role/", None);
        check("arn:aws:iam::123456789012:user/r", None);
        check("arn:aws:iam::12:role/r", None);
        check("arn:aws:sts::123456789012:assumed-role/r/s", None);
        check("role", None);
    }
}
