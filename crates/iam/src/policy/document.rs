//! A parsed policy.

use super::condition::Condition;
use super::pattern::{ArnPattern, Pattern};
use super::principal::PrincipalPattern;

/// Which grammar a document follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DocumentKind {
    /// Attached to a role, or passed for a session: no principal.
    Identity,
    /// Says who may assume a role: no resource.
    Trust,
    /// Attached to a stream or function: principal and resource.
    Resource,
}

/// A policy.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) statements: Vec<Statement>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Allow,
    Deny,
}

/// One statement. Lists of patterns are never empty.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) effect: Effect,
    /// Absent in identity policies.
    pub(crate) principals: Option<Listed<PrincipalPattern>>,
    pub(crate) actions: Listed<Pattern>,
    /// Absent in trust policies.
    pub(crate) resources: Option<Listed<ArnPattern>>,
    pub(crate) conditions: Vec<Condition>,
}

/// `Action` and its like, or `NotAction` and its like.
#[derive(Clone, Debug)]
pub(crate) struct Listed<T> {
    pub(crate) negated: bool,
    pub(crate) patterns: Vec<T>,
}

impl<T> Listed<T> {
    /// Whether the list, or its negation, covers what `matches` compares with.
    pub(crate) fn covers(&self, matches: impl FnMut(&T) -> bool) -> bool {
        self.patterns.iter().any(matches) != self.negated
    }
}
