//! Trust policies as they are saved.

use millstream_catalog::StoreError;

use super::quotas::check_trust_policy;
use crate::iam::Iam;
use crate::policy::{Document, DocumentKind, MalformedPolicy};
use crate::roles::store_key;

/// A trust policy cannot be saved.
#[derive(Debug)]
pub(super) enum TrustRefusal {
    Malformed(MalformedPolicy),
    TooLarge(String),
    Store(StoreError),
}

impl Iam {
    /// Checks a trust policy before it is saved. Roles it names must exist; users of other systems need not, because
    /// Millstream has no way yet to make them.
    pub(super) async fn check_trust(&self, role_name: &str, text: &str) -> Result<(), TrustRefusal> {
        let document = Document::parse(text, DocumentKind::Trust).map_err(TrustRefusal::Malformed)?;
        check_trust_policy(text).map_err(TrustRefusal::TooLarge)?;
        for (account, name, arn) in document.named_roles() {
            let key = store_key(account, name);
            // Longer names exist nowhere, and the catalog's keys are bounded.
            let exists = name.len() <= 64 && self.shared.store.get(&key).await.map_err(TrustRefusal::Store)?.is_some();
            if !exists {
                let text = format!("Invalid principal in policy: \"AWS\":\"{arn}\"");
                return Err(TrustRefusal::Malformed(MalformedPolicy(text)));
            }
        }
        warn_of_unknown_operators(role_name, &document);
        Ok(())
    }
}

/// Says in the log that a policy holds conditions that will only ever refuse.
pub(super) fn warn_of_unknown_operators(role_name: &str, document: &Document) {
    let operators: Vec<&str> = document.unknown_operators().collect();
    if !operators.is_empty() {
        tracing::warn!(
            role = role_name,
            ?operators,
            "a policy has condition operators that are not known: they refuse"
        );
    }
}
