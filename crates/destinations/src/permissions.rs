//! What an execution role must be able to do, asked before anything is sent in its name.

use millstream_catalog::StoreError;
use millstream_iam::Iam;

use crate::contract::DeliveryError;

/// Refuses unless Lambda can assume the role, and the role may do every `(action, resource)`. The destination may have a
/// policy of its own, which counts too.
pub(crate) async fn require(
    iam: &Iam,
    role_arn: &str,
    needs: &[(&str, String)],
    resource_policy: Option<&str>,
) -> Result<(), DeliveryError> {
    if !iam.lambda_can_assume(role_arn).await.map_err(unavailable)? {
        return Err(DeliveryError::Refused(format!("the role {role_arn} cannot be assumed by Lambda")));
    }
    for (action, resource) in needs {
        if !iam.role_allows_with(role_arn, action, resource, resource_policy).await.map_err(unavailable)? {
            return Err(DeliveryError::Refused(format!("the role {role_arn} is not allowed {action} on {resource}")));
        }
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to `map_err`")]
fn unavailable(error: StoreError) -> DeliveryError {
    DeliveryError::Unavailable(format!("identities cannot be read: {error}"))
}
