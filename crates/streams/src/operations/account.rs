//! `DescribeAccountSettings` and `UpdateAccountSettings`.
//!
//! Nothing is billed here. What the commitment to a minimum throughput gives at AWS it gives here too: streams may be
//! warmed up for a throughput.

use millstream_catalog::{Expect, StoreError};
use millstream_iam::RequestContext;
use millstream_types::Scope;
use millstream_wire::kinesis::error::{DescribeAccountSettingsError, UpdateAccountSettingsError};
use millstream_wire::kinesis::{
    DescribeAccountSettingsInput, DescribeAccountSettingsOutput, MinimumThroughputBillingCommitmentInputStatus,
    MinimumThroughputBillingCommitmentOutput, MinimumThroughputBillingCommitmentOutputStatus as Status,
    UpdateAccountSettingsInput, UpdateAccountSettingsOutput,
};

use crate::errors::Internal;
use crate::model::{self, Account, Commitment};
use crate::service::Streams;

/// How often a change is tried again after others changed the settings meanwhile.
const CHANGE_TRIES_MAX: usize = 16;

impl Streams {
    pub async fn describe_account_settings(
        &self,
        context: &RequestContext,
        _input: DescribeAccountSettingsInput,
    ) -> Result<DescribeAccountSettingsOutput, DescribeAccountSettingsError> {
        self.admit_on_account(context, "DescribeAccountSettings")?;
        let commitment = self.commitment(&context.scope).await?;
        Ok(DescribeAccountSettingsOutput { minimum_throughput_billing_commitment: Some(commitment.wire()) })
    }

    /// A commitment lasts a day at least: an earlier end is put off until then.
    pub async fn update_account_settings(
        &self,
        context: &RequestContext,
        input: UpdateAccountSettingsInput,
    ) -> Result<UpdateAccountSettingsOutput, UpdateAccountSettingsError> {
        self.admit_on_account(context, "UpdateAccountSettings")?;
        let (store, now) = (self.inner.registry.store(), self.now());
        let key = model::account_key(&context.scope);
        for _ in 0..CHANGE_TRIES_MAX {
            let kept = store.get(&key).await.map_err(Internal::from)?;
            let (expect, mut account) = match kept {
                Some(kept) => {
                    (Expect::Revision(kept.revision), model::decode(&key, &kept.value).map_err(Internal::from)?)
                }
                None => (Expect::Absent, Account::default()),
            };
            match input.minimum_throughput_billing_commitment.status {
                MinimumThroughputBillingCommitmentInputStatus::Enabled => account.commit(now),
                MinimumThroughputBillingCommitmentInputStatus::Disabled => account.end(now),
            }
            match store.put(&key, expect, model::encode(&account)).await {
                Ok(_) => {
                    let commitment = Some(account.commitment(now).wire());
                    return Ok(UpdateAccountSettingsOutput { minimum_throughput_billing_commitment: commitment });
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(Internal::from(error).into()),
            }
        }
        Err(Internal("the account's settings are changed by others all the time".to_owned()).into())
    }

    pub(super) async fn commitment(&self, scope: &Scope) -> Result<Commitment, Internal> {
        let key = model::account_key(scope);
        let account = match self.inner.registry.store().get(&key).await? {
            Some(kept) => model::decode(&key, &kept.value)?,
            None => Account::default(),
        };
        Ok(account.commitment(self.now()))
    }
}

impl Commitment {
    fn wire(self) -> MinimumThroughputBillingCommitmentOutput {
        let (status, started, ended) = match self {
            Self::Disabled { started_and_ended } => {
                (Status::Disabled, started_and_ended.map(|both| both.0), started_and_ended.map(|both| both.1))
            }
            Self::Enabled { started } => (Status::Enabled, Some(started), None),
            Self::Ending { started, .. } => (Status::EnabledUntilEarliestAllowedEnd, Some(started), None),
        };
        MinimumThroughputBillingCommitmentOutput {
            status,
            started_at: started,
            ended_at: ended,
            earliest_allowed_end_at: started.filter(|_| self.is_on()).map(Account::earliest_end),
        }
    }
}
