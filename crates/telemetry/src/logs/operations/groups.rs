//! `CreateLogGroup`, `DeleteLogGroup` and `PutRetentionPolicy`.

use millstream_catalog::{Expect, StoreError};
use millstream_iam::RequestContext;
use millstream_wire::logs::error::{CreateLogGroupError, DeleteLogGroupError, PutRetentionPolicyError};
use millstream_wire::logs::{CreateLogGroupRequest, DeleteLogGroupRequest, LogGroupClass, PutRetentionPolicyRequest};

use crate::logs::errors::{AlreadyExists, Internal, InvalidParameter, LookupError};
use crate::logs::model::{self, Group};
use crate::logs::names::GroupName;
use crate::logs::service::{Logs, StoredGroup, list_all};

/// The retentions that there are, in days (CloudWatch Logs model).
const RETENTION_DAYS: [u32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

impl Logs {
    pub async fn create_log_group(
        &self,
        context: &RequestContext,
        input: CreateLogGroupRequest,
    ) -> Result<(), CreateLogGroupError> {
        refuse_unsupported(&input)?;
        let name = GroupName::new(&context.scope, &input.log_group_name);
        let group = Group::new(self.inner.random.u64(), self.now_millis(), input.tags.unwrap_or_default());
        match self.inner.store.put(&model::group_key(&name), Expect::Absent, model::encode(&group)).await {
            Ok(_) => Ok(()),
            Err(StoreError::Conflict) => Err(AlreadyExists("The specified log group already exists".to_owned()).into()),
            Err(error) => Err(Internal::from(error).into()),
        }
    }

    /// Deletes the group with its streams and events.
    pub async fn delete_log_group(
        &self,
        context: &RequestContext,
        input: DeleteLogGroupRequest,
    ) -> Result<(), DeleteLogGroupError> {
        let name = GroupName::new(&context.scope, &input.log_group_name);
        let StoredGroup { revision, group } = self.find_group(&name).await?.ok_or_else(LookupError::no_group)?;
        self.delete_streams(&group).await?;
        match self.inner.store.delete(&model::group_key(&name), revision).await {
            Ok(()) => {}
            Err(StoreError::Conflict) => return Err(LookupError::no_group().into()),
            Err(error) => return Err(Internal::from(error).into()),
        }
        // Events without a group are also removed at the next start, should this be interrupted.
        self.inner.content.delete(group.id).await.map_err(Internal::from)?;
        // Once more for a stream that was made while the others went.
        Ok(self.delete_streams(&group).await?)
    }

    async fn delete_streams(&self, group: &Group) -> Result<(), Internal> {
        for (key, kept) in list_all(&self.inner.store, &model::streams_prefix(group.id)).await? {
            match self.inner.store.delete(&key, kept.revision).await {
                Ok(()) | Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Older events cannot be read any more when this returns.
    pub async fn put_retention_policy(
        &self,
        context: &RequestContext,
        input: PutRetentionPolicyRequest,
    ) -> Result<(), PutRetentionPolicyError> {
        let days = u32::try_from(input.retention_in_days).ok().filter(|days| RETENTION_DAYS.contains(days));
        let Some(days) = days else {
            let allowed = RETENTION_DAYS.map(|days| days.to_string()).join(", ");
            return Err(InvalidParameter(format!(
                "1 validation error detected: Value '{}' at 'retentionInDays' failed to satisfy constraint: Member \
                 must satisfy enum value set: [{allowed}]",
                input.retention_in_days,
            ))
            .into());
        };
        let name = GroupName::new(&context.scope, &input.log_group_name);
        loop {
            let StoredGroup { revision, mut group } =
                self.find_group(&name).await?.ok_or_else(LookupError::no_group)?;
            group.retention_days = Some(days);
            let key = model::group_key(&name);
            match self.inner.store.put(&key, Expect::Revision(revision), model::encode(&group)).await {
                Ok(_) => return Ok(()),
                // Somebody else's change came first, so together we are getting on.
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(Internal::from(error).into()),
            }
        }
    }
}

/// What has no effect here is not accepted.
fn refuse_unsupported(input: &CreateLogGroupRequest) -> Result<(), InvalidParameter> {
    let unsupported = [
        (input.kms_key_id.is_some(), "kmsKeyId"),
        (input.log_group_class.is_some_and(|class| class != LogGroupClass::Standard), "logGroupClass"),
        (input.deletion_protection_enabled == Some(true), "deletionProtectionEnabled"),
    ];
    match unsupported.into_iter().find(|(given, _)| *given) {
        Some((_, member)) => Err(InvalidParameter(format!("{member} is not supported by this server."))),
        None => Ok(()),
    }
}
