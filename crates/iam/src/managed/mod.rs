//! AWS-managed policies, built in.
//!
//! [`documents`] holds those that matter for streams and functions. Actions of services that Millstream has no relation to
//! are left out of the largest ones. Every other `arn:aws:iam::aws:policy/…` can be attached too and grants nothing.

mod documents;

use std::sync::LazyLock;

use millstream_types::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::keys::BASE32;
use crate::policy::{Document, DocumentKind};

/// What every ARN of an AWS-managed policy begins with.
const ARN_PREFIX: &str = "arn:aws:iam::aws:policy";

/// When all of them were created: AWS's own dates differ and nothing depends on them (2015-02-06T18:40:00Z).
pub(crate) const CREATED: Timestamp = Timestamp::from_seconds(1_423_248_000);

/// An AWS-managed policy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ManagedPolicy {
    /// With a slash at both ends.
    pub(crate) path: &'static str,
    pub(crate) name: &'static str,
    /// The only version that is kept.
    pub(crate) version: &'static str,
    /// The document's text.
    pub(crate) text: &'static str,
}

impl ManagedPolicy {
    pub(crate) fn arn(&self) -> String {
        format!("{ARN_PREFIX}{}{}", self.path, self.name)
    }

    /// `ANPA…`: the same for the same policy on every server.
    pub(crate) fn id(&self) -> String {
        let digest = Sha256::digest(self.arn().as_bytes());
        let characters = digest.iter().take(17).map(|byte| char::from(BASE32[usize::from(byte & 31)]));
        format!("ANPA{}", characters.collect::<String>())
    }
}

static PARSED: LazyLock<Vec<(String, &'static ManagedPolicy, Document)>> = LazyLock::new(|| {
    let parse = |policy: &'static ManagedPolicy| {
        let document =
            Document::parse(policy.text, DocumentKind::Identity).expect("a test parses every built-in policy");
        (policy.arn(), policy, document)
    };
    documents::ALL.iter().map(parse).collect()
});

/// The built-in policy with this ARN.
pub(crate) fn find(arn: &str) -> Option<&'static ManagedPolicy> {
    PARSED.iter().find(|(known, _, _)| known == arn).map(|(_, policy, _)| *policy)
}

/// What the policy with this ARN says; `None` for those that grant nothing.
pub(crate) fn document(arn: &str) -> Option<&'static Document> {
    PARSED.iter().find(|(known, _, _)| known == arn).map(|(_, _, document)| document)
}

/// Whether `arn` is of an AWS-managed policy, built in or not.
pub(crate) fn is_aws_managed(arn: &str) -> bool {
    arn.strip_prefix(ARN_PREFIX).is_some_and(|rest| rest.starts_with('/') && !rest.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_is_found_by_its_arn_and_parses() {
        for policy in documents::ALL {
            assert!(find(&policy.arn()).is_some() && document(&policy.arn()).is_some(), "{}", policy.name);
            assert!(is_aws_managed(&policy.arn()));
            assert_eq!(policy.id().len(), 21);
        }
        let arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaKinesisExecutionRole";
        assert_eq!(find(arn).map(|policy| policy.version), Some("v2"));
    }

    #[test]
    fn others_are_attachable_if_their_arn_is_whole() {
        assert!(is_aws_managed("arn:aws:iam::aws:policy/job-function/Billing"));
        for arn in ["arn:aws:iam::aws:policy/", "arn:aws:iam::aws:policyX", "arn:aws:iam::000000000000:policy/x"] {
            assert!(!is_aws_managed(arn), "{arn}");
        }
        assert!(document("arn:aws:iam::aws:policy/job-function/Billing").is_none());
    }
}
