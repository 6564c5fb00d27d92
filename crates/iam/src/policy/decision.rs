//! What the evaluator decides, with AWS's text for a refusal.

use std::fmt;

/// Whether a request may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    Allowed,
    Denied(Denial),
}

impl Decision {
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed)
    }

    /// `Err` with the refusal, for `?`.
    pub fn into_result(self) -> Result<(), Denial> {
        match self {
            Self::Allowed => Ok(()),
            Self::Denied(denial) => Err(denial),
        }
    }
}

/// A kind of policy, as refusals name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    Identity,
    Resource,
    Boundary,
    Session,
    Trust,
}

impl PolicyKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity-based policy",
            Self::Resource => "resource-based policy",
            Self::Boundary => "permissions boundary",
            Self::Session => "session policy",
            Self::Trust => "role trust policy",
        }
    }

    const fn name_with_article(self) -> &'static str {
        match self {
            Self::Identity => "an identity-based policy",
            Self::Resource => "a resource-based policy",
            Self::Boundary => "a permissions boundary",
            Self::Session => "a session policy",
            Self::Trust => "the role trust policy",
        }
    }
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenialReason {
    /// A policy of this kind denies it.
    Explicit(PolicyKind),
    /// No policy of this kind allows it.
    Implicit(PolicyKind),
}

/// A refusal. `Display` is the text AWS sends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Denial {
    /// The caller's ARN.
    pub caller: String,
    pub action: String,
    /// Empty for actions whose refusal names no resource.
    pub resource: String,
    pub reason: DenialReason,
    /// Condition operators the evaluator does not know and that decided against the caller; for the log.
    pub unknown_operators: Vec<String>,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { caller, action, resource, .. } = self;
        write!(f, "User: {caller} is not authorized to perform: {action}")?;
        if !resource.is_empty() {
            write!(f, " on resource: {resource}")?;
        }
        match self.reason {
            DenialReason::Explicit(kind) => write!(f, " with an explicit deny in {}", kind.name_with_article()),
            DenialReason::Implicit(kind) => write!(f, " because no {} allows the {action} action", kind.name()),
        }
    }
}
