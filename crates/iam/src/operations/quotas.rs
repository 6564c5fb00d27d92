//! IAM's quotas (IAM guide, "IAM and AWS STS quotas"), with the texts of recorded errors.

use crate::roles::RoleRecord;

/// Characters of a trust policy, without white space.
const TRUST_POLICY_SIZE_MAX: usize = 2048;
/// Characters of all inline policies of a role together, without white space.
const INLINE_POLICIES_SIZE_MAX: usize = 10_240;
/// Managed policies attached to one role.
const ATTACHED_POLICIES_MAX: usize = 10;
/// Roles of one account.
pub(super) const ROLES_MAX: usize = 1000;
/// Characters of a session policy.
pub(super) const SESSION_POLICY_SIZE_MAX: usize = 2048;
/// Managed policies passed for one session.
pub(super) const SESSION_POLICY_ARNS_MAX: usize = 10;

/// White space does not count.
fn size(document: &str) -> usize {
    document.chars().filter(|character| !character.is_whitespace()).count()
}

pub(super) fn check_trust_policy(document: &str) -> Result<(), String> {
    if size(document) <= TRUST_POLICY_SIZE_MAX {
        Ok(())
    } else {
        Err(format!("Cannot exceed quota for ACLSizePerRole: {TRUST_POLICY_SIZE_MAX}"))
    }
}

pub(super) fn check_inline_policies(role: &RoleRecord) -> Result<(), String> {
    if role.inline_policies.values().map(|document| size(document)).sum::<usize>() <= INLINE_POLICIES_SIZE_MAX {
        Ok(())
    } else {
        Err(format!("Maximum policy size of {INLINE_POLICIES_SIZE_MAX} bytes exceeded for role {}", role.name))
    }
}

pub(super) fn check_attached_policies(role: &RoleRecord) -> Result<(), String> {
    if role.attached_policies.len() <= ATTACHED_POLICIES_MAX {
        Ok(())
    } else {
        Err(format!("Cannot exceed quota for PoliciesPerRole: {ATTACHED_POLICIES_MAX}"))
    }
}
