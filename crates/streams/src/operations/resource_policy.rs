//! `PutResourcePolicy`, `GetResourcePolicy` and `DeleteResourcePolicy`: what others may do with a stream or a consumer.

use millstream_iam::RequestContext;
use millstream_types::Arn;
use millstream_wire::kinesis::error::{DeleteResourcePolicyError, GetResourcePolicyError, PutResourcePolicyError};
use millstream_wire::kinesis::{
    DeleteResourcePolicyInput, GetResourcePolicyInput, GetResourcePolicyOutput, PutResourcePolicyInput,
};

use crate::consumers::{ConsumerArn, Resource, texts};
use crate::errors::{InvalidArgument, NotFound};
use crate::model::{ConsumerState, Header, Status, StoredConsumer};
use crate::names::StreamName;
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
        check_policy(&input.policy)?;
        let name = match Resource::resolve(context, &input.resource_arn, "PutResourcePolicy")? {
            Resource::Stream(name) => name,
            Resource::Consumer(named) => {
                let check = |arn: &ConsumerArn, consumer: &StoredConsumer| match consumer.state {
                    ConsumerState::Active => Ok(()),
                    _ => Err(PutResourcePolicyError::from(texts::not_active_for_policy(arn))),
                };
                let policy = |consumer: &mut StoredConsumer| consumer.policy = Some(input.policy.clone());
                return self.change_consumer(&named, check, policy).await;
            }
        };
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
        let policy = match Resource::resolve(context, &input.resource_arn, "GetResourcePolicy")? {
            Resource::Stream(name) => self.inner.registry.expect(&name).await?.header.policy.clone(),
            Resource::Consumer(named) => {
                let (stream, _) = self.expect_consumer(&named).await?;
                named.find(&stream.header).and_then(|consumer| consumer.policy.clone())
            }
        };
        Ok(GetResourcePolicyOutput { policy: policy.unwrap_or_else(|| "{}".to_owned()) })
    }

    pub async fn delete_resource_policy(
        &self,
        context: &RequestContext,
        input: DeleteResourcePolicyInput,
    ) -> Result<(), DeleteResourcePolicyError> {
        let missing = || DeleteResourcePolicyError::from(none_attached(&input.resource_arn));
        match Resource::resolve(context, &input.resource_arn, "DeleteResourcePolicy")? {
            Resource::Stream(name) => {
                let change = |header: &mut Header| header.policy.take().map(|_| true).ok_or_else(missing);
                self.inner.registry.change(&name, change).await?;
            }
            Resource::Consumer(named) => {
                let check = |_: &ConsumerArn, consumer: &StoredConsumer| match consumer.policy {
                    Some(_) => Ok(()),
                    None => Err(missing()),
                };
                self.change_consumer(&named, check, |consumer| consumer.policy = None).await?;
            }
        }
        Ok(())
    }

    /// The policy on what `arn` names, for authorization; `None` where there is none, or no such thing.
    pub async fn resource_policy(&self, arn: &Arn) -> Option<String> {
        if let Some(name) = StreamName::from_arn(arn) {
            return self.inner.registry.get(&name).await.ok()??.header.policy.clone();
        }
        let ConsumerArn { stream, name, created } = ConsumerArn::from_arn(arn)?;
        let stream = self.inner.registry.get(&stream).await.ok()??;
        let found = stream.header.consumers.get(&name).filter(|consumer| consumer.created == created)?;
        found.policy.clone()
    }
}

/// The text is not recorded.
fn none_attached(arn: &str) -> NotFound {
    NotFound(format!("No resource policy is attached to {arn}."))
}

fn check_policy(text: &str) -> Result<(), InvalidArgument> {
    if text.len() > POLICY_BYTES_MAX {
        return Err(InvalidArgument(format!("The policy can not be larger than {POLICY_BYTES_MAX} bytes.")));
    }
    millstream_iam::check_resource_policy(text).map_err(|error| InvalidArgument(error.to_string()))
}
