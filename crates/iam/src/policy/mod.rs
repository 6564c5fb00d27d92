//! Policies: their grammar, their parts and what they decide. No I/O.
//!
//! - [`document`] holds a parsed policy, [`parse`] makes it from text and refuses what IAM refuses.
//! - [`pattern`] compares actions and ARNs, with wildcards and variables; [`principal`] compares callers.
//! - [`condition`] evaluates condition blocks against a [`ConditionContext`].
//! - [`mod@evaluate`] combines the policies that apply into a [`Decision`].
//!
//! Service control policies are not modelled.

mod condition;
mod context;
mod decision;
mod document;
mod evaluate;
mod operator;
mod parse;
mod pattern;
mod principal;
#[cfg(test)]
mod tests;

pub use context::ConditionContext;
pub use decision::{Decision, Denial, DenialReason, PolicyKind};
pub(crate) use document::{Document, DocumentKind};
pub(crate) use evaluate::{Policies, Question, TrustOutcome, admits_service, evaluate, evaluate_trust};
pub use parse::MalformedPolicy;
pub(crate) use principal::Subject;
