//! From what can go wrong with a role to the errors of each operation.

use millstream_catalog::StoreError;
use millstream_wire::CommonError;
use millstream_wire::iam::error::{
    AttachRolePolicyError, DeleteRoleError, DeleteRolePermissionsBoundaryError, DeleteRolePolicyError,
    DetachRolePolicyError, GetRoleError, GetRolePolicyError, ListAttachedRolePoliciesError,
    ListInstanceProfilesForRoleError, ListRolePoliciesError, ListRoleTagsError, PutRolePermissionsBoundaryError,
    PutRolePolicyError, TagRoleError, UntagRoleError, UpdateAssumeRolePolicyError, UpdateRoleDescriptionError,
    UpdateRoleError,
};

use crate::roles::RoleError;

/// The error every operation has for a catalog that does not take a read or a change.
pub(super) fn store_error(error: &StoreError) -> CommonError {
    match error {
        StoreError::Full => CommonError::Unavailable("the disk of the server is full".to_owned()),
        StoreError::Conflict => CommonError::Throttling("Rate exceeded".to_owned()),
        StoreError::Unavailable(_) | StoreError::TooLarge => CommonError::InternalFailure(error.to_string()),
    }
}

macro_rules! from_role_error {
    ($($error:ident),* $(,)?) => {
        $(impl From<RoleError> for $error {
            fn from(error: RoleError) -> Self {
                match error {
                    RoleError::NoSuchRole(_) => Self::NoSuchEntity(error.to_string()),
                    RoleError::Contended(_) => Self::Common(CommonError::Throttling("Rate exceeded".to_owned())),
                    RoleError::Damaged(_) => Self::Common(CommonError::InternalFailure(error.to_string())),
                    RoleError::Store(error) => Self::Common(store_error(&error)),
                }
            }
        })*
    };
}

from_role_error!(
    AttachRolePolicyError,
    DeleteRolePermissionsBoundaryError,
    ListRoleTagsError,
    PutRolePermissionsBoundaryError,
    TagRoleError,
    UntagRoleError,
    UpdateRoleDescriptionError,
    UpdateRoleError,
    DeleteRoleError,
    DeleteRolePolicyError,
    DetachRolePolicyError,
    GetRoleError,
    GetRolePolicyError,
    ListAttachedRolePoliciesError,
    ListInstanceProfilesForRoleError,
    ListRolePoliciesError,
    PutRolePolicyError,
    UpdateAssumeRolePolicyError,
);
