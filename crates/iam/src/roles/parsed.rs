//! A role's policies made ready for evaluation.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use millstream_catalog::{Revision, Versioned};

use super::record::RoleRecord;
use crate::managed;
use crate::policy::{Document, DocumentKind, MalformedPolicy};

/// Roles kept parsed. When there are more, all are forgotten: each is parsed again at its next use.
const ROLES_MAX: usize = 1024;

/// A role with its policies parsed.
#[derive(Debug)]
pub(crate) struct ParsedRole {
    pub(crate) record: RoleRecord,
    pub(crate) trust: Document,
    inline: Vec<Document>,
}

impl ParsedRole {
    fn parse(record: RoleRecord) -> Result<Self, MalformedPolicy> {
        let mut trust = Document::parse(&record.trust_policy, DocumentKind::Trust)?;
        trust.pin_roles(&record.trusted_roles);
        let inline = record.inline_policies.values().map(|text| Document::parse(text, DocumentKind::Identity));
        Ok(Self { inline: inline.collect::<Result<_, _>>()?, trust, record })
    }

    /// Inline and attached policies.
    pub(crate) fn identity_policies(&self) -> Vec<&Document> {
        let attached = self.record.attached_policies.iter().filter_map(|arn| managed::document(arn));
        self.inline.iter().chain(attached).collect()
    }

    /// What the permissions boundary says; one that is not known allows nothing.
    pub(crate) fn boundary(&self) -> Option<Vec<&Document>> {
        let arn = self.record.boundary.as_ref()?;
        Some(managed::document(arn).into_iter().collect())
    }
}

/// Parsed roles by catalog key. An entry counts only while its revision is that of the catalog.
#[derive(Debug, Default)]
pub(crate) struct RoleCache(Mutex<HashMap<String, (Revision, Arc<ParsedRole>)>>);

impl RoleCache {
    /// The role stored as `found` under `key`; `None` when the value is damaged.
    pub(crate) fn get(&self, key: &str, found: &Versioned) -> Option<Arc<ParsedRole>> {
        if let Some((revision, role)) = self.lock().get(key)
            && *revision == found.revision
        {
            return Some(Arc::clone(role));
        }
        let role = Arc::new(ParsedRole::parse(RoleRecord::decode(&found.value)?).ok()?);
        let mut roles = self.lock();
        if roles.len() >= ROLES_MAX {
            roles.clear();
        }
        roles.insert(key.to_owned(), (found.revision, Arc::clone(&role)));
        Some(role)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Revision, Arc<ParsedRole>)>> {
        self.0.lock().expect("no code panics while holding this lock")
    }
}
