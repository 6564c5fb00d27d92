//! What destinations ask of identities.

use std::fmt::Debug;

use millstream_catalog::StoreError;
use millstream_env::BoxFuture;
use millstream_iam::Iam;

use crate::contract::DeliveryError;

/// It cannot be told at the moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("identities cannot be read: {0}")]
pub struct Unavailable(pub String);

/// What execution roles may do.
pub trait Permissions: Send + Sync + Debug {
    /// Whether the role exists and lets Lambda assume it.
    fn lambda_can_assume<'a>(&'a self, role_arn: &'a str) -> BoxFuture<'a, Result<bool, Unavailable>>;

    /// Whether the role may do `action` on `resource_arn`, which may have a policy of its own.
    fn role_allows<'a>(
        &'a self,
        role_arn: &'a str,
        action: &'a str,
        resource_arn: &'a str,
        resource_policy: Option<&'a str>,
    ) -> BoxFuture<'a, Result<bool, Unavailable>>;
}

impl Permissions for Iam {
    fn lambda_can_assume<'a>(&'a self, role_arn: &'a str) -> BoxFuture<'a, Result<bool, Unavailable>> {
        Box::pin(async move { self.lambda_can_assume(role_arn).await.map_err(|error| Unavailable(error.to_string())) })
    }

    fn role_allows<'a>(
        &'a self,
        role_arn: &'a str,
        action: &'a str,
        resource_arn: &'a str,
        resource_policy: Option<&'a str>,
    ) -> BoxFuture<'a, Result<bool, Unavailable>> {
        Box::pin(async move {
            let allowed = self.role_allows_with(role_arn, action, resource_arn, resource_policy).await;
            allowed.map_err(|error| Unavailable(error.to_string()))
        })
    }
}

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
