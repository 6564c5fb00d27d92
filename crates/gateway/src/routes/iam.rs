//! IAM: roles and policies.

use millstream_iam::{Iam, Principal, RequestContext};
use millstream_types::Arn;
use millstream_wire::iam::{GetRoleRequest, SERVICE, op};

use crate::operation::{Need, Table, call};
use crate::services::Services;

macro_rules! on_role {
    ($table:ident, $iam:ident: $($operation:ident => $method:ident;)*) => {
        $({
            let roles = $iam.clone();
            $table.add_asking::<op::$operation, _, _, _, _>(
                move |context, input| {
                    role_needs(roles.clone(), context.clone(), concat!("iam:", stringify!($operation)), &input.role_name)
                },
                call!($iam.$method),
            );
        })*
    };
}

macro_rules! on_policy {
    ($table:ident, $iam:ident: $($operation:ident => $method:ident;)*) => {
        $($table.add::<op::$operation, _, _>(
            |_, input| vec![Need::new(concat!("iam:", stringify!($operation)), &input.policy_arn)],
            call!($iam.$method),
        );)*
    };
}

pub(crate) fn table(services: &Services) -> Table {
    let iam = &services.iam;
    let mut table = Table::new(&SERVICE);
    table.add::<op::CreateRole, _, _>(
        |context, input| {
            let path = input.path.as_deref().unwrap_or("/");
            vec![Need::new("iam:CreateRole", role_arn(context, path, &input.role_name))]
        },
        call!(iam.create_role),
    );
    table.add::<op::ListRoles, _, _>(
        |context, input| {
            let prefix = input.path_prefix.as_deref().unwrap_or("/");
            vec![Need::new("iam:ListRoles", role_arn(context, prefix, ""))]
        },
        call!(iam.list_roles),
    );
    on_role! { table, iam:
        AttachRolePolicy => attach_role_policy;
        DeleteRole => delete_role;
        DeleteRolePermissionsBoundary => delete_role_permissions_boundary;
        DeleteRolePolicy => delete_role_policy;
        DetachRolePolicy => detach_role_policy;
        GetRole => get_role;
        GetRolePolicy => get_role_policy;
        ListAttachedRolePolicies => list_attached_role_policies;
        ListInstanceProfilesForRole => list_instance_profiles_for_role;
        ListRolePolicies => list_role_policies;
        ListRoleTags => list_role_tags;
        PutRolePermissionsBoundary => put_role_permissions_boundary;
        PutRolePolicy => put_role_policy;
        TagRole => tag_role;
        UntagRole => untag_role;
        UpdateAssumeRolePolicy => update_assume_role_policy;
        UpdateRole => update_role;
        UpdateRoleDescription => update_role_description;
    }
    on_policy! { table, iam:
        GetPolicy => get_policy;
        GetPolicyVersion => get_policy_version;
    }
    table
}

/// Permission for `action` on a role, whose ARN holds the path that a request does not name.
fn role_needs(
    iam: Iam,
    context: RequestContext,
    action: &'static str,
    name: &str,
) -> impl Future<Output = Vec<Need>> + Send + use<> {
    let input = GetRoleRequest { role_name: name.to_owned() };
    async move {
        let bare = role_arn(&context, "/", &input.role_name).to_string();
        // Root needs no permission. A role that is not there has no path.
        let resource = match &context.caller.principal {
            Principal::Root => bare,
            _ => iam.get_role(&context, input).await.map_or(bare, |found| found.role.arn),
        };
        vec![Need::new(action, resource)]
    }
}

fn role_arn(context: &RequestContext, path: &str, name: &str) -> Arn {
    Arn {
        partition: "aws".to_owned(),
        service: "iam".to_owned(),
        region: String::new(),
        account: context.scope.account.as_str().to_owned(),
        resource: format!("role{path}{name}"),
    }
}
