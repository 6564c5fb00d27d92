//! The operations of IAM and STS, one method of [`crate::Iam`] each.

mod answers;
mod assume_role;
mod attached_policies;
mod errors;
mod get_caller_identity;
mod inline_policies;
mod managed_policies;
mod paging;
mod quotas;
mod role_settings;
mod roles;
#[cfg(test)]
mod tests;
mod trust;
