//! Who a statement is about.

use crate::caller::{Caller, Principal};

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject<'a> {
    Caller(&'a Caller),
    /// A service, such as `lambda.amazonaws.com`.
    Service(&'a str),
}

/// A principal in a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PrincipalPattern {
    /// `*`
    Any,
    /// The account and all in it.
    Account(String),
    /// A role and all its sessions. Names are unique in an account whatever the path, so the path does not count.
    Role {
        account: String,
        name: String,
        arn: String,
        /// When set, only the role with this unique id is meant.
        id: Option<String>,
    },
    /// A user or one session of a role, by its ARN.
    Exactly(String),
    Service(String),
    /// An identity provider or canonical user: never one of ours.
    Foreign,
}

/// How closely a policy names a caller. The order is of strength.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Naming {
    /// By its account, which leaves the decision to its identity policies.
    Account,
    /// By its role, or along with everybody.
    Role,
    /// By its own ARN.
    Itself,
}

impl PrincipalPattern {
    /// Reads a value of the element `AWS`. `None` when it names nothing.
    pub(super) fn parse_aws(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        if is_account(text) {
            return Some(Self::Account(text.to_owned()));
        }
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", "aws", service @ ("iam" | "sts"), "", account, resource] = parts[..] else { return None };
        if !is_account(account) {
            return None;
        }
        if resource == "root" && service == "iam" {
            return Some(Self::Account(account.to_owned()));
        }
        let (kind, name) =
            resource.rsplit_once('/').map(|(path, name)| (path.split('/').next().unwrap_or(path), name))?;
        if name.is_empty() || resource.contains(['*', '?']) {
            return None;
        }
        match (service, kind) {
            ("iam", "role") => {
                Some(Self::Role { account: account.to_owned(), name: name.to_owned(), arn: text.to_owned(), id: None })
            }
            ("iam", "user") | ("sts", "assumed-role" | "federated-user") => Some(Self::Exactly(text.to_owned())),
            _ => None,
        }
    }

    /// How closely this names `subject`; `None` when it does not.
    pub(super) fn names(&self, subject: Subject<'_>) -> Option<Naming> {
        match (self, subject) {
            (Self::Any, _) => Some(Naming::Role),
            (Self::Service(expected), Subject::Service(service)) => (expected == service).then_some(Naming::Itself),
            (Self::Account(account), Subject::Caller(caller)) if caller.account.as_str() == account => {
                Some(if caller.principal == Principal::Root { Naming::Itself } else { Naming::Account })
            }
            (Self::Role { account, name, id, .. }, Subject::Caller(caller)) => match &caller.principal {
                Principal::RoleSession { role_name, role_id, .. }
                    if caller.account.as_str() == account
                        && role_name.eq_ignore_ascii_case(name)
                        && id.as_ref().is_none_or(|id| id == role_id) =>
                {
                    Some(Naming::Role)
                }
                _ => None,
            },
            (Self::Exactly(arn), Subject::Caller(caller)) => {
                (caller.arn().to_string() == *arn).then_some(Naming::Itself)
            }
            _ => None,
        }
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}
