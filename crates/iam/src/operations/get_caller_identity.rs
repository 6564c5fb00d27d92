//! `GetCallerIdentity`.

use millstream_wire::sts::error::GetCallerIdentityError;
use millstream_wire::sts::{GetCallerIdentityRequest, GetCallerIdentityResponse};

use crate::caller::{Principal, RequestContext};
use crate::iam::Iam;

impl Iam {
    /// Allowed to everybody, even against an explicit deny (STS API reference).
    #[expect(clippy::unused_async, reason = "operations are asynchronous")]
    pub async fn get_caller_identity(
        &self,
        context: &RequestContext,
        _input: GetCallerIdentityRequest,
    ) -> Result<GetCallerIdentityResponse, GetCallerIdentityError> {
        let caller = &context.caller;
        let user_id = match &caller.principal {
            Principal::Root => caller.account.to_string(),
            Principal::User { id, .. } => id.clone(),
            Principal::RoleSession { role_id, session_name, .. } => format!("{role_id}:{session_name}"),
        };
        Ok(GetCallerIdentityResponse {
            account: Some(caller.account.to_string()),
            arn: Some(caller.arn().to_string()),
            user_id: Some(user_id),
        })
    }
}
