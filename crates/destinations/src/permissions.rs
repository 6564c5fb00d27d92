//! What an execution role must be able to do, asked before anything is sent in its name.

use millstream_catalog::StoreError;
use millstream_iam::Iam;

use crate::contract::DeliveryError;

/// Refuses unless Lambda can assume the role, and the role may do every `(action, resource)`.
pub(crate) async fn require(iam: &Iam, role_arn: &str, needs: &[(&str, String)]) -> Result<(), DeliveryError> {
    if !iam.lambda_can_assume(role_arn).await.map_err(unavailable)? {
        return Err(DeliveryError::Refused(format!("Lambda cannot assume the role {role_arn}")));
    }
    for (action, resource) in needs {
        if !iam.role_allows(role_arn, action, resource).await.map_err(unavailable)? {
            return Err(DeliveryError::Refused(format!("the role {role_arn} may not do {action} on {resource}")));
        }
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to `map_err`")]
fn unavailable(error: StoreError) -> DeliveryError {
    DeliveryError::Unavailable(error.to_string())
}
