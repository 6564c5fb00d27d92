//! Tells who depends on a role that it changed.

use millstream_catalog::{Watch, Watched};

use super::record::{RoleReference, store_key};
use crate::iam::Iam;

/// Something happened to roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleChange {
    /// One role was created, changed or deleted. Ask [`RoleChange::concerns`] which.
    Role { key: String },
    /// Changes were missed: look at every role again.
    Lost,
    /// The catalog is closed; nothing more will come.
    Closed,
}

impl RoleChange {
    /// Whether the role with this ARN may be another one than before.
    pub fn concerns(&self, role_arn: &str) -> bool {
        match self {
            Self::Role { key } => {
                RoleReference::parse(role_arn).is_some_and(|role| store_key(role.account.as_str(), &role.name) == *key)
            }
            Self::Lost => true,
            Self::Closed => false,
        }
    }
}

/// Changes of roles, from when it was made.
#[derive(Debug)]
pub struct RoleWatch(Watch);

impl RoleWatch {
    /// The next change. Cancel safe.
    pub async fn next(&mut self) -> RoleChange {
        match self.0.next().await {
            Watched::Change(change) => RoleChange::Role { key: change.key },
            Watched::Lost => RoleChange::Lost,
            Watched::Closed => RoleChange::Closed,
        }
    }
}

impl Iam {
    /// Changes of roles of all accounts, from now on.
    pub fn role_watch(&self) -> RoleWatch {
        RoleWatch(self.shared.store.watch("role/"))
    }
}
