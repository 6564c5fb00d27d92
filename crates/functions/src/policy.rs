//! The resource policies of functions and layers, as the catalog keeps them and as IAM reads them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::FORMAT;

/// The statements about one function, version, alias or layer version, in the order in which they came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PolicyRecord {
    pub(crate) v: u8,
    pub(crate) revision_id: String,
    pub(crate) statements: Vec<Statement>,
}

impl Default for PolicyRecord {
    fn default() -> Self {
        Self { v: FORMAT, revision_id: String::new(), statements: Vec::new() }
    }
}

impl PolicyRecord {
    /// The policy document, in AWS's form.
    pub(crate) fn document(&self) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Document<'a> {
            version: &'static str,
            id: &'static str,
            statement: &'a [Statement],
        }
        let document = Document { version: "2012-10-17", id: "default", statement: &self.statements };
        serde_json::to_string(&document).expect("plain data becomes JSON")
    }
}

/// One permission. Names and order are those of AWS's documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Statement {
    pub(crate) sid: String,
    effect: String,
    principal: Principal,
    action: String,
    resource: String,
    /// Operator, key, value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    condition: BTreeMap<String, BTreeMap<String, String>>,
}

/// Whom a permission is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Principal {
    Service(String),
    #[serde(rename = "AWS")]
    Aws(String),
    #[serde(untagged)]
    Anybody(String),
}

impl Statement {
    /// `conditions`: operator, key and value, of which those with a value count.
    pub(crate) fn new(
        sid: &str,
        principal: Principal,
        action: &str,
        resource: String,
        conditions: &[(&str, &str, Option<&str>)],
    ) -> Self {
        let mut condition = BTreeMap::<String, BTreeMap<String, String>>::new();
        for (operator, key, value) in conditions {
            if let Some(value) = value {
                condition.entry((*operator).to_owned()).or_default().insert((*key).to_owned(), (*value).to_owned());
            }
        }
        Self {
            sid: sid.to_owned(),
            effect: "Allow".to_owned(),
            principal,
            action: action.to_owned(),
            resource,
            condition,
        }
    }

    /// As answers show it: a document in a text.
    pub(crate) fn shown(&self) -> String {
        serde_json::to_string(self).expect("plain data becomes JSON")
    }
}

/// What a request's principal is in a document; `None` for what can be none.
pub(crate) fn principal(text: &str) -> Option<Principal> {
    let account = |text: &str| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    match text {
        "*" => Some(Principal::Anybody(text.to_owned())),
        _ if account(text) => Some(Principal::Aws(format!("arn:aws:iam::{text}:root"))),
        _ if text.split(':').nth(4).is_some_and(account) && (text.contains(":iam::") || text.contains(":sts::")) => {
            Some(Principal::Aws(text.to_owned()))
        }
        _ if is_service(text) => Some(Principal::Service(text.to_owned())),
        _ => None,
    }
}

/// `events.amazonaws.com`, `logs.eu-west-1.amazonaws.com`
fn is_service(text: &str) -> bool {
    let name = text.strip_suffix(".amazonaws.com").unwrap_or_default();
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(principal_text: &str) -> Statement {
        let conditions = [
            ("ArnLike", "AWS:SourceArn", Some("arn:aws:s3:::bucket")),
            ("StringEquals", "AWS:SourceAccount", Some("111122223333")),
            ("StringEquals", "aws:PrincipalOrgID", None),
        ];
        let principal = principal(principal_text).unwrap();
        Statement::new("s1", principal, "lambda:InvokeFunction", "arn:f".to_owned(), &conditions)
    }

    #[test]
    fn documents_have_the_form_of_aws() {
        let statements = vec![statement("s3.amazonaws.com")];
        let policy = PolicyRecord { statements, ..PolicyRecord::default() };
        assert_eq!(
            policy.document(),
            r#"{"Version":"2012-10-17","Id":"default","Statement":[{"Sid":"s1","Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"arn:f","Condition":{"ArnLike":{"AWS:SourceArn":"arn:aws:s3:::bucket"},"StringEquals":{"AWS:SourceAccount":"111122223333"}}}]}"#
        );
        let kept = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<PolicyRecord>(&kept).unwrap(), policy);
    }

    #[test]
    fn principals_are_services_accounts_and_identities() {
        let text = |given: &str| principal(given).map(|principal| serde_json::to_string(&principal).unwrap());
        for (given, expected) in [
            ("*", Some(r#""*""#)),
            ("111122223333", Some(r#"{"AWS":"arn:aws:iam::111122223333:root"}"#)),
            ("arn:aws:iam::111122223333:role/r", Some(r#"{"AWS":"arn:aws:iam::111122223333:role/r"}"#)),
            ("logs.eu-west-1.amazonaws.com", Some(r#"{"Service":"logs.eu-west-1.amazonaws.com"}"#)),
            ("1234", None),
            ("somebody", None),
            (".amazonaws.com", None),
            ("arn:aws:s3:::bucket", None),
        ] {
            assert_eq!(text(given).as_deref(), expected, "{given}");
        }
        let anybody = statement("*");
        let kept = serde_json::to_string(&anybody).unwrap();
        assert_eq!(serde_json::from_str::<Statement>(&kept).unwrap(), anybody);
    }
}
