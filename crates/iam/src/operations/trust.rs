//! Trust policies as they are saved.

use std::collections::BTreeMap;

use millstream_catalog::StoreError;

use super::quotas::check_trust_policy;
use crate::iam::Iam;
use crate::policy::{Document, DocumentKind, MalformedPolicy};
use crate::roles::{RoleRecord, store_key};

/// A trust policy cannot be saved.
#[derive(Debug)]
pub(super) enum TrustRefusal {
    Malformed(MalformedPolicy),
    TooLarge(String),
    Store(StoreError),
}

impl Iam {
    /// Checks a trust policy before it is saved, and gives the unique ids of the roles it names, by ARN. They must exist; users of other systems need not, because
    /// Millstream has no way yet to make them.
    pub(super) async fn check_trust(
        &self,
        role_name: &str,
        text: &str,
    ) -> Result<BTreeMap<String, String>, TrustRefusal> {
        let document = Document::parse(text, DocumentKind::Trust).map_err(TrustRefusal::Malformed)?;
        check_trust_policy(text).map_err(TrustRefusal::TooLarge)?;
        let mut ids = BTreeMap::new();
        for (account, name, arn) in document.named_roles() {
            // Longer names exist nowhere, and the catalog's keys are bounded.
            let key = (name.len() <= 64).then(|| store_key(account, name));
            let found = match key {
                Some(key) => self.shared.store.get(&key).await.map_err(TrustRefusal::Store)?,
                None => None,
            };
            let Some(role) = found.and_then(|found| RoleRecord::decode(&found.value)) else {
                let text = format!("Invalid principal in policy: \"AWS\":\"{arn}\"");
                return Err(TrustRefusal::Malformed(MalformedPolicy(text)));
            };
            ids.insert(arn.to_owned(), role.id);
        }
        warn_of_unknown_operators(role_name, &document);
        Ok(ids)
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
