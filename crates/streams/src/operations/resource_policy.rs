//! `PutResourcePolicy`, `GetResourcePolicy` and `DeleteResourcePolicy`: what others may do with a stream.

use millstream_iam::RequestContext;
use millstream_types::Arn;
use millstream_wire::kinesis::error::{DeleteResourcePolicyError, GetResourcePolicyError, PutResourcePolicyError};
use millstream_wire::kinesis::{
    DeleteResourcePolicyInput, GetResourcePolicyInput, GetResourcePolicyOutput, PutResourcePolicyInput,
};

use crate::errors::{InvalidArgument, NotFound};
use crate::model::Status;
use crate::names::{StreamName, StreamTarget};
use crate::service::Streams;

/// Largest policy, in bytes (Kinesis developer guide).
const POLICY_BYTES_MAX: usize = 20 * 1024;

impl Streams {
    /// Takes the place of the policy that is there. The text for one that is none is not recorded.
    pub async fn put_resource_policy(
        &self,
        context: &RequestContext,
        input: PutResourcePolicyInput,
    ) -> Result<(), PutResourcePolicyError> {
        let target = StreamTarget::new(None, Some(&input.resource_arn));
        let name = target.resolve(context, "PutResourcePolicy")?;
        check_policy(&input.policy)?;
        self.inner
            .registry
            .change(&name, |header| {
                if header.status == Status::Deleting {
                    return Err(PutResourcePolicyError::from(name.not_active(header.status)));
                }
                let changes = header.policy.as_ref() != Some(&input.policy);
                header.policy = Some(input.policy.clone());
                Ok(changes)
            })
            .await?;
        Ok(())
    }

    /// `{}` where there is none (recorded: `LocalStack` snapshot 2025).
    pub async fn get_resource_policy(
        &self,
        context: &RequestContext,
        input: GetResourcePolicyInput,
    ) -> Result<GetResourcePolicyOutput, GetResourcePolicyError> {
        let target = StreamTarget::new(None, Some(&input.resource_arn));
        let name = target.resolve(context, "GetResourcePolicy")?;
        let stream = self.inner.registry.expect(&name).await?;
        Ok(GetResourcePolicyOutput { policy: stream.header.policy.clone().unwrap_or_else(|| "{}".to_owned()) })
    }

    pub async fn delete_resource_policy(
        &self,
        context: &RequestContext,
        input: DeleteResourcePolicyInput,
    ) -> Result<(), DeleteResourcePolicyError> {
        let target = StreamTarget::new(None, Some(&input.resource_arn));
        let name = target.resolve(context, "DeleteResourcePolicy")?;
        self.inner
            .registry
            .change(&name, |header| {
                if header.policy.take().is_none() {
                    return Err(DeleteResourcePolicyError::from(NotFound(format!(
                        "No resource policy is attached to {}.",
                        name.arn()
                    ))));
                }
                Ok(true)
            })
            .await?;
        Ok(())
    }

    /// The policy on what `arn` names, for authorization; `None` where there is none, or no such thing.
    pub async fn resource_policy(&self, arn: &Arn) -> Option<String> {
        let stream = self.inner.registry.get(&StreamName::from_arn(arn)?).await.ok()??;
        stream.header.policy.clone()
    }
}

fn check_policy(text: &str) -> Result<(), InvalidArgument> {
    if text.len() > POLICY_BYTES_MAX {
        return Err(InvalidArgument(format!("The policy can not be larger than {POLICY_BYTES_MAX} bytes.")));
    }
    millstream_iam::check_resource_policy(text).map_err(|error| InvalidArgument(error.to_string()))
}
