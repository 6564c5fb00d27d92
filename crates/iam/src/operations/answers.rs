//! Roles as answers show them.

use millstream_client::sigv4::encoding::encode;
use millstream_types::Timestamp;
use millstream_wire::iam::{AttachedPermissionsBoundary, PermissionsBoundaryAttachmentType, Role, RoleLastUsed, Tag};

use crate::roles::RoleRecord;

/// What each operation leaves out (recorded answers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// `CreateRole`: no longest session, no last use.
    Created,
    /// `GetRole`: everything.
    Full,
    /// `ListRoles`: no last use, tags or boundary.
    Listed,
}

/// Documents are answered percent-encoded (RFC 3986).
pub(super) fn encoded_document(document: &str) -> String {
    encode(document.as_bytes())
}

pub(super) fn role(record: &RoleRecord, detail: Detail) -> Role {
    let tag = |(key, value): &(String, String)| Tag { key: key.clone(), value: value.clone() };
    let boundary = |arn: &String| AttachedPermissionsBoundary {
        permissions_boundary_arn: Some(arn.clone()),
        permissions_boundary_type: Some(PermissionsBoundaryAttachmentType::PermissionsBoundaryPolicy),
    };
    let listed = detail == Detail::Listed;
    Role {
        arn: record.arn(),
        assume_role_policy_document: Some(encoded_document(&record.trust_policy)),
        create_date: Timestamp::from_millis(record.created_ms),
        description: record.description.clone(),
        max_session_duration: (detail != Detail::Created)
            .then(|| i32::try_from(record.max_session_seconds).unwrap_or(i32::MAX)),
        path: record.path.clone(),
        permissions_boundary: record.boundary.as_ref().filter(|_| !listed).map(boundary),
        role_id: record.id.clone(),
        role_last_used: (detail == Detail::Full).then(RoleLastUsed::default),
        role_name: record.name.clone(),
        tags: (!listed && !record.tags.is_empty()).then(|| record.tags.iter().map(tag).collect()),
    }
}
